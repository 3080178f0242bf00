//! Members that some problem documents have in addition to the common ones.

use serde::Serialize;
use utoipa::ToSchema;

/// One line for each thing that the server needs: `ok`, or what is wrong in a few words.
#[derive(Serialize, ToSchema)]
#[schema(as = Checks)]
pub(crate) struct ChecksResponse {
    pub(crate) database: &'static str,
    pub(crate) migrations: &'static str,
    pub(crate) definitions: &'static str,
    /// Whether statements still run that were cancelled.
    pub(crate) statements: String,
    /// Whether row-level security isolates tenants, if the server has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    pub(crate) row_security: Option<&'static str>,
}

/// Something in the SQL that keeps it from being stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Finding)]
pub(crate) struct FindingResponse<'a> {
    /// The kind of fault, as programs tell it.
    pub(crate) code: &'static str,
    /// The line in the SQL, from 1.
    pub(crate) line: u64,
    /// The column in characters, from 1.
    pub(crate) column: u64,
    /// The words that it is about.
    pub(crate) words: &'a str,
    /// What is wrong, and what to write instead.
    pub(crate) message: &'a str,
}
