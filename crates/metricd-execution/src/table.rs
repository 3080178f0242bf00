//! The tables and views that statements may read, as PostgreSQL's catalogs describe them.

use std::collections::BTreeSet;

use metricd_database::quote_identifier;
use metricd_domain::ContractForeignKey;
use serde::{Deserialize, Serialize};

use crate::BoundStatement;

/// The number of rows of a sample.
const SAMPLE_ROWS: usize = 100;

/// The maximum size of a stored value of a sample, in bytes, if the size of its type has no limit. PostgreSQL may store
/// it compressed.
const MAX_SAMPLE_BYTES: usize = 200;

/// What a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    /// A table, or a partition of one.
    Table,
    /// A table whose partitions have its rows.
    PartitionedTable,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A table whose rows another server has.
    ForeignTable,
}

/// A table, a view or a foreign table of the data schemas that the reader may read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReadableTable {
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
    /// Whether the name without the schema means it.
    pub is_visible: bool,
    /// What it is.
    pub kind: TableKind,
    /// The comment, at most its first 4 000 characters.
    pub description: Option<String>,
    /// The number of rows, as PostgreSQL last estimated it. For a partitioned table, that of the partitions for which it is
    /// known. `None` for a view, and if it is not known.
    pub row_estimate: Option<u64>,
    /// The number of columns that the reader may read.
    pub column_count: usize,
}

impl ReadableTable {
    /// Makes a visible table without columns. Set the other fields as needed.
    #[must_use]
    pub fn new(schema: impl Into<String>, name: impl Into<String>, kind: TableKind) -> Self {
        let (schema, name, description, row_estimate) = (schema.into(), name.into(), None, None);
        Self { schema, name, is_visible: true, kind, description, row_estimate, column_count: 0 }
    }

    /// Whether a text names it: the name if that suffices, or the schema and the name with a point between them.
    #[must_use]
    pub fn is_named(&self, text: &str) -> bool {
        self.is_visible && self.name == text || format!("{}.{}", self.schema, self.name) == text
    }
}

/// A table with its columns and keys.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TableDescription {
    /// The table.
    #[serde(flatten)]
    pub table: ReadableTable,
    /// The columns that the reader may read, in their order.
    pub columns: Vec<ReadableColumn>,
    /// The columns of the primary key, in its order. Empty if there is none, or if the reader may not read all of them.
    pub key: Vec<String>,
    /// The foreign keys of these columns to tables of the data schemas that the reader may read.
    pub foreign_keys: Vec<ContractForeignKey>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReadableColumn {
    /// The name.
    pub name: String,
    /// The type, as PostgreSQL's `format_type` prints it, without modifiers.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Whether the column is NOT NULL.
    pub required: bool,
    /// The comment, at most its first 4 000 characters.
    pub description: Option<String>,
    /// The labels of an enum, in the order of the type. `None` for other types, and for more than 200 labels.
    pub enum_labels: Option<Vec<String>>,
    /// How a sample reads the column.
    pub sampling: Sampling,
}

impl ReadableColumn {
    /// Makes a column without a comment, whose values may be absent and are read whole.
    #[must_use]
    pub fn new(name: impl Into<String>, type_name: impl Into<String>) -> Self {
        let (name, type_name, sampling) = (name.into(), type_name.into(), Sampling::Whole);
        Self { name, type_name, required: false, description: None, enum_labels: None, sampling }
    }
}

/// How a sample reads a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// The values as they are: the size of the type has a limit.
    Whole,
    /// The first characters of a text, at most one more than [`TableDescription::MAX_SAMPLE_CHARS`].
    Text,
    /// Only short values.
    Short,
    /// Not at all. PostgreSQL would call functions of others to print the values.
    Skipped,
}

impl TableDescription {
    /// The maximum number of characters of a text in a sample. A longer text has one more, to tell that it is cut.
    pub const MAX_SAMPLE_CHARS: usize = 100;

    /// The statement that reads a few rows, with the columns that are sampled. `None` if there are no such columns.
    #[must_use]
    pub fn sample(&self) -> Option<BoundStatement> {
        let columns: Vec<_> = self.columns.iter().filter_map(ReadableColumn::sampled).collect();
        let from = [&self.table.schema, &self.table.name].map(|name| quote_identifier(name)).join(".");
        let sql = || format!("SELECT {} FROM {from} LIMIT {SAMPLE_ROWS}", columns.join(", "));
        (!columns.is_empty()).then(|| BoundStatement::internal(sql(), Vec::new()))
    }
}

impl ReadableColumn {
    /// The expression of a sample.
    fn sampled(&self) -> Option<String> {
        let name = quote_identifier(&self.name);
        Some(match self.sampling {
            Sampling::Whole => name,
            Sampling::Text => {
                let chars = TableDescription::MAX_SAMPLE_CHARS + 1;
                format!("pg_catalog.left({name}::text, {chars}) AS {name}")
            }
            // The size of the stored value is known without reading it.
            Sampling::Short => {
                format!("CASE WHEN pg_catalog.pg_column_size({name}) <= {MAX_SAMPLE_BYTES} THEN {name} END AS {name}")
            }
            Sampling::Skipped => return None,
        })
    }
}

/// Selects tables: those that meet every condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableFilter {
    /// A text that the name, with its schema, or the comment contains. Case is ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Schemas and names of tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub among: Option<BTreeSet<(String, String)>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_reads_short_values_of_quoted_columns() {
        let column = |name: &str, sampling| ReadableColumn { sampling, ..ReadableColumn::new(name, "any type") };
        let table = ReadableTable::new("sa\"les", "order", TableKind::Table);
        let (key, foreign_keys) = (Vec::new(), Vec::new());
        let columns = vec![
            column("id", Sampling::Whole),
            column("a\"b", Sampling::Text),
            column("place", Sampling::Skipped),
            column("tags", Sampling::Short),
        ];
        let mut described = TableDescription { table, columns, key, foreign_keys };
        assert_eq!(
            described.sample().unwrap().text(),
            "SELECT \"id\", pg_catalog.left(\"a\"\"b\"::text, 101) AS \"a\"\"b\", \
             CASE WHEN pg_catalog.pg_column_size(\"tags\") <= 200 THEN \"tags\" END AS \"tags\" \
             FROM \"sa\"\"les\".\"order\" LIMIT 100"
        );
        described.columns.retain(|column| column.sampling == Sampling::Skipped);
        assert_eq!(described.sample(), None);
    }

    #[test]
    fn a_name_without_a_schema_means_a_visible_table() {
        let mut table = ReadableTable::new("sales", "orders", TableKind::View);
        assert!(table.is_named("orders") && table.is_named("sales.orders") && !table.is_named("sales"));
        table.is_visible = false;
        assert!(!table.is_named("orders") && table.is_named("sales.orders"));
    }
}
