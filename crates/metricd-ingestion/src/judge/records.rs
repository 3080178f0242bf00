//! Files of records, row by row.

use std::num::IntErrorKind;

use chrono::{Datelike, NaiveDate};
use metricd_domain::{Decimal, InvalidDecimal, InvalidLabel, Label, Location, Record};

use super::csv_faults::{at_column, judge_header, judge_query_id, judge_text, judge_width, refuse_fault};
use crate::Reason;
use crate::csv::{Columns, CsvRecord};
use crate::findings::Findings;
use crate::kind::RECORD_COLUMNS;

/// Judges the rows of one file of records.
#[derive(Debug)]
pub(crate) struct RecordJudge {
    file: String,
    columns: Columns<{ RECORD_COLUMNS.len() }>,
}

impl RecordJudge {
    /// Judges the rows under that header, or `None` after saying what is wrong with it.
    pub(crate) fn new(file: &str, header: &CsvRecord<'_>, findings: &mut Findings) -> Option<Self> {
        let columns = judge_header(file, header, RECORD_COLUMNS, findings)?;
        Some(Self { file: file.to_owned(), columns })
    }

    /// The record with the line on which it begins, or `None` after saying everything that is wrong with it.
    pub(crate) fn judge(&self, row: &CsvRecord<'_>, findings: &mut Findings) -> Option<(u64, Record)> {
        let (line, fields, is_last) = match row {
            CsvRecord::Fields { line, fields, is_last } => (*line, *fields, *is_last),
            CsvRecord::Fault { line, last_line, fault, text } => {
                refuse_fault(&self.file, (*line, *last_line), *fault, text, findings);
                return None;
            }
        };
        if !judge_width(&self.file, line, fields, is_last, self.columns.width, findings) {
            return None;
        }
        let field = |index: usize| Field {
            file: &self.file,
            line,
            column: RECORD_COLUMNS[index],
            bytes: fields.get(self.columns.positions[index]).unwrap_or_default(),
        };
        let query_id = field(0).text(findings).and_then(|text| {
            let location = || at_column(&self.file, line, RECORD_COLUMNS[0]);
            judge_query_id(text, location, findings)
        });
        let date = field(1).required_date(findings);
        let obsolescence = field(2).decimal(findings);
        let alert_type = field(3).label(findings);
        let parts_flagged = field(4).integer(findings);
        let obsolescence_val = field(5).decimal(findings);
        let alert_category = field(6).label(findings);
        let record = Record {
            query_id: query_id?,
            date: date?,
            obsolescence: obsolescence.ok()?,
            alert_type: alert_type.ok()?,
            parts_flagged: parts_flagged.ok()?,
            obsolescence_val: obsolescence_val.ok()?,
            alert_category: alert_category.ok()?,
        };
        Some((line, record))
    }
}

/// The value was refused, and the findings say so.
struct Refused;

/// One field of a row. What is empty is no value.
struct Field<'a> {
    file: &'a str,
    line: u64,
    column: &'static str,
    bytes: &'a [u8],
}

impl<'a> Field<'a> {
    fn location(&self) -> Location {
        at_column(self.file, self.line, self.column)
    }

