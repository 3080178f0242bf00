//! Cells of a sheet: numbers and dates if a spreadsheet keeps every digit of them, texts otherwise.

use metricd_execution::{Column, EncodeError, FieldType};

use super::super::Refusal;
use super::text::write_cell_text;

/// The style of names of columns.
pub(super) const HEADER_STYLE: u8 = 1;
const DATE_STYLE: u8 = 2;
const TIMESTAMP_STYLE: u8 = 3;
const INSTANT_STYLE: u8 = 4;
/// The style of texts, so that a number as text stays one when it is edited.
const TEXT_STYLE: u8 = 5;

/// The most significant digits that spreadsheets keep.
const MAX_DIGITS: usize = 15;

/// The most digits before the point: numbers end at 1e308.
const MAX_WHOLE_DIGITS: usize = 308;

/// The day number of 2000-01-01.
const EPOCH_DAY: i64 = 36_526;

/// The first day whose number is right in every spreadsheet, 1900-03-01: Excel counts a 29th of February before it.
const FIRST_DAY: i64 = 61;

/// The last day, 9999-12-31.
const LAST_DAY: i64 = 2_958_465;

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// A column of the sheet.
pub(super) struct CellColumn {
    column: Column,
    /// `A`, …, `Z`, `AA`, …
    letters: String,
    scratch: Vec<u8>,
}

impl CellColumn {
    pub(super) fn new(index: usize, column: &Column) -> Self {
        Self { column: column.clone(), letters: letters(index), scratch: Vec::new() }
    }

    pub(super) fn name(&self) -> &str {
        &self.column.name
    }

    pub(super) fn letters(&self) -> &str {
        &self.letters
    }

    /// The width in characters: dates that are too wide are shown as `####`.
    pub(super) fn width(&self) -> u8 {
        match self.column.field_type {
            FieldType::Timestamp | FieldType::TimestampTz => 26,
            FieldType::Uuid => 38,
            FieldType::Boolean | FieldType::SmallInt | FieldType::Integer => 12,
            _ => 16,
        }
    }

    /// The error of a value of this column.
    pub(super) fn error(&self, refusal: &Refusal) -> EncodeError {
        match refusal {
            Refusal::Malformed => self.column.malformed(),
            Refusal::Unrepresentable(reason) => {
                EncodeError::Unrepresentable { column: self.column.name.clone(), reason: (*reason).to_owned() }
            }
        }
    }

    /// Writes the cell of a value that is not NULL.
    pub(super) fn write(&mut self, row: &str, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.scratch.clear();
        self.column.write_text(bytes, &mut self.scratch).map_err(|_| Refusal::Malformed)?;
        let text = std::str::from_utf8(&self.scratch).map_err(|_| Refusal::Malformed)?;
        let is_number = match self.column.field_type {
            FieldType::Boolean => {
                begin_cell(&self.letters, row, "b", 0, out);
                out.extend_from_slice(if text == "true" { b"<v>1</v></c>" } else { b"<v>0</v></c>" });
                return Ok(());
            }
            FieldType::SmallInt | FieldType::Integer | FieldType::Oid => true,
            FieldType::BigInt | FieldType::Numeric(_) => is_kept(text),
            FieldType::Real | FieldType::Double => is_float_kept(text),
            _ => false,
        };
        if is_number {
            write_number_cell(&self.letters, row, 0, self.scratch.as_slice(), out);
            return Ok(());
        }
        if let Some((style, day)) = self.day_number(bytes) {
            write_number_cell(&self.letters, row, style, ryu::Buffer::new().format_finite(day).as_bytes(), out);
            return Ok(());
        }
        let style = match self.column.field_type {
            FieldType::Text | FieldType::Json | FieldType::Jsonb | FieldType::Uuid | FieldType::Bytea => 0,
            _ => TEXT_STYLE,
        };
        write_text_cell(&self.letters, row, style, text, out)
    }

    /// The style and the number of a date or timestamp: days with a fraction. `None` if a spreadsheet has no number for it:
    /// it keeps milliseconds, from 1900-03-01 to 9999-12-31.
    fn day_number(&self, bytes: &[u8]) -> Option<(u8, f64)> {
        let (style, day, microseconds) = match self.column.field_type {
            FieldType::Date => (DATE_STYLE, i64::from(i32::from_be_bytes(bytes.try_into().ok()?)), 0),
            FieldType::Timestamp | FieldType::TimestampTz => {
                let value = i64::from_be_bytes(bytes.try_into().ok()?);
                let is_local = self.column.field_type == FieldType::Timestamp;
                let style = if is_local { TIMESTAMP_STYLE } else { INSTANT_STYLE };
                (style, value.div_euclid(MICROSECONDS_PER_DAY), value.rem_euclid(MICROSECONDS_PER_DAY))
            }
            _ => return None,
        };
        let day = day + EPOCH_DAY;
        if !(FIRST_DAY..=LAST_DAY).contains(&day) || microseconds % 1_000 != 0 {
            return None;
        }
        let (day, milliseconds) = (u32::try_from(day).ok()?, u32::try_from(microseconds / 1_000).ok()?);
        Some((style, f64::from(day) + f64::from(milliseconds) / 86_400_000.0))
    }
}

