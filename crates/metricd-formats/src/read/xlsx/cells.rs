//! The cells of a sheet, in their order.

use std::sync::Arc;

use metricd_ingestion::{ReadError, Reason};
use quick_xml::events::{BytesStart, Event};

use super::dates::{self, Moment};
use super::numbers;
use super::package::Part;
use super::strings::{RichText, Strings};
use super::styles::NumberFormat;
use super::workbook::Workbook;
use super::xml::{Xml, push_text};
use crate::read::table::malformed;

/// The maximum size of the part with a sheet.
const MAX_SHEET_BYTES: u64 = 4 << 30;

const MAX_ROWS: u32 = 1 << 20;
const MAX_COLUMNS: u32 = 1 << 14;

/// Why a cell has no value that can be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CellFault {
    pub(super) reason: Reason,
    pub(super) message: String,
    pub(super) value: Option<String>,
}

/// The value of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A number in plain notation.
    Number(String),
    /// A date, with or without a time.
    Date(Moment),
    /// A boolean.
    Boolean(bool),
    /// A text, or a time or duration as text.
    Text(String),
    /// The number of a text that cells share.
    Shared(usize),
    /// A value that cannot be stored.
    Fault(CellFault),
}

/// A cell that has a value.
#[derive(Debug)]
pub(super) struct Cell {
    /// The row, from 0.
    pub(super) row: u32,
    /// The column, from 0.
    pub(super) column: u32,
    pub(super) value: Value,
}

/// The name of a cell, such as `B17`.
pub(super) fn cell_name(row: u32, column: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = column + 1;
    while rest > 0 {
        let letter = u8::try_from((rest - 1) % 26).unwrap_or_default();
        letters.push(char::from(b'A' + letter));
        rest = (rest - 1) / 26;
    }
    letters.reverse();
    format!("{}{}", letters.into_iter().collect::<String>(), row + 1)
}

/// The error of a row or a cell that no sheet has.
fn beyond_limits(what: &str) -> ReadError {
    malformed(format!("the sheet has the {what}, and a sheet has at most {MAX_ROWS} rows and {MAX_COLUMNS} columns"))
}

/// The row and column of a name such as `B17`, from 0.
fn parse_name(name: &str) -> Option<(u32, u32)> {
    let digits = name.find(|character: char| character.is_ascii_digit())?;
    let (letters, number) = name.split_at(digits);
    if letters.is_empty() || letters.len() > 3 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut column = 0;
    for letter in letters.bytes() {
        column = column * 26 + u32::from(letter.is_ascii_alphabetic().then(|| letter.to_ascii_uppercase() - b'@')?);
    }
    let row = number.parse::<u32>().ok()?.checked_sub(1)?;
    (row < MAX_ROWS && column <= MAX_COLUMNS).then_some((row, column - 1))
}

/// The attributes of a cell.
#[derive(Debug, Default)]
struct Attributes {
    name: Option<String>,
    style: usize,
    kind: Option<String>,
}

impl Attributes {
    fn read(element: &BytesStart<'_>) -> Result<Self, ReadError> {
        let mut attributes = Self::default();
        for attribute in element.attributes().with_checks(false) {
            let attribute =
                attribute.map_err(|error| malformed(format!("a cell of the sheet is not valid: {error}")))?;
            match attribute.key.as_ref() {
                "r" => attributes.name = Some(attribute.value.into_owned()),
                "s" => attributes.style = attribute.value.parse().unwrap_or_default(),
                "t" => attributes.kind = Some(attribute.value.into_owned()),
                _ => {}
            }
        }
        Ok(attributes)
    }
}

/// Reads the cells of a sheet.
#[derive(Debug)]
pub(super) struct Cells {
    xml: Xml,
    part: Part,
    strings: Arc<Strings>,
    formats: Arc<[NumberFormat]>,
    is_1904: bool,
    /// The row and column of the next cell that does not name itself.
    row: u32,
    column: u32,
    has_ended: bool,
}

