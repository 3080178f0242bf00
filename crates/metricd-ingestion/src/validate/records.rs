//! Parses files of records, with the same rules for CSV and JSON.

mod commas;
mod json;
mod values;

use std::borrow::Cow;

use metricd_domain::{Decimal, Label, Location, Record, RecordDate};

use super::csv_faults::{
    at_column, at_line, decode_text, parse_query_id, refuse_fault, validate_header, validate_width,
};
use crate::Reason;
use crate::csv::{Columns, CsvRecord};
use crate::findings::Findings;
use crate::kind::RECORD_COLUMNS;

pub(crate) use commas::has_ambiguous_commas;

/// The number of columns of a record.
const COLUMN_COUNT: usize = RECORD_COLUMNS.len();

/// The columns with numbers.
const NUMBER_COLUMNS: [&str; 3] = ["obsolescence", "parts_flagged", "obsolescence_val"];

/// The outcome of a row.
#[derive(Debug)]
pub(crate) enum RowOutcome {
    /// The row is valid. The number is that of its first line.
    Valid(u64, Record),
    /// A value of the row was refused.
    Refused,
    /// The row has no values. Spreadsheets leave such rows below a table.
    Blank,
}

/// Parses the rows of one file of records.
#[derive(Debug)]
pub(crate) struct RecordParser {
    file: String,
    /// The positions of the columns in a CSV row.
    columns: Option<Columns<COLUMN_COUNT>>,
    commas: Commas,
    /// The decimal sign of the first number that has one, and its line.
    decimal_sign: Option<(char, u64)>,
    /// For each column, the number of values with leading or trailing blanks, and the line of the first one.
    padded: [(u64, u64); COLUMN_COUNT],
    /// The unknown keys of JSON records that were already reported.
    unknown_keys: Vec<String>,
}

/// What a comma in the numbers of a file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commas {
    /// A comma is invalid in a number, for example because it separates fields.
    Invalid,
    /// A comma is the decimal sign, unless earlier numbers have points.
    Decimal,
    /// A comma is the decimal sign or separates thousands, and the file does not show which.
    Ambiguous,
}

/// Marks a value that was refused, and reported.
struct Refused;

/// The texts of a row, in the order of the columns. An error marks a text that was refused.
type Texts<'a> = [Result<Cow<'a, str>, Refused>; COLUMN_COUNT];

/// The position of a row.
#[derive(Debug, Clone, Copy)]
struct RowPosition {
    line: u64,
    /// The index in a JSON array, from 0.
    index: Option<u64>,
}

impl RecordParser {
    /// Makes a parser for rows with this header. `None` after it refused the header.
    pub(crate) fn of_csv(file: &str, header: &CsvRecord<'_>, findings: &mut Findings) -> Option<Self> {
        let columns = validate_header(file, header, RECORD_COLUMNS, findings)?;
        Some(Self { columns: Some(columns), ..Self::of_json(file) })
    }

    /// Sets the meaning of commas in numbers.
    pub(crate) fn with_commas(self, commas: Commas) -> Self {
        Self { commas, ..self }
    }

    /// Makes a parser for the records of a JSON file.
    pub(crate) fn of_json(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            columns: None,
            commas: Commas::Invalid,
            decimal_sign: None,
            padded: [(0, 0); COLUMN_COUNT],
            unknown_keys: Vec::new(),
        }
    }

    /// Parses a CSV row, and reports its faults.
    pub(crate) fn parse_csv(&mut self, row: &CsvRecord<'_>, findings: &mut Findings) -> RowOutcome {
        let (line, fields, is_last) = match row {
            CsvRecord::Fields { line, fields, is_last } => (*line, *fields, *is_last),
            CsvRecord::Fault { line, last_line, fault, text } => {
                refuse_fault(&self.file, (*line, *last_line), *fault, text, findings);
                return RowOutcome::Refused;
            }
        };
        let Some(columns) = &self.columns else { return RowOutcome::Refused };
        if !validate_width(&self.file, line, fields, is_last, columns.width, findings) {
            return RowOutcome::Refused;
        }
        let texts = std::array::from_fn(|index| {
            let bytes = fields.get(columns.positions[index]).unwrap_or_default();
            let text = decode_text(bytes, || at_column(&self.file, line, RECORD_COLUMNS[index]), findings);
            text.map(Cow::Borrowed).ok_or(Refused)
        });
        self.parse_texts(RowPosition { line, index: None }, texts, findings)
    }

    /// Reports findings about the whole file. Call it after the last row.
    pub(crate) fn finish(&self, findings: &mut Findings) {
        for (column, (count, line)) in RECORD_COLUMNS.into_iter().zip(self.padded) {
            if count > 0 {
                let values = if count == 1 { "1 value has".to_owned() } else { format!("{count} values have") };
                let message = format!("{values} leading or trailing blanks, first here: they are stored without them");
                findings.notice(at_column(&self.file, line, column), Reason::TextPadded, message);
            }
        }
        if let Some((',', line)) = self.decimal_sign {
            let message = "numbers have a decimal comma, first here: `12,5` is read as 12.5";
            findings.notice(at_line(&self.file, line), Reason::DecimalComma, message);
        }
    }

    fn location(&self, position: RowPosition) -> Location {
        let pointer = position.index.map(|index| format!("/{index}"));
        Location { pointer, ..at_line(&self.file, position.line) }
    }

    fn parse_texts(&mut self, position: RowPosition, texts: Texts<'_>, findings: &mut Findings) -> RowOutcome {
        for (text, (count, first)) in texts.iter().zip(&mut self.padded) {
            if let Ok(text) = text
                && text.trim().len() < text.len()
            {
                *first = if *count == 0 { position.line } else { *first };
                *count += 1;
            }
        }
        if texts.iter().all(|text| text.as_ref().is_ok_and(|text| text.trim().is_empty())) {
            return RowOutcome::Blank;
        }
        match self.record(position, texts, findings) {
            Ok(record) => RowOutcome::Valid(position.line, record),
            Err(Refused) => RowOutcome::Refused,
        }
    }

    /// Parses a record, and reports all faults in its texts.
    fn record(&mut self, position: RowPosition, texts: Texts<'_>, findings: &mut Findings) -> Result<Record, Refused> {
        let row = self.location(position);
        let mut column = 0;
        let mut fields = texts.map(|text| {
            let name = RECORD_COLUMNS[column];
            column += 1;
            text.map(|text| Field { row: &row, column: name, text, written: None, commas: self.commas })
        });
        if self.commas == Commas::Decimal {
            for field in fields.iter_mut().flatten().filter(|field| NUMBER_COLUMNS.contains(&field.column)) {
                self.decimal_sign = field.with_decimal_point(self.decimal_sign, position.line);
            }
        }
        let [id, date, obsolescence, alert_type, parts_flagged, obsolescence_val, alert_category] = fields;
        let query_id = id.map(|field| parse_query_id(&field.text, || field.location(), findings));
        let date = date.and_then(|field| field.required_date(findings));
        let obsolescence = obsolescence.and_then(|field| field.decimal(findings));
        let alert_type = alert_type.and_then(|field| field.label(findings));
        let parts_flagged = parts_flagged.and_then(|field| field.integer(findings));
        let obsolescence_val = obsolescence_val.and_then(|field| field.decimal(findings));
        let alert_category = alert_category.and_then(|field| field.label(findings));
        Ok(Record {
            query_id: query_id?.ok_or(Refused)?,
            date: date?,
            obsolescence: obsolescence?,
            alert_type: alert_type?,
            parts_flagged: parts_flagged?,
            obsolescence_val: obsolescence_val?,
            alert_category: alert_category?,
        })
    }
}

