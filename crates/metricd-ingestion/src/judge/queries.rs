//! Files of queries.

use std::io::{self, Read};

use metricd_domain::{InvalidSql, Query, SqlText};
use metricd_execution::{InvalidStatement, Statement};

use super::csv_faults::{at_column, at_line, judge_header, judge_query_id, judge_text, judge_width, refuse_fault};
use super::merge::Located;
use crate::Reason;
use crate::csv::{CsvRecord, CsvRecords};
use crate::findings::Findings;
use crate::kind::QUERY_COLUMNS;

/// The good queries of a file, and how many entries it has.
pub(crate) fn judge_queries(
    file: &str,
    input: impl Read,
    findings: &mut Findings,
) -> io::Result<(Vec<Located<Query>>, u64)> {
    let mut records = CsvRecords::new(input);
    let mut queries = Vec::new();
    let mut entries = 0;
    let Some(header) = records.next()? else { return Ok((queries, entries)) };
    let Some(columns) = judge_header(file, &header, QUERY_COLUMNS, findings) else { return Ok((queries, entries)) };
    while let Some(record) = records.next()? {
        entries += 1;
        match record {
            CsvRecord::Fault { line, last_line, fault, text } => {
                refuse_fault(file, (line, last_line), fault, text, findings);
            }
            CsvRecord::Fields { line, fields, is_last } => {
                if !judge_width(file, line, fields, is_last, columns.width, findings) {
                    continue;
                }
                let [id, sql] = columns.positions.map(|position| fields.get(position).unwrap_or_default());
                let id_location = || at_column(file, line, "id");
                let id =
                    judge_text(id, id_location, findings).and_then(|text| judge_query_id(text, id_location, findings));
                let sql = judge_sql(file, line, sql, findings);
                if let (Some(query_id), Some(sql)) = (id, sql) {
                    queries.push(Located { value: Query { query_id, sql }, location: at_line(file, line) });
                }
            }
        }
    }
    Ok((queries, entries))
}

fn judge_sql(file: &str, line: u64, bytes: &[u8], findings: &mut Findings) -> Option<SqlText> {
    let location = || at_column(file, line, "query");
    let text = judge_text(bytes, location, findings)?;
    let (reason, message) = match SqlText::parse(text) {
        Err(error) => {
            let reason = match error {
                InvalidSql::Blank => Reason::SqlBlank,
                InvalidSql::TooLong { .. } => Reason::SqlTooLong,
                InvalidSql::Nul => Reason::TextNul,
            };
            (reason, error.to_string())
        }
        Ok(sql) => match Statement::parse(&sql) {
            Ok(_) => return Some(sql),
            Err(error) => {
                let reason = match error {
                    InvalidStatement::Empty => Reason::SqlBlank,
                    InvalidStatement::NotAQuery { .. } => Reason::SqlNotAQuery,
                    InvalidStatement::Several { .. } => Reason::SqlSeveralStatements,
                    InvalidStatement::Syntax { .. } => Reason::SqlUnreadable,
                };
                (reason, error.to_string())
            }
        },
    };
    findings.refuse(location(), Some(text), reason, message);
    None
}