/// Whether a spreadsheet keeps every digit of a number without an exponent.
fn is_kept(text: &str) -> bool {
    let digits = text.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || whole.len() > MAX_WHOLE_DIGITS {
        return false;
    }
    let digits = || whole.bytes().chain(fraction.bytes());
    let is_significant = |digit: u8| digit != b'0';
    let first = digits().position(is_significant);
    let last = digits().enumerate().filter(|(_, digit)| is_significant(*digit)).map(|(index, _)| index).last();
    let significant = first.zip(last).map_or(0, |(first, last)| last - first + 1);
    fraction.len() < MAX_WHOLE_DIGITS && significant <= MAX_DIGITS
}

/// Whether a spreadsheet keeps a float: it has no NaN, no infinities and no subnormal numbers.
fn is_float_kept(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(|value| value.is_normal() || value == 0.0)
}

fn begin_cell(letters: &str, row: &str, kind: &str, style: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<c r=\"");
    out.extend_from_slice(letters.as_bytes());
    out.extend_from_slice(row.as_bytes());
    if style > 0 {
        out.extend_from_slice(b"\" s=\"");
        out.push(b'0' + style);
    }
    if !kind.is_empty() {
        out.extend_from_slice(b"\" t=\"");
        out.extend_from_slice(kind.as_bytes());
    }
    out.extend_from_slice(b"\">");
}

fn write_number_cell(letters: &str, row: &str, style: u8, number: &[u8], out: &mut Vec<u8>) {
    begin_cell(letters, row, "", style, out);
    out.extend_from_slice(b"<v>");
    out.extend_from_slice(number);
    out.extend_from_slice(b"</v></c>");
}

/// Writes a text as a string, never as a formula.
pub(super) fn write_text_cell(
    letters: &str,
    row: &str,
    style: u8,
    text: &str,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    begin_cell(letters, row, "inlineStr", style, out);
    out.extend_from_slice(b"<is><t xml:space=\"preserve\">");
    write_cell_text(text, out)?;
    out.extend_from_slice(b"</t></is></c>");
    Ok(())
}

/// The letters of a column, from its index.
fn letters(index: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = index + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(b'A' + u8::try_from(rest % 26).unwrap_or_default());
        rest /= 26;
    }
    letters.reverse();
    String::from_utf8(letters).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_letters() {
        for (index, expected) in [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA"), (16_383, "XFD")] {
            assert_eq!(letters(index), expected);
        }
    }

    #[test]
    fn a_number_of_more_than_fifteen_digits_is_a_text() {
        for (text, expected) in [
            ("0", true),
            ("-999999999999999", true),
            ("1234567890123456", false),
            ("123456789012345000000", true),
            ("0.000000000000000000123456789012345", true),
            ("123456789012345.6", false),
            ("100000000000000.50", false),
            ("1.500000000000000000000", true),
            ("NaN", false),
            ("-Infinity", false),
        ] {
            assert_eq!(is_kept(text), expected, "{text}");
        }
        assert!(!is_kept(&format!("1{}", "0".repeat(308))));
        assert!(!is_kept(&format!("0.{}1", "0".repeat(307))));
        for (text, expected) in [("1.7976931348623157e308", true), ("5e-324", false), ("-0.0", true), ("NaN", false)] {
            assert_eq!(is_float_kept(text), expected, "{text}");
        }
    }

    #[test]
    fn dates_have_the_numbers_of_spreadsheets() {
        let number = |field_type: FieldType, bytes: &[u8]| {
            let column = Column { name: "c".into(), type_name: "any".into(), field_type };
            CellColumn::new(0, &column).day_number(bytes)
        };
        let date = |days: i32| number(FieldType::Date, &days.to_be_bytes());
        assert_eq!(date(0), Some((DATE_STYLE, 36_526.0)));
        assert_eq!(date(-36_465), Some((DATE_STYLE, 61.0)), "1900-03-01");
        assert_eq!((date(-36_466), date(2_921_939)), (None, Some((DATE_STYLE, 2_958_465.0))));
        assert_eq!((date(2_921_940), date(i32::MAX), date(i32::MIN)), (None, None, None));
        let timestamp = |microseconds: i64| number(FieldType::Timestamp, &microseconds.to_be_bytes());
        assert_eq!(timestamp(43_200_000_000), Some((TIMESTAMP_STYLE, 36_526.5)));
        assert_eq!((timestamp(1), timestamp(i64::MAX)), (None, None));
    }
}
