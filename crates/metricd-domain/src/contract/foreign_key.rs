//! The foreign keys of tables, and the columns that they reference.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A foreign key, as the table declares it. Rows may violate one that is `NOT VALID` or `NOT ENFORCED`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ContractForeignKey {
    /// The columns of the table, in the order of the key.
    pub columns: Vec<String>,
    /// The schema of the referenced table.
    pub referenced_schema: String,
    /// The referenced table.
    pub referenced_table: String,
    /// The columns of the referenced table, one for each column of the key.
    pub referenced_columns: Vec<String>,
}

impl ContractForeignKey {
    /// Makes the foreign key of one column.
    pub fn new(column: impl Into<String>, target: ReferencedColumn) -> Self {
        Self {
            columns: vec![column.into()],
            referenced_schema: target.schema,
            referenced_table: target.table,
            referenced_columns: vec![target.column],
        }
    }

    /// The column and what it references, if the key has one column.
    #[must_use]
    pub fn only_column(&self) -> Option<(&str, ReferencedColumn)> {
        let ([column], [referenced]) = (self.columns.as_slice(), self.referenced_columns.as_slice()) else {
            return None;
        };
        Some((column, ReferencedColumn::new(&self.referenced_schema, &self.referenced_table, referenced)))
    }
}

/// A column that a foreign key references.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ReferencedColumn {
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
}

impl ReferencedColumn {
    /// Makes the column of a table.
    pub fn new(schema: impl Into<String>, table: impl Into<String>, column: impl Into<String>) -> Self {
        Self { schema: schema.into(), table: table.into(), column: column.into() }
    }
}

impl fmt::Display for ReferencedColumn {
    /// Writes `schema.table.column`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schema, table, column } = self;
        write!(formatter, "{schema}.{table}.{column}")
    }
}