impl Cells {
    /// Opens the sheet of a workbook.
    pub(super) fn open(workbook: Workbook) -> Result<Self, ReadError> {
        let Workbook { sheet, strings, formats, is_1904 } = workbook;
        Self::start(sheet, Arc::new(strings), formats.into(), is_1904)
    }

    /// Begins again.
    pub(super) fn restart(self) -> Result<Self, ReadError> {
        Self::start(self.part, self.strings, self.formats, self.is_1904)
    }

    fn start(
        part: Part,
        strings: Arc<Strings>,
        formats: Arc<[NumberFormat]>,
        is_1904: bool,
    ) -> Result<Self, ReadError> {
        let mut xml = Xml::open(&part, MAX_SHEET_BYTES)?;
        loop {
            match xml.next_inside()? {
                Event::Start(element) if element.local_name().as_ref() == "sheetData" => break,
                _ => {}
            }
        }
        Ok(Self { xml, part, strings, formats, is_1904, row: 0, column: 0, has_ended: false })
    }

    /// The next cell that has a value. `None` at the end of the sheet.
    pub(super) fn next_value(&mut self) -> Result<Option<Cell>, ReadError> {
        while !self.has_ended {
            let attributes = match self.xml.next_inside()? {
                Event::Start(element) => match element.local_name().as_ref() {
                    "row" => {
                        let number = super::xml::attribute(&element, "r")?;
                        if let Some(number) = number {
                            let row = number.parse::<u32>().ok().and_then(|number| number.checked_sub(1));
                            let row = row.filter(|row| *row < MAX_ROWS);
                            self.row = row.ok_or_else(|| beyond_limits(&format!("row `{number}`")))?;
                        }
                        self.column = 0;
                        continue;
                    }
                    "c" => Attributes::read(&element)?,
                    _ => continue,
                },
                Event::End(element) => {
                    match element.local_name().as_ref() {
                        "row" => self.row = self.row.saturating_add(1),
                        "sheetData" => self.has_ended = true,
                        _ => {}
                    }
                    continue;
                }
                _ => continue,
            };
            if let Some(name) = &attributes.name {
                let position = parse_name(name);
                let position = position.ok_or_else(|| beyond_limits(&format!("cell `{name}`")))?;
                (self.row, self.column) = position;
            }
            let (row, column) = (self.row, self.column);
            if row >= MAX_ROWS || column >= MAX_COLUMNS {
                return Err(beyond_limits(&format!("cell `{}`", cell_name(row, column))));
            }
            self.column += 1;
            if let Some(value) = self.read_value(&attributes)? {
                return Ok(Some(Cell { row, column, value }));
            }
        }
        Ok(None)
    }

    /// Reads to the end of the part, so that its checksum is checked.
    pub(super) fn finish(&mut self) -> Result<(), ReadError> {
        while !matches!(self.xml.next()?, Event::Eof) {}
        Ok(())
    }

    /// Reads the content of a cell. `None` if it is empty.
    fn read_value(&mut self, attributes: &Attributes) -> Result<Option<Value>, ReadError> {
        let (mut text, mut inline) = (String::new(), RichText::default());
        let (mut is_value, mut has_formula) = (false, false);
        loop {
            let event = self.xml.next_inside()?;
            match &event {
                Event::Start(element) => match element.local_name().as_ref() {
                    "v" => is_value = true,
                    "f" => has_formula = true,
                    _ => inline.add(&event)?,
                },
                Event::End(element) => match element.local_name().as_ref() {
                    "v" => is_value = false,
                    "c" => break,
                    _ => inline.add(&event)?,
                },
                _ if is_value => push_text(&event, &mut text)?,
                _ => inline.add(&event)?,
            }
        }
        match attributes.kind.as_deref().unwrap_or("n") {
            "inlineStr" => {
                let mut text = String::new();
                inline.take_into(&mut text);
                Ok(text_value(text))
            }
            "str" => {
                let mut unescaped = String::new();
                super::strings::push_unescaped(&text, &mut unescaped);
                Ok(text_value(unescaped))
            }
            _ if text.is_empty() => Ok(has_formula.then(|| {
                let message = "the formula has no stored value: open the workbook in a spreadsheet program and save it";
                fault(Reason::NumberInvalid, message, None)
            })),
            "s" => self.shared_value(&text),
            kind => self.typed_value(kind, &text, attributes.style).map(Some),
        }
    }

