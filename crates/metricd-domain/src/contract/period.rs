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

impl Period {
    /// Whether rows are selected by a column of instants, whose day depends on the time zone.
    #[must_use]
    pub fn is_of_instants(&self) -> bool {
        let type_name = match self {
            Self::Narrowed(source) => &source.type_name,
            Self::Result(column) => &column.type_name,
            Self::Bound | Self::Unsupported { .. } => return false,
        };
        type_name == "timestamp with time zone"
    }
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
                [] => Err(NoPeriodSource::NotFound(declared.clone(), TimeColumnCandidates::among(tables, |_| true))),
                _ => {
                    let is_declared = |column: &ContractColumn| column.name == declared.column();
                    Err(NoPeriodSource::Ambiguous(declared.clone(), TimeColumnCandidates::among(tables, is_declared)))
                }
            };
        }
        let timed: Vec<_> = tables.iter().filter(|table| !table.time_columns.is_empty()).collect();
        match timed.as_slice() {
            [] => Err(NoPeriodSource::NoTable),
            [table] => match table.time_columns.as_slice() {
                [column] => Ok(source(table, column)),
                _ => Err(NoPeriodSource::SeveralColumns {
                    table: table.name.clone(),
                    candidates: TimeColumnCandidates::among(tables, |_| true),
                }),
            },
            _ => Err(NoPeriodSource::SeveralTables(TimeColumnCandidates::among(tables, |_| true))),
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
    #[error("no table that the SQL reads has a date or timestamp column `{0}`{1}")]
    NotFound(TimeColumn, TimeColumnCandidates),
    /// Several tables have the declared column.
    #[error("several tables have a column `{0}`{1}")]
    Ambiguous(TimeColumn, TimeColumnCandidates),
    /// No table has a date or timestamp column.
    #[error("the SQL reads no table with a date or timestamp column")]
    NoTable,
    /// The only table with such a column has several of them.
    #[error(
        "the table `{table}` has several date or timestamp columns: the definition has to name one as its time \
         column{candidates}"
    )]
    SeveralColumns {
        /// The table.
        table: String,
        /// The columns.
        candidates: TimeColumnCandidates,
    },
    /// Several tables have such a column.
    #[error(
        "the SQL reads several tables with date or timestamp columns: the definition has to name one as its time column{0}"
    )]
    SeveralTables(TimeColumnCandidates),
}

/// The columns that a definition could name as its time column, each as it would have to name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeColumnCandidates(Vec<String>);

impl TimeColumnCandidates {
    /// The maximum number of columns in a message.
    const MAX_SHOWN: usize = 10;

    fn among(tables: &[ContractTable], is_candidate: impl Fn(&ContractColumn) -> bool) -> Self {
        let name = |table: &ContractTable, column: &ContractColumn| {
            let is_only = tables.iter().filter(|other| other.name == table.name).count() == 1;
            let schema = if is_only { String::new() } else { format!("{}.", table.schema) };
            format!("{schema}{}.{}", table.name, column.name)
        };
        let columns = tables.iter().flat_map(|table| table.time_columns.iter().map(move |column| (table, column)));
        Self(columns.filter(|(_, column)| is_candidate(column)).map(|(table, column)| name(table, column)).collect())
    }
}

impl std::fmt::Display for TimeColumnCandidates {
    /// The end of a sentence: `; write orders.placed or orders.paid`. Empty if there is no candidate.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown: Vec<_> = self.0.iter().take(Self::MAX_SHOWN).map(|name| format!("`{name}`")).collect();
        if shown.is_empty() {
            return Ok(());
        }
        let more = if self.0.len() > Self::MAX_SHOWN { " or another one" } else { "" };
        write!(formatter, "; write {}{more}", shown.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(schema: &str, name: &str, columns: &[&str]) -> ContractTable {
        let column = |name: &&str| ContractColumn::new(*name, "date");
        ContractTable { time_columns: columns.iter().map(column).collect(), ..ContractTable::new(schema, name) }
    }

    #[test]
    fn a_missing_or_ambiguous_time_column_comes_with_its_candidates() {
        let orders = table("public", "orders", &["placed", "paid"]);
        let other = table("sales", "orders", &["placed"]);
        let returns = table("sales", "returns", &["placed"]);
        let message = |tables: &[&ContractTable], declared: Option<&str>| {
            let tables: Vec<_> = tables.iter().map(|table| (*table).clone()).collect();
            let declared = declared.map(|declared| TimeColumn::parse(declared).unwrap());
            PeriodSource::among(&tables, declared.as_ref()).unwrap_err().to_string()
        };
        for (tables, declared, candidates) in [
            (&[&orders] as &[_], None, "; write `orders.placed` or `orders.paid`"),
            (&[&orders, &returns], None, "; write `orders.placed` or `orders.paid` or `returns.placed`"),
            (&[&orders, &returns], Some("placed"), "column `placed`; write `orders.placed` or `returns.placed`"),
            (&[&orders, &other], Some("orders.placed"), "; write `public.orders.placed` or `sales.orders.placed`"),
            (&[&orders], Some("shipped"), "column `shipped`; write `orders.placed` or `orders.paid`"),
        ] {
            let found = message(tables, declared);
            assert!(found.ends_with(candidates), "{found}");
        }
        assert!(message(&[], Some("day")).ends_with("column `day`"));
    }
}
