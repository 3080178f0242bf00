//! What there is to read, and who sees which rows of it.

/// A relation of the data: a table, a view, a materialized view, a foreign table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its name within the schema of the data.
    pub name: String,
    /// Why its rows may be those of several tenants, for the operator: no policy of row security, of its own or of the tables
    /// that a view reads with the rights of whoever asks, holds each row to the tenant. None if one does.
    pub gap: Option<String>,
}
