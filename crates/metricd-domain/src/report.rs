//! The report of an ingestion: what was read, what was stored, what was refused and why.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::IngestionId;

/// How many refusals, and how many notices, a report lists; those past it are counted only.
pub const MAX_LISTED_FINDINGS: usize = 1_000;

/// What to do when something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum IngestionMode {
    /// Store what is good.
    Lenient,
    /// Store nothing unless all of it is good.
    Strict,
}

/// How an ingestion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// What is good is stored.
    Stored,
    /// Nothing is stored: something was refused, and either the mode is strict or nothing else was there to store.
    Refused,
    /// Nothing is stored: the call asked only what would happen.
    DryRun,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// Metrics and layouts, as JSON.
    Definitions,
    /// Queries, as CSV.
    Queries,
    /// Rows of data, as CSV, as a JSON array of objects, or as NDJSON.
    Records,
    /// None of these; the refusals say what was wrong with the file.
    Unknown,
}

impl fmt::Display for FileKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Definitions => "definitions",
            Self::Queries => "queries",
            Self::Records => "records",
            Self::Unknown => "nothing that is known",
        })
    }
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IngestedFile {
    /// The file as the caller named it.
    pub file: String,
    /// What it holds.
    pub kind: FileKind,
    /// Its size, in bytes.
    pub size_bytes: u64,
}

/// What became of the entries of one kind; `read` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EntryCounts {
    /// How many entries the files have.
    pub read: u64,
    /// Stored for the first time.
    pub added: u64,
    /// Stored before with another content.
    pub changed: u64,
    /// Stored before with this content.
    pub unchanged: u64,
    /// In the files more than once with one content; counted from the second on.
    pub repeated: u64,
    /// Not stored; the refusals say why.
    pub refused: u64,
}

impl EntryCounts {
    /// How many entries were not refused.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.added + self.changed + self.unchanged + self.repeated
    }
}

/// What became of the records; `read` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordCounts {
    /// How many records the files have.
    pub read: u64,
    /// Stored now.
    pub added: u64,
    /// Stored before.
    pub unchanged: u64,
    /// Not stored; the refusals say why.
    pub refused: u64,
}

impl RecordCounts {
    /// How many records were not refused.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.added + self.unchanged
    }
}

/// Where in the input a finding is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Location {
    /// The file as the caller named it.
    pub file: String,
    /// The line in the file, from 1; for a CSV record the line on which it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// In JSON, the place as a JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Of a query or a record, the name of the column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
}

/// Something that was not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Refusal {
    /// Where it is.
    #[serde(flatten)]
    pub location: Location,
    /// The value that is wrong, shortened, with control characters escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// A stable code for the kind of fault.
    pub reason: String,
    /// What is wrong and what was expected, in words.
    pub message: String,
}

/// Something that was stored or passed over and that a careful reader would want to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Notice {
    /// Where it is.
    #[serde(flatten)]
    pub location: Location,
    /// A stable code for the kind of notice.
    pub reason: String,
    /// What was noticed, in words.
    pub message: String,
}

/// A probable cause that several faults share, and what would repair it. Nothing is ever repaired by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Suggestion {
    /// Where a change would repair it.
    #[serde(flatten)]
    pub location: Location,
    /// What was probably meant, in words.
    pub message: String,
}

/// The report of one ingestion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IngestionReport {
    /// The ingestion's id.
    pub ingestion_id: IngestionId,
    /// What was asked for where something is refused.
    pub mode: IngestionMode,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When validation ended.
    pub finished_at: DateTime<Utc>,
    /// The files, in the order in which they were read.
    pub files: Vec<IngestedFile>,
    /// What became of the queries.
    pub queries: EntryCounts,
    /// What became of the metrics.
    pub metrics: EntryCounts,
    /// What became of the dashboards, with their items. Several files may be of one dashboard.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub dashboards: EntryCounts,
    /// What became of the layout entries.
    pub layout_entries: EntryCounts,
    /// What became of the records.
    pub records: RecordCounts,
    /// How many refusals there are, with those that are not listed.
    pub refusal_count: u64,
    /// The first 1 000 refusals.
    pub refusals: Vec<Refusal>,
    /// How many notices there are, with those that are not listed.
    pub notice_count: u64,
    /// The first 1 000 notices.
    pub notices: Vec<Notice>,
    /// What probably caused the refusals.
    pub suggestions: Vec<Suggestion>,
    /// The subject of the token with which the files were sent over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingested_by: Option<String>,
}

impl IngestionReport {
    /// The report of an ingestion that has read nothing yet, and has stored all of it. The fields are there to be set.
    #[must_use]
    pub fn new(ingestion_id: IngestionId, mode: IngestionMode, started_at: DateTime<Utc>) -> Self {
        Self {
            ingestion_id,
            mode,
            outcome: Outcome::Stored,
            started_at,
            finished_at: started_at,
            files: Vec::new(),
            queries: EntryCounts::default(),
            metrics: EntryCounts::default(),
            dashboards: EntryCounts::default(),
            layout_entries: EntryCounts::default(),
            records: RecordCounts::default(),
            refusal_count: 0,
            refusals: Vec::new(),
            notice_count: 0,
            notices: Vec::new(),
            suggestions: Vec::new(),
            ingested_by: None,
        }
    }

    /// Whether the call is refused, or, of a dry run, would be: something was refused, and either the mode is strict or no
    /// entry of any kind was accepted.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        let entries = [self.queries, self.metrics, self.dashboards, self.layout_entries];
        let accepted = entries.iter().map(EntryCounts::accepted).sum::<u64>() + self.records.accepted();
        let nothing_accepted = accepted == 0;
        self.refusal_count > 0 && (self.mode == IngestionMode::Strict || nothing_accepted)
    }
}
