//! Explains faults of CSV files, for people.

use super::records::{CsvFault, MAX_RECORD_BYTES};
use crate::Reason;

impl CsvFault {
    /// The code of a fault that affects these lines, and what is wrong.
    pub(crate) fn explain(self, lines: (u64, u64)) -> (Reason, String) {
        let skipped = match lines {
            (first, last) if first == last => String::new(),
            (first, last) => format!("; lines {first} to {last} were skipped"),
        };
        let (reason, message) = match self {
            Self::StrayQuote => (
                Reason::QuoteStray,
                "a quote is misplaced: quote a field that contains quotes, and double each quote in it".to_owned(),
            ),
            Self::Unclosed => (
                Reason::QuoteUnclosed,
                "a quoted field does not end: its closing quote is missing, or the file is truncated".to_owned(),
            ),
            Self::TooLong { is_quoted: true } => (
                Reason::RecordTooLong,
                format!("a record has more than {MAX_RECORD_BYTES} bytes: probably a closing quote is missing"),
            ),
            Self::TooLong { is_quoted: false } => (
                Reason::RecordTooLong,
                format!("a line has more than {MAX_RECORD_BYTES} bytes: the file may not be text in lines"),
            ),
        };
        (reason, message + &skipped)
    }
}

/// What is wrong with a row of `fields` fields, if the header has `width`. The last row may be truncated.
pub(crate) fn explain_width(fields: usize, width: usize, is_last: bool) -> String {
    let truncated = if is_last && fields < width { "; the file may be truncated here" } else { "" };
    let noun = if fields == 1 { "field" } else { "fields" };
    format!("the row has {fields} {noun}, but the header has {width}{truncated}")
}
