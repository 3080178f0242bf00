//! What a period does to a metric's SQL or result.

use serde::{Deserialize, Serialize};

use super::{ContractColumn, ContractTable};
use crate::TimeColumn;

/// What a request's `start_date` and `end_date` do to a metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "applied", rename_all = "snake_case")]
pub enum Period {
    /// They are bound to parameters of the SQL.
    Bound,
    /// The SQL is rewritten to read only the rows of one table that are in the period.
    Narrowed(PeriodSource),
    /// The result is filtered by one of its columns.
    Result(PeriodColumn),
    /// The metric takes no period.
    Unsupported {
        /// Why it takes none.
        reason: String,
    },
}

impl Default for Period {
    fn default() -> Self {
        Self::Unsupported { reason: "the SQL reads no table with a date or a timestamp".to_owned() }
    }
}

/// The table whose rows a period selects, and the column with the date or timestamp of each row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PeriodSource {
    /// The schema of the table.
    #[serde(default = "former_schema")]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub schema: String,
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// The column's type: `date` or a timestamp.
    #[serde(rename = "type")]
    pub type_name: String,
}

impl PeriodSource {
    /// Finds the table and column that a period narrows: the declared column, or the only time column of `tables`.
    ///
    /// # Errors
    ///
    /// [`NoPeriodSource`] if no column matches, or more than one.
    pub fn among(tables: &[ContractTable], declared: Option<&TimeColumn>) -> Result<Self, NoPeriodSource> {
        let source = |table: &ContractTable, column: &ContractColumn| Self {
            schema: table.schema.clone(),
            table: table.name.clone(),
            column: column.name.clone(),
            type_name: column.type_name.clone(),
        };
        if let Some(declared) = declared {
            let columns = tables.iter().flat_map(|table| table.time_columns.iter().map(move |column| (table, column)));
            let named: Vec<_> = columns
                .filter(|(table, column)| declared.is_column(&table.schema, &table.name, &column.name))
                .collect();
            return match named.as_slice() {
                [(table, column)] => Ok(source(table, column)),
                [] => Err(NoPeriodSource::NotFound(declared.clone())),
                _ => Err(NoPeriodSource::Ambiguous(declared.clone())),
            };
        }
        let timed: Vec<_> = tables.iter().filter(|table| !table.time_columns.is_empty()).collect();
        match timed.as_slice() {
            [] => Err(NoPeriodSource::NoTable),
            [table] => match table.time_columns.as_slice() {
                [column] => Ok(source(table, column)),
                _ => Err(NoPeriodSource::SeveralColumns { table: table.name.clone() }),
            },
            _ => Err(NoPeriodSource::SeveralTables),
        }
    }
}

/// The only schema of data when contracts did not name it.
fn former_schema() -> String {
    "warehouse".to_owned()
}

/// The column of a result with the date or timestamp of each row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PeriodColumn {
    /// The column.
    pub column: String,
    /// The column's type: `date` or a timestamp.
    #[serde(rename = "type")]
    pub type_name: String,
}

/// Why a contract has no column by which a period selects rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPeriodSource {
    /// No table has the declared column.
    #[error("no table that the SQL reads has a date or timestamp column `{0}`")]
    NotFound(TimeColumn),
    /// Several tables have the declared column.
    #[error("several tables have a column `{0}`: write `table.column`, or `schema.table.column`")]
    Ambiguous(TimeColumn),
    /// No table has a date or timestamp column.
    #[error("the SQL reads no table with a date or timestamp column")]
    NoTable,
    /// The only table with such a column has several of them.
    #[error(
        "the table `{table}` has several date or timestamp columns: the definition has to name one as its time column"
    )]
    SeveralColumns {
        /// The table.
        table: String,
    },
    /// Several tables have such a column.
    #[error(
        "the SQL reads several tables with date or timestamp columns: the definition has to name one as its time column"
    )]
    SeveralTables,
}
