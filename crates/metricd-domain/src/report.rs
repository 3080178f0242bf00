//! The report of an ingestion: what it read, stored and refused, and why.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::IngestionId;

/// The maximum number of refusals, and of notices, that a report lists. Those beyond it are only counted.
pub const MAX_LISTED_FINDINGS: usize = 1_000;

/// What an ingestion does if it refuses an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum IngestionMode {
    /// Store the entries that are valid.
    Lenient,
    /// Store nothing.
    Strict,
}

/// How an ingestion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The valid entries are stored.
    Stored,
    /// Nothing is stored. An entry was refused, and either the mode is strict or no entry was valid.
    Refused,
    /// Nothing is stored: the call was a dry run.
    DryRun,
}

/// The kind of a file, by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// Metrics and layouts, in JSON.
    Definitions,
    /// Queries, in CSV.
    Queries,
    /// Records, in CSV, as a JSON array of objects, or in NDJSON.
    Records,
    /// None of these kinds. The refusals explain why.
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
    /// The name of the file, as the caller gave it.
    pub file: String,
    /// The kind of the file, by its content.
    pub kind: FileKind,
    /// The size of the file, in bytes.
    pub size_bytes: u64,
}

/// The entries of one kind, counted by their result. `read` is the sum of the other counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EntryCounts {
    /// Entries in the files.
    pub read: u64,
    /// Entries stored for the first time.
    pub added: u64,
    /// Entries that were stored with other content, and are replaced.
    pub changed: u64,
    /// Entries that were stored with the same content.
    pub unchanged: u64,
    /// Entries that repeat an earlier entry of the files with the same content.
    pub repeated: u64,
    /// Entries that are not stored. The refusals explain why.
    pub refused: u64,
}

impl EntryCounts {
    /// The number of entries that were not refused.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.added + self.changed + self.unchanged + self.repeated
    }
}

/// The records, counted by their result. `read` is the sum of the other counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordCounts {
    /// Records in the files.
    pub read: u64,
    /// Records stored by this ingestion.
    pub added: u64,
    /// Records that were stored before.
    pub unchanged: u64,
    /// Records that are not stored. The refusals explain why.
    pub refused: u64,
}

impl RecordCounts {
    /// The number of records that were not refused.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.added + self.unchanged
    }
}

/// The position of a finding in the files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Location {
    /// The name of the file, as the caller gave it.
    pub file: String,
    /// The line in the file, from 1. For a CSV record it is the line on which the record begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The position in a JSON document, as a JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The name of the column, for a finding in a query or a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
}

/// A file, an entry or a part of an entry that was not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Refusal {
    /// Its position.
    #[serde(flatten)]
    pub location: Location,
    /// The invalid value, shortened, with control characters escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// A stable code for the kind of error.
    pub reason: String,
    /// What is wrong and what was expected, for people.
    pub message: String,
}

/// A warning: what it is about was stored, or ignored, all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Notice {
    /// Its position.
    #[serde(flatten)]
    pub location: Location,
    /// A stable code for the kind of notice.
    pub reason: String,
    /// What was noticed, for people.
    pub message: String,
}

/// A probable cause of several findings, and how to fix it. metricd never fixes anything by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Suggestion {
    /// The position at which a change would fix it.
    #[serde(flatten)]
    pub location: Location,
    /// What was probably meant, for people.
    pub message: String,
}

/// The report of one ingestion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IngestionReport {
    /// The id of the ingestion.
    pub ingestion_id: IngestionId,
    /// What the ingestion does if it refuses an entry.
    pub mode: IngestionMode,
    /// How the ingestion ended.
    pub outcome: Outcome,
    /// When the ingestion began.
    pub started_at: DateTime<Utc>,
    /// When validation ended.
    pub finished_at: DateTime<Utc>,
    /// The files, in the order in which they were read.
    pub files: Vec<IngestedFile>,
    /// The queries, counted by their result.
    pub queries: EntryCounts,
    /// The metrics, counted by their result.
    pub metrics: EntryCounts,
    /// The dashboards with their items, counted by their result. Several files may define one dashboard.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub dashboards: EntryCounts,
    /// The layout entries, counted by their result.
    pub layout_entries: EntryCounts,
    /// The records, counted by their result.
    pub records: RecordCounts,
    /// The number of refusals, including those that are not listed.
    pub refusal_count: u64,
    /// The first 1 000 refusals.
    pub refusals: Vec<Refusal>,
    /// The number of notices, including those that are not listed.
    pub notice_count: u64,
    /// The first 1 000 notices.
    pub notices: Vec<Notice>,
    /// Probable causes of the findings.
    pub suggestions: Vec<Suggestion>,
    /// The subject of the token that sent the files over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingested_by: Option<String>,
}

impl IngestionReport {
    /// Makes the report of an ingestion that has read nothing yet, with the outcome `stored`. Set the fields as the
    /// ingestion proceeds.
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

    /// Whether nothing is stored, or would be stored without `dry_run`: something was refused, and either the mode is
    /// strict or no entry was accepted.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        let entries = [self.queries, self.metrics, self.dashboards, self.layout_entries];
        let accepted = entries.iter().map(EntryCounts::accepted).sum::<u64>() + self.records.accepted();
        let nothing_accepted = accepted == 0;
        self.refusal_count > 0 && (self.mode == IngestionMode::Strict || nothing_accepted)
    }
}
