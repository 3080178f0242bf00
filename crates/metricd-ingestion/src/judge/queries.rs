//! Files of queries.

use std::collections::BTreeSet;
use std::io::{self, Read};

use metricd_domain::{InvalidSql, Query, QueryId, SqlText};
use metricd_execution::{FindingCode, Judge};

use super::csv_faults::{at_column, at_line, judge_header, judge_query_id, judge_text, judge_width, refuse_fault};
use super::merge::Located;
use crate::Reason;
use crate::csv::{CsvRecord, CsvRecords};
use crate::findings::{Findings, refuse_sql};
use crate::kind::QUERY_COLUMNS;

/// What a file of queries says.
#[derive(Debug, Default)]
pub(crate) struct DraftQueries {
    /// The queries that are good by their text.
    pub(crate) queries: Vec<Located<Query>>,
    /// The ids of those whose SQL is not.
    pub(crate) refused: BTreeSet<QueryId>,
    /// How many entries the file has.
    pub(crate) entries: u64,
}

/// Judges each query by its text.
pub(crate) fn judge_queries(
    file: &str,
    input: impl Read,
    judge: &Judge,
    findings: &mut Findings,
) -> io::Result<DraftQueries> {
    let mut records = CsvRecords::new(input);
    let mut draft = DraftQueries::default();
    let Some(header) = records.next()? else { return Ok(draft) };
    let Some(columns) = judge_header(file, &header, QUERY_COLUMNS, findings) else { return Ok(draft) };
    while let Some(record) = records.next()? {
        draft.entries += 1;
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
                match (id, judge_sql(file, line, sql, judge, findings)) {
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

fn judge_sql(file: &str, line: u64, bytes: &[u8], judge: &Judge, findings: &mut Findings) -> Option<SqlText> {
    let location = || at_column(file, line, "query");
    let text = judge_text(bytes, location, findings)?;
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
        Ok(sql) => match judge.screen(&sql) {
            Ok(()) => Some(sql),
            Err(found) => {
                refuse_sql(&location(), &sql, &found, findings);
                None
            }
        },
    }
}
