//! Checks that all kinds of CSV files share: headers, rows and syntax.

use metricd_domain::{Location, MAX_ID_CHARS, QueryId};

use crate::Reason;
use crate::csv::{Columns, CsvFault, CsvRecord, Fields, Header, HeaderFault, explain_width};
use crate::findings::Findings;

pub(super) fn at_line(file: &str, line: u64) -> Location {
    Location { file: file.to_owned(), line: Some(line), ..Location::default() }
}

pub(super) fn at_column(file: &str, line: u64, column: &str) -> Location {
    Location { column: Some(column.to_owned()), ..at_line(file, line) }
}

/// Finds the positions of the wanted columns. `None` after it refused the header.
pub(super) fn validate_header<const N: usize>(
    file: &str,
    header: &CsvRecord<'_>,
    wanted: [&'static str; N],
    findings: &mut Findings,
) -> Option<Columns<N>> {
    let (line, fields) = match header {
        CsvRecord::Fields { line, fields, .. } => (*line, *fields),
        CsvRecord::Fault { line, last_line, fault, text } => {
            refuse_fault(file, (*line, *last_line), *fault, text, findings);
            return None;
        }
    };
    let header = Header::new(fields);
    match header.locate(wanted) {
        Ok(columns) => {
            // Spreadsheets leave columns that have neither a name nor values.
            for name in header.unknown(&wanted).filter(|name| !name.is_empty()) {
                let message = format!("the column `{name}` is unknown and was skipped");
                findings.notice(at_column(file, line, name), Reason::ColumnUnknown, message);
            }
            Some(columns)
        }
        Err(faults) => {
            for fault in faults {
                refuse_header(file, line, &header, &fault, findings);
            }
            None
        }
    }
}

fn refuse_header(file: &str, line: u64, header: &Header, fault: &HeaderFault, findings: &mut Findings) {
    let names = header.names.join(",");
    let (column, reason, message) = match fault {
        HeaderFault::Missing { column, similar: Some(similar) } => {
            let message = format!("the header has no column `{column}`, but `{similar}`: did you mean `{column}`?");
            (column, Reason::ColumnMissing, message)
        }
        HeaderFault::Missing { column, similar: None } => {
            (column, Reason::ColumnMissing, format!("the header has no column `{column}`"))
        }
        HeaderFault::Repeated { column } => {
            (column, Reason::ColumnRepeated, format!("the header has the column `{column}` more than once"))
        }
    };
    findings.refuse(at_column(file, line, column), Some(&names), reason, message);
}

/// Refuses lines that could not be read as a record.
pub(super) fn refuse_fault(file: &str, lines: (u64, u64), fault: CsvFault, text: &[u8], findings: &mut Findings) {
    let (reason, message) = fault.explain(lines);
    let value = String::from_utf8_lossy(&text[..text.len().min(400)]);
    findings.refuse(at_line(file, lines.0), Some(value.trim_end()), reason, message);
}

/// Whether the row has as many fields as the header. If it has not, it is refused. The last row may be truncated.
pub(super) fn validate_width(
    file: &str,
    line: u64,
    row: Fields<'_>,
    is_last: bool,
    width: usize,
    findings: &mut Findings,
) -> bool {
    if row.len() == width {
        return true;
    }
    let shown: Vec<_> = row.iter().map(String::from_utf8_lossy).collect();
    let message = explain_width(row.len(), width, is_last);
    findings.refuse(at_line(file, line), Some(&shown.join(",")), Reason::RowRagged, message);
    false
}

/// Decodes the field as text. `None` after it refused invalid UTF-8.
pub(super) fn decode_text<'a>(
    bytes: &'a [u8],
    location: impl Fn() -> Location,
    findings: &mut Findings,
) -> Option<&'a str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let message = format!("the text is not UTF-8 from byte {} on", error.valid_up_to() + 1);
            findings.refuse(location(), Some(&String::from_utf8_lossy(bytes)), Reason::TextEncoding, message);
            None
        }
    }
}

/// Parses the query id. `None` after it was refused.
pub(super) fn parse_query_id(text: &str, location: impl Fn() -> Location, findings: &mut Findings) -> Option<QueryId> {
    match QueryId::parse(text.trim()) {
        Ok(id) => Some(id),
        Err(_) if text.trim().is_empty() => {
            let message = format!("the id is missing: expected 1 to {MAX_ID_CHARS} characters of `A-Z a-z 0-9 _ -`");
            findings.refuse(location(), Some(text), Reason::IdMissing, message);
            None
        }
        Err(error) => {
            findings.refuse(location(), Some(text), Reason::IdInvalid, error.to_string());
            None
        }
    }
}
