//! Parses files of queries.

use std::collections::BTreeSet;
use std::io::{self, Read};

use metricd_domain::{InvalidSql, Query, QueryId, SqlText};
use metricd_execution::{FindingCode, SqlValidator};

use super::csv_faults::{
    at_column, at_line, decode_text, parse_query_id, refuse_fault, validate_header, validate_width,
};
use super::merge::Located;
use crate::Reason;
use crate::csv::{CsvRecord, CsvRecords};
use crate::findings::{Findings, refuse_sql};
use crate::kind::QUERY_COLUMNS;

/// The queries of a file.
#[derive(Debug, Default)]
pub(crate) struct DraftQueries {
    /// The queries with valid syntax.
    pub(crate) queries: Vec<Located<Query>>,
    /// The ids of the queries whose SQL was refused.
    pub(crate) refused: BTreeSet<QueryId>,
    /// The number of entries in the file.
    pub(crate) entries: u64,
}

/// Parses each query, and checks its syntax.
pub(crate) fn parse_queries(
    file: &str,
    input: impl Read,
    validator: &SqlValidator,
    findings: &mut Findings,
) -> io::Result<DraftQueries> {
    let mut records = CsvRecords::new(input);
    let mut draft = DraftQueries::default();
    let Some(header) = records.next()? else { return Ok(draft) };
    let Some(columns) = validate_header(file, &header, QUERY_COLUMNS, findings) else { return Ok(draft) };
    while let Some(record) = records.next()? {
        draft.entries += 1;
        match record {
            CsvRecord::Fault { line, last_line, fault, text } => {
                refuse_fault(file, (line, last_line), fault, text, findings);
            }
            CsvRecord::Fields { line, fields, is_last } => {
                if !validate_width(file, line, fields, is_last, columns.width, findings) {
                    continue;
                }
                let [id, sql] = columns.positions.map(|position| fields.get(position).unwrap_or_default());
                let id_location = || at_column(file, line, "id");
                let id =
                    decode_text(id, id_location, findings).and_then(|text| parse_query_id(text, id_location, findings));
                match (id, parse_sql(file, line, sql, validator, findings)) {
                    (Some(query_id), Some(sql)) => {
                        draft.queries.push(Located { value: Query { query_id, sql }, location: at_line(file, line) });
                    }
                    (id, _) => draft.refused.extend(id),
                }
            }
        }
    }
    Ok(draft)
}

fn parse_sql(
    file: &str,
    line: u64,
    bytes: &[u8],
    validator: &SqlValidator,
    findings: &mut Findings,
) -> Option<SqlText> {
    let location = || at_column(file, line, "query");
    let text = decode_text(bytes, location, findings)?;
    match SqlText::parse(text) {
        Err(error) => {
            let reason = match error {
                InvalidSql::Blank => Reason::Sql(FindingCode::Blank),
                InvalidSql::TooLong { .. } => Reason::SqlTooLong,
                InvalidSql::Nul => Reason::TextNul,
            };
            findings.refuse(location(), Some(text), reason, error.to_string());
            None
        }
        Ok(sql) => match validator.check_text(&sql) {
            Ok(()) => Some(sql),
            Err(found) => {
                refuse_sql(&location(), &sql, &found, findings);
                None
            }
        },
    }
}