    fn shared_value(&self, index: &str) -> Result<Option<Value>, ReadError> {
        let index = index.trim().parse().ok();
        let found = index.and_then(|index| Some((index, self.strings.get(index)?)));
        let (index, text) = found.ok_or_else(|| malformed("a cell has a shared text that the workbook lacks"))?;
        Ok(match text {
            "" => None,
            text if text.contains('\0') => text_value(text.to_owned()),
            _ => Some(Value::Shared(index)),
        })
    }

    fn typed_value(&self, kind: &str, text: &str, style: usize) -> Result<Value, ReadError> {
        let text = text.trim();
        Ok(match kind {
            "n" => match self.formats.get(style).copied().unwrap_or_default() {
                NumberFormat::Number => match numbers::plain(text) {
                    Some(number) => Value::Number(number),
                    None => fault(Reason::NumberInvalid, "the value is not a number", Some(text)),
                },
                format => dates::value_of(text, format, self.is_1904),
            },
            "b" => match text {
                "1" | "true" => Value::Boolean(true),
                "0" | "false" => Value::Boolean(false),
                _ => fault(Reason::NumberInvalid, "the value is not a boolean", Some(text)),
            },
            "d" => dates::of_iso(text),
            "e" => fault(Reason::NumberInvalid, "the value is an error of the spreadsheet", Some(text)),
            other => return Err(malformed(format!("the sheet has a cell of the type `{other}`"))),
        })
    }

    /// Whether the value is a date with a time other than midnight.
    pub(super) fn has_time(value: &Value) -> bool {
        matches!(value, Value::Date(moment) if moment.has_time())
    }

    /// The text of a value other than a date and a number.
    fn text_of<'a>(&'a self, value: &'a Value) -> &'a str {
        match value {
            Value::Text(text) | Value::Number(text) => text,
            Value::Shared(index) => self.strings.get(*index).unwrap_or_default(),
            Value::Boolean(true) => "true",
            Value::Boolean(false) => "false",
            Value::Date(_) | Value::Fault(_) => "",
        }
    }

    /// Appends the text of a value, if the row has room for so many bytes. Dates of a column with times have a time.
    pub(super) fn write(&self, value: &Value, has_times: bool, room: usize, out: &mut String) -> Result<(), CellFault> {
        match value {
            Value::Date(moment) => moment.write(has_times, out).map_err(|_| CellFault {
                reason: Reason::DateInvalid,
                message: "the date is out of range".to_owned(),
                value: None,
            }),
            Value::Fault(fault) => Err(fault.clone()),
            other => {
                let text = self.text_of(other);
                if text.len() > room {
                    let message = "the row has too much text".to_owned();
                    return Err(CellFault { reason: Reason::RecordTooLong, message, value: None });
                }
                out.push_str(text);
                Ok(())
            }
        }
    }
}

fn text_value(text: String) -> Option<Value> {
    if text.is_empty() {
        return None;
    }
    if text.contains('\0') {
        let message = "the text has a NUL character, which PostgreSQL cannot store";
        return Some(fault(Reason::TextNul, message, None));
    }
    Some(Value::Text(text))
}

fn fault(reason: Reason, message: &str, value: Option<&str>) -> Value {
    Value::Fault(CellFault { reason, message: message.to_owned(), value: value.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_names() {
        for (name, position) in
            [("A1", (0, 0)), ("Z9", (8, 25)), ("AA10", (9, 26)), ("XFD1048576", (1_048_575, 16_383))]
        {
            assert_eq!(parse_name(name), Some(position));
            assert_eq!(cell_name(position.0, position.1), name);
        }
        for name in ["", "A", "1", "A0", "XFE1", "A1048577", "A1B", "Ä1", "AAAA1", "A-1", "A99999999999"] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
