//! The report of an ingestion: what it read, stored and refused, and why.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ColumnType, IngestionId, Load};

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
    /// The rows of a table, in any format.
    // Reports of earlier releases have the former name.
    #[serde(alias = "records")]
    Table,
    /// None of these kinds. The refusals explain why.
    Unknown,
}

impl fmt::Display for FileKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Definitions => "definitions",
            Self::Queries => "queries",
            Self::Table => "the rows of a table",
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

/// The rows of a table, counted by their result. `read` is the sum of the other counts without `removed`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RowCounts {
    /// Rows in the files.
    pub read: u64,
    /// Rows stored by this ingestion.
    pub added: u64,
    /// Rows that replace a stored row of the same key with other values.
    pub changed: u64,
    /// Rows that were stored before.
    pub unchanged: u64,
    /// Rows that repeat an earlier row of the same key with the same values.
    pub repeated: u64,
    /// Rows that are not stored. The refusals explain why.
    pub refused: u64,
    /// Stored rows that were removed, because the files do not have them.
    pub removed: u64,
}

impl RowCounts {
    /// The number of rows that were not refused.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.added + self.changed + self.unchanged + self.repeated
    }
}

/// What an ingestion did to the definition of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TableChange {
    /// The table is new.
    Created,
    /// The table has other columns or another declaration.
    Changed,
    /// The table is as it was.
    Unchanged,
    /// The table cannot be stored, and nothing of the ingestion is: its definitions were validated with this table. The
    /// refusals explain why.
    Refused,
}

/// A table that an ingestion loaded or declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IngestedTable {
    /// The name of the table.
    pub table: String,
    /// The names of the files with its rows, as the caller gave them.
    pub files: Vec<String>,
    /// What the ingestion did to its definition.
    pub change: TableChange,
    /// What changed in the definition of a stored table, for people.
    pub changes: Vec<String>,
    /// What loading a file does with the rows that the table has.
    pub load: Load,
    /// The columns, in their order.
    pub columns: Vec<IngestedColumn>,
    /// The rows, counted by their result.
    pub rows: RowCounts,
}

/// A column of a table that an ingestion loaded or declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IngestedColumn {
    /// The name of the column.
    pub name: String,
    /// The type of the column.
    #[serde(rename = "type")]
    pub data_type: ColumnType,
    /// Why the type was chosen, if the content of a file decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// What a person has to decide, if the content of a file leaves it open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<String>,
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
    /// The tables that were loaded or declared, by name.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub tables: Vec<IngestedTable>,
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
            tables: Vec::new(),
            refusal_count: 0,
            refusals: Vec::new(),
            notice_count: 0,
            notices: Vec::new(),
            suggestions: Vec::new(),
            ingested_by: None,
        }
    }

    /// Whether nothing is stored, or would be stored without `dry_run`: something was refused, and either the mode is
    /// strict, a table [cannot be stored](TableChange::Refused), or no entry was accepted.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        let entries = [self.queries, self.metrics, self.dashboards, self.layout_entries];
        let is_accepted = |table: &IngestedTable| table.rows.accepted() > 0 || table.rows.read == 0;
        let refuses_all = self.tables.iter().any(|table| table.change == TableChange::Refused);
        let nothing_accepted =
            entries.iter().all(|counts| counts.accepted() == 0) && !self.tables.iter().any(is_accepted);
        self.refusal_count > 0 && (self.mode == IngestionMode::Strict || refuses_all || nothing_accepted)
    }
}
