//! What there is to read, and who sees which rows of it.

/// A relation of the data: a table, a view, a materialized view, a foreign table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its name within the schema of the data.
    pub name: String,
    /// Whether policies of row security say which of its rows a statement sees: its own, or those of the tables that a view
    /// reads with the rights of whoever asks.
    pub is_row_secured: bool,
}
