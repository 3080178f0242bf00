//! What a file of several results says about them: `results.json` in a zip archive, or the sheet `Results` of a workbook.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use metricd_domain::TimeZone;
use metricd_execution::{AppliedPeriod, Column, EncodeError, FieldType, ResultHead, Row, RowWriter, RunOutcome};
use serde::Serialize;

use super::output::{EncodedProblem, encode_document, encode_entry};
use crate::Problem;
use crate::results::definition_cache::CachedMetric;
use crate::results::document::ColumnResponse;

/// The title of the sheet.
const SHEET_TITLE: &str = "Results";

/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's timestamps begin.
const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

/// The columns of the sheet.
const COLUMNS: [(&str, &str, FieldType); 13] = [
    ("metric_id", "text", FieldType::Text),
    ("title", "text", FieldType::Text),
    ("sheet", "text", FieldType::Text),
    ("row_count", "bigint", FieldType::BigInt),
    ("truncated", "boolean", FieldType::Boolean),
    ("problem", "text", FieldType::Text),
    ("detail", "text", FieldType::Text),
    ("query_id", "text", FieldType::Text),
    ("query_version", "bigint", FieldType::BigInt),
    ("start_date", "text", FieldType::Text),
    ("end_date", "text", FieldType::Text),
    ("time_zone", "text", FieldType::Text),
    ("as_of", "timestamp with time zone", FieldType::TimestampTz),
];

/// What became of the metrics of a call.
pub(super) struct Summary<'a> {
    /// The metrics, in order.
    pub(super) entries: Vec<SummaryEntry<'a>>,
    /// The time zone of all results.
    pub(super) zone: &'a TimeZone,
    pub(super) as_of: DateTime<Utc>,
}

/// What became of a metric.
pub(super) struct SummaryEntry<'a> {
    pub(super) id: &'a str,
    pub(super) outcome: Result<MemberFacts, Problem>,
}

/// A metric with a result.
pub(super) struct MemberFacts {
    /// The name of its file or sheet.
    pub(super) name: String,
    pub(super) cached: Arc<CachedMetric>,
    pub(super) columns: Vec<Column>,
    pub(super) period: Option<AppliedPeriod>,
    pub(super) outcome: RunOutcome,
}

/// The result of a metric in `results.json`: that of its JSON, with the name of a file instead of the rows.
#[derive(Serialize)]
struct FileResult<'a> {
    metric_id: &'a str,
    query_id: &'a str,
    query_version: u32,
    title: &'a str,
    columns: Vec<ColumnResponse<'a>>,
    file: &'a str,
    row_count: usize,
    truncated: bool,
    period: Option<&'a AppliedPeriod>,
}

/// The head of the sheet.
pub(super) fn summary_head() -> ResultHead {
    ResultHead { title: SHEET_TITLE.to_owned(), ..ResultHead::default() }
}

impl Summary<'_> {
    /// Whether a result is truncated.
    pub(super) fn is_truncated(&self) -> bool {
        self.entries.iter().flat_map(|entry| &entry.outcome).any(|facts| facts.outcome.truncated)
    }

    /// The JSON document.
    pub(super) fn document(&self) -> Vec<u8> {
        let entries: Vec<_> = self.entries.iter().map(SummaryEntry::encode).collect();
        let entries: Vec<_> = entries.iter().map(Vec::as_slice).collect();
        encode_document(&entries, Some(self.zone), self.as_of)
    }

    /// Writes the sheet: a row for each metric.
    ///
    /// # Errors
    ///
    /// The error of the writer.
    pub(super) fn write_table(&self, mut writer: Box<dyn RowWriter>) -> Result<Vec<u8>, EncodeError> {
        let columns = COLUMNS.map(|(name, type_name, field_type)| Column {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            field_type,
        });
        let mut out = Vec::new();
        writer.head(&columns, &mut out)?;
        for entry in &self.entries {
            let values = self.row(entry);
            let row: Row = values.iter().map(Option::as_deref).collect();
            writer.row(row.fields(), usize::MAX, &mut out)?;
        }
        writer.finish(&mut out)?;
        Ok(out)
    }

    /// The values of [`COLUMNS`].
    fn row(&self, SummaryEntry { id, outcome }: &SummaryEntry<'_>) -> [Option<Vec<u8>>; COLUMNS.len()] {
        let text = |text: &str| Some(text.as_bytes().to_vec());
        let number = |number: usize| i64::try_from(number).ok().map(|number| number.to_be_bytes().to_vec());
        let as_of = self.as_of.timestamp_millis() * 1_000 - EPOCH_MICROSECONDS;
        let (zone, as_of) = (text(self.zone.as_str()), Some(as_of.to_be_bytes().to_vec()));
        let facts = match outcome {
            Ok(facts) => facts,
            Err(problem) => {
                let (code, detail) = (text(problem.code().code()), text(&detail(problem)));
                return [text(id), None, None, None, None, code, detail, None, None, None, None, zone, as_of];
            }
        };
        let definition = &facts.cached.definition;
        let period = facts.period.as_ref();
        [
            text(id),
            text(definition.title()),
            text(&facts.name),
            number(facts.outcome.row_count),
            Some(vec![u8::from(facts.outcome.truncated)]),
            None,
            None,
            text(definition.metric.query_id.as_str()),
            number(definition.query_version as usize),
            period.and_then(|period| text(period.start_date.as_ref()?)),
            period.and_then(|period| text(period.end_date.as_ref()?)),
            zone,
            as_of,
        ]
    }
}

impl SummaryEntry<'_> {
    /// A hash of the entry and of the content of its member; `None` for a server error, which must not be cached.
    pub(super) fn hash(&self, content: &[u8]) -> Option<blake3::Hash> {
        match &self.outcome {
            Ok(_) => {
                let mut hash = blake3::Hasher::new();
                hash.update(blake3::hash(&self.encode()).as_bytes()).update(content);
                Some(hash.finalize())
            }
            Err(problem) => EncodedProblem::of(self.id, problem).hash,
        }
    }

    fn encode(&self) -> Vec<u8> {
        match &self.outcome {
            Ok(facts) => encode_entry(self.id, 200, "result", &facts.encode()),
            Err(problem) => {
                let EncodedProblem { status, document, .. } = EncodedProblem::of(self.id, problem);
                encode_entry(self.id, status, "problem", &document)
            }
        }
    }
}

impl MemberFacts {
    fn encode(&self) -> Vec<u8> {
        let definition = &self.cached.definition;
        let result = FileResult {
            metric_id: definition.metric.metric_id.as_str(),
            query_id: definition.metric.query_id.as_str(),
            query_version: definition.query_version,
            title: definition.title(),
            columns: self.columns.iter().map(ColumnResponse::from).collect(),
            file: &self.name,
            row_count: self.outcome.row_count,
            truncated: self.outcome.truncated,
            period: self.period.as_ref(),
        };
        // Infallible: the result has no maps, and its keys are strings.
        serde_json::to_vec(&result).unwrap_or_default()
    }
}

/// The detail of a problem, with every invalid input.
fn detail(problem: &Problem) -> String {
    let errors = problem.errors().iter().map(|error| format!(" `{}`: {}.", error.field, error.message));
    errors.fold(problem.shown_detail().to_owned(), |detail, error| detail + &error)
}
