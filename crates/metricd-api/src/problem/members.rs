//! Extension members of some problem documents.

use serde::Serialize;
use utoipa::ToSchema;

/// One line for each dependency of the server: `ok`, or what is wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = Checks)]
pub(crate) struct ChecksResponse {
    pub(crate) database: &'static str,
    pub(crate) migrations: &'static str,
    pub(crate) definitions: &'static str,
    /// Whether cancelled statements still run.
    pub(crate) statements: String,
    /// Whether row-level security isolates tenants, if the server has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    pub(crate) row_security: Option<&'static str>,
    /// Where the data is and what follows from that, if it is not in the catalog's database.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    pub(crate) data: Option<&'static str>,
}

/// A finding that keeps the SQL from being stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Finding)]
pub(crate) struct FindingResponse<'a> {
    /// The stable code of the finding, for programs.
    pub(crate) code: &'static str,
    /// The line in the SQL, from 1.
    pub(crate) line: u64,
    /// The column in characters, from 1.
    pub(crate) column: u64,
    /// The part of the SQL that it is about.
    pub(crate) words: &'a str,
    /// What is wrong, and what to write instead.
    pub(crate) message: &'a str,
}