    fn text(&self, findings: &mut Findings) -> Option<&'a str> {
        judge_text(self.bytes, || self.location(), findings)
    }

    fn refuse(&self, text: &str, reason: Reason, message: impl Into<String>, findings: &mut Findings) {
        findings.refuse(self.location(), Some(text), reason, message);
    }

    /// The value that `parse` makes of the text, where there is any.
    fn optional<T>(
        &self,
        findings: &mut Findings,
        parse: impl FnOnce(&str) -> Result<T, (Reason, String)>,
    ) -> Result<Option<T>, Refused> {
        let text = self.text(findings).ok_or(Refused)?;
        if text.is_empty() {
            return Ok(None);
        }
        parse(text).map(Some).map_err(|(reason, message)| {
            self.refuse(text, reason, message, findings);
            Refused
        })
    }

    fn required_date(&self, findings: &mut Findings) -> Option<NaiveDate> {
        match self.optional(findings, |text| date(text.trim())) {
            Ok(None) => {
                self.refuse("", Reason::DateMissing, "the date is missing: expected YYYY-MM-DD", findings);
                None
            }
            Ok(date) => date,
            Err(Refused) => None,
        }
    }

    fn decimal(&self, findings: &mut Findings) -> Result<Option<Decimal>, Refused> {
        self.optional(findings, |text| {
            Decimal::parse(text.trim()).map_err(|error| {
                let reason = match error {
                    InvalidDecimal::NotFinite => Reason::NumberNotFinite,
                    InvalidDecimal::Syntax => Reason::NumberInvalid,
                    InvalidDecimal::TooLong => Reason::NumberOutOfRange,
                };
                (reason, error.to_string())
            })
        })
    }

    fn integer(&self, findings: &mut Findings) -> Result<Option<i64>, Refused> {
        self.optional(findings, |text| {
            text.trim().parse::<i64>().map_err(|error| match (error.kind(), Decimal::parse(text.trim())) {
                (_, Err(error @ InvalidDecimal::NotFinite)) => (Reason::NumberNotFinite, error.to_string()),
                (IntErrorKind::PosOverflow | IntErrorKind::NegOverflow, _) => {
                    (Reason::NumberOutOfRange, format!("expected a whole number from {} to {}", i64::MIN, i64::MAX))
                }
                _ => (Reason::NumberInvalid, "expected a whole number such as `7`".to_owned()),
            })
        })
    }

    fn label(&self, findings: &mut Findings) -> Result<Option<Label>, Refused> {
        self.optional(findings, |text| {
            Label::parse(text).map_err(|error| {
                let reason = match error {
                    InvalidLabel::Empty | InvalidLabel::TooLong { .. } => Reason::TextTooLong,
                    InvalidLabel::Nul => Reason::TextNul,
                };
                (reason, error.to_string())
            })
        })
    }
}

/// The day that is written as YYYY-MM-DD, in the years 1 to 9999.
fn date(text: &str) -> Result<NaiveDate, (Reason, String)> {
    let written_as_day = |text: &str| {
        let bytes = text.as_bytes();
        let digits = |range: std::ops::Range<usize>| bytes[range].iter().all(u8::is_ascii_digit);
        bytes.len() == 10 && digits(0..4) && bytes[4] == b'-' && digits(5..7) && bytes[7] == b'-' && digits(8..10)
    };
    if written_as_day(text) {
        return match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            Ok(date) if date.year() >= 1 => Ok(date),
            _ => Err((Reason::DateInvalid, "the day does not exist in the calendar".to_owned())),
        };
    }
    let day = text.get(..10).filter(|day| written_as_day(day));
    match day.filter(|_| text[10..].starts_with(['T', 't', ' '])) {
        Some(day) => Err((
            Reason::DateTimestamp,
            format!("a timestamp stands where a date is meant: expected a day such as `{day}`"),
        )),
        None => Err((Reason::DateInvalid, "expected a day written as YYYY-MM-DD".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_days_and_nothing_else() {
        assert_eq!(date("2024-02-29").unwrap(), NaiveDate::from_ymd_opt(2024, 2, 29).unwrap());
        let reason = |text: &str| date(text).unwrap_err().0;
        for text in [
            "2025-02-29",
            "0000-01-01",
            "2025-13-01",
            "2025-00-10",
            "01/06/2025",
            "2025-6-1",
            "",
            "2025-06-01x",
            "é25-06-01",
        ] {
            assert_eq!(reason(text), Reason::DateInvalid, "{text:?}");
        }
        for text in ["2025-06-01T00:00:00", "2025-06-01 12:30", "2025-06-01T00:00:00Z"] {
            assert_eq!(reason(text), Reason::DateTimestamp, "{text:?}");
        }
    }
}