/// The value of one column. An empty or blank text is no value.
struct Field<'a> {
    row: &'a Location,
    column: &'static str,
    text: Cow<'a, str>,
    /// The text in the file, if `text` differs from it.
    written: Option<String>,
    commas: Commas,
}

impl Field<'_> {
    fn location(&self) -> Location {
        Location { column: Some(self.column.to_owned()), ..self.row.clone() }
    }

    /// Replaces a decimal comma by a point, unless earlier numbers have points. Returns the decimal sign of the numbers
    /// so far.
    fn with_decimal_point(&mut self, sign: Option<(char, u64)>, line: u64) -> Option<(char, u64)> {
        let found = self.text.trim().chars().find(|character| [',', '.'].contains(character));
        let sign = sign.or(found.map(|found| (found, line)));
        // In a number with the other sign, the swap leaves a comma, which makes the number invalid.
        if let Some((',', _)) = sign {
            let swapped = |character| match character {
                ',' => '.',
                '.' => ',',
                other => other,
            };
            let text = self.text.chars().map(swapped).collect();
            self.written = Some(std::mem::replace(&mut self.text, Cow::Owned(text)).into_owned());
        }
        sign
    }

    /// Parses the trimmed text. `None` if it is empty.
    fn optional<T>(
        &self,
        findings: &mut Findings,
        parse: impl FnOnce(&str) -> Result<T, (Reason, String)>,
    ) -> Result<Option<T>, Refused> {
        let text = self.text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        parse(text).map(Some).map_err(|(reason, message)| {
            findings.refuse(self.location(), Some(self.written.as_deref().unwrap_or(&self.text)), reason, message);
            Refused
        })
    }

    fn required_date(&self, findings: &mut Findings) -> Result<RecordDate, Refused> {
        self.optional(findings, values::date)?.ok_or_else(|| {
            findings.refuse(self.location(), Some(""), Reason::DateMissing, "the date is missing: expected YYYY-MM-DD");
            Refused
        })
    }

    fn decimal(&self, findings: &mut Findings) -> Result<Option<Decimal>, Refused> {
        self.optional(findings, |text| values::decimal(text).map_err(|fault| self.with_sign(fault)))
    }

    fn integer(&self, findings: &mut Findings) -> Result<Option<i64>, Refused> {
        self.optional(findings, |text| values::integer(text).map_err(|fault| self.with_sign(fault)))
    }

    /// Extends the message of an invalid number by the expected decimal sign, if that is a comma.
    fn with_sign(&self, (reason, message): (Reason, String)) -> (Reason, String) {
        if self.written.is_some() && reason == Reason::NumberInvalid {
            let message =
                "the preceding numbers have a decimal comma: expected digits with or without a comma, such as `12,50`";
            return (reason, message.to_owned());
        }
        if self.commas == Commas::Ambiguous && commas::is_ambiguous(self.text.trim()) {
            let message = "the comma may separate thousands or be the decimal sign, and no number in the file shows which: \
                           write `1234` for thousands, and `1.234` for a fraction";
            return (Reason::NumberAmbiguous, message.to_owned());
        }
        (reason, message)
    }

    fn label(&self, findings: &mut Findings) -> Result<Option<Label>, Refused> {
        self.optional(findings, values::label)
    }
}
