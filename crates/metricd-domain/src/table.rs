//! Tables that files are loaded into: their names, columns and rules.

mod check_value;
mod checks;
mod column;
mod column_type;
mod judge;
mod name;
mod read_options;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use checks::{BrokenCheck, ColumnChecks};
pub use column::{ColumnText, InvalidColumnText, TableColumn};
pub use column_type::ColumnType;
pub use judge::{ColumnJudge, InvalidChecks, MAX_LISTED_VALUES};
pub use name::{ColumnName, InvalidTableName, TableName};
pub use read_options::ReadOptions;

/// The schema in which tables are made.
pub const TABLE_SCHEMA: &str = "warehouse";

/// The maximum number of columns of a table, which is that of PostgreSQL.
pub const MAX_TABLE_COLUMNS: usize = 1_600;

/// The maximum number of columns of a key or an index, which is that of PostgreSQL.
const MAX_KEY_COLUMNS: usize = 32;

/// The maximum number of indexes that definitions declare. Each slows loading down.
const MAX_INDEXES: usize = 20;

/// What loading a file does with the rows that a table has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Load {
    /// Adds the rows of each file once: a file of the same content is not added again.
    Append,
    /// Replaces all rows by those of the files.
    #[default]
    Replace,
    /// Adds the rows whose key is new, and replaces those whose key is stored.
    Upsert,
    /// Adds as many copies of a row as the files have more than the table.
    Multiset,
}

impl fmt::Display for Load {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Append => "append",
            Self::Replace => "replace",
            Self::Upsert => "upsert",
            Self::Multiset => "multiset",
        })
    }
}

/// The parts of a [`Table`], before they are checked against each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableParts {
    /// The name.
    pub name: TableName,
    /// The name of the file that is loaded into the table, without folders. `None` if the name of the table decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The columns, in their order.
    pub columns: Vec<TableColumn>,
    /// The columns that identify a row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<ColumnName>,
    /// The column with the date or timestamp of each row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_column: Option<ColumnName>,
    /// The columns of each index besides those of the key and the time column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<Vec<ColumnName>>,
    /// What loading a file does with the rows that the table has.
    #[serde(default)]
    pub load: Load,
    /// How text files are read.
    #[serde(default, skip_serializing_if = "ReadOptions::is_default")]
    pub format: ReadOptions,
    /// Whether definitions declare the columns. Otherwise they were chosen from the content of a file.
    #[serde(default)]
    pub declared: bool,
}

impl TableParts {
    /// Makes a table of these columns, without a key, that files replace. Nothing declares it.
    #[must_use]
    pub fn new(name: TableName, columns: Vec<TableColumn>) -> Self {
        Self {
            name,
            file: None,
            columns,
            key: Vec::new(),
            time_column: None,
            indexes: Vec::new(),
            load: Load::default(),
            format: ReadOptions::default(),
            declared: false,
        }
    }
}

/// A table that files are loaded into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TableParts", into = "TableParts")]
pub struct Table(TableParts);

/// Why the parts of a table contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTable {
    /// The table has no columns.
    #[error("the table has no columns")]
    NoColumns,
    /// The table has more columns than PostgreSQL can store.
    #[error("the table has {count} columns: expected at most {MAX_TABLE_COLUMNS}")]
    TooManyColumns {
        /// The number of columns.
        count: usize,
    },
    /// Two columns have this name.
    #[error("two columns are named `{0}`")]
    ColumnRepeated(ColumnName),
    /// The key names a column that the table does not have.
    #[error("the key names the column `{0}`, which the table does not have")]
    KeyUnknown(ColumnName),
    /// The key names a column twice.
    #[error("the key names the column `{0}` twice")]
    KeyRepeated(ColumnName),
    /// The key has more columns than PostgreSQL can index.
    #[error("the key has {count} columns: expected at most {MAX_KEY_COLUMNS}")]
    KeyTooLong {
        /// The number of columns.
        count: usize,
    },
    /// The time column is not a column with dates or timestamps.
    #[error("the time column `{0}` is not a column of the type `date`, `timestamp` or `timestamptz`")]
    TimeColumn(ColumnName),
    /// The checks of a column contradict its type or each other.
    #[error("the checks of the column `{column}`: {fault}")]
    Checks {
        /// The column.
        column: ColumnName,
        /// The contradiction.
        fault: InvalidChecks,
    },
    /// An index breaks a rule.
    #[error("the index ({}) {fault}", names(.columns))]
    Index {
        /// Its columns.
        columns: Vec<ColumnName>,
        /// The rule.
        fault: &'static str,
    },
    /// There are too many indexes.
    #[error("the table has {count} indexes: expected at most {MAX_INDEXES}")]
    TooManyIndexes {
        /// The number of indexes.
        count: usize,
    },
    /// Rows are replaced by their key, but no column is a key.
    #[error("`upsert` needs a `key`: the columns that identify a row")]
    UpsertWithoutKey,
    /// Rows may be equal, but a key forbids that.
    #[error("`multiset` is for rows without a key: choose `upsert` or `append`, or leave out the `key`")]
    MultisetWithKey,
}

impl Table {
    /// Checks the parts of a table. The columns of a key become required.
    ///
    /// # Errors
    ///
    /// [`InvalidTable`] names the first contradiction.
    pub fn new(mut parts: TableParts) -> Result<Self, InvalidTable> {
        let count = parts.columns.len();
        if count == 0 {
            return Err(InvalidTable::NoColumns);
        }
        if count > MAX_TABLE_COLUMNS {
            return Err(InvalidTable::TooManyColumns { count });
        }
        let mut names = BTreeSet::new();
        if let Some(repeated) = parts.columns.iter().find(|column| !names.insert(&column.name)) {
            return Err(InvalidTable::ColumnRepeated(repeated.name.clone()));
        }
        for TableColumn { name, data_type, checks, .. } in &parts.columns {
            ColumnJudge::new(*data_type, checks)
                .map_err(|fault| InvalidTable::Checks { column: name.clone(), fault })?;
        }
        if parts.key.len() > MAX_KEY_COLUMNS {
            return Err(InvalidTable::KeyTooLong { count: parts.key.len() });
        }
        let mut key = BTreeSet::new();
        for name in &parts.key {
            if !names.contains(name) {
                return Err(InvalidTable::KeyUnknown(name.clone()));
            }
            if !key.insert(name.clone()) {
                return Err(InvalidTable::KeyRepeated(name.clone()));
            }
        }
        if let Some(name) = &parts.time_column {
            let is_time = |column: &TableColumn| {
                column.name == *name
                    && matches!(column.data_type, ColumnType::Date | ColumnType::Timestamp | ColumnType::Timestamptz)
            };
            if !parts.columns.iter().any(is_time) {
                return Err(InvalidTable::TimeColumn(name.clone()));
            }
        }
        check_indexes(&parts, &names)?;
        match parts.load {
            Load::Upsert if parts.key.is_empty() => return Err(InvalidTable::UpsertWithoutKey),
            Load::Multiset if !parts.key.is_empty() => return Err(InvalidTable::MultisetWithKey),
            _ => {}
        }
        for column in &mut parts.columns {
            column.required |= key.contains(&column.name);
        }
        Ok(Self(parts))
    }

    /// The parts of the table.
    #[must_use]
    pub fn parts(&self) -> &TableParts {
        &self.0
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &TableName {
        &self.0.name
    }

    /// The columns, in their order: 1 to 1 600.
    #[must_use]
    pub fn columns(&self) -> &[TableColumn] {
        &self.0.columns
    }

    /// The columns that identify a row. Empty if rows may be equal.
    #[must_use]
    pub fn key(&self) -> &[ColumnName] {
        &self.0.key
    }

    /// What loading a file does with the rows that the table has.
    #[must_use]
    pub fn load(&self) -> Load {
        self.0.load
    }
}

fn check_indexes(parts: &TableParts, names: &BTreeSet<&ColumnName>) -> Result<(), InvalidTable> {
    let count = parts.indexes.len();
    if count > MAX_INDEXES {
        return Err(InvalidTable::TooManyIndexes { count });
    }
    let mut indexes = BTreeSet::new();
    for columns in &parts.indexes {
        let distinct: BTreeSet<_> = columns.iter().collect();
        let fault = match () {
            () if columns.is_empty() => "has no columns",
            () if columns.len() > MAX_KEY_COLUMNS => "has more columns than PostgreSQL can index",
            () if distinct.len() < columns.len() => "names a column twice",
            () if !distinct.is_subset(names) => "names a column that the table does not have",
            () if !indexes.insert(columns) => "is declared twice",
            () => continue,
        };
        return Err(InvalidTable::Index { columns: columns.clone(), fault });
    }
    Ok(())
}

fn names(columns: &[ColumnName]) -> String {
    columns.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl TryFrom<TableParts> for Table {
    type Error = InvalidTable;

    fn try_from(parts: TableParts) -> Result<Self, InvalidTable> {
        Self::new(parts)
    }
}

impl From<Table> for TableParts {
    fn from(table: Table) -> Self {
        table.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, data_type: ColumnType) -> TableColumn {
        TableColumn::new(ColumnName::parse(name).unwrap(), data_type)
    }

    fn parts() -> TableParts {
        let columns = vec![column("day", ColumnType::Date), column("amount", ColumnType::Numeric)];
        TableParts::new(TableName::parse("sales").unwrap(), columns)
    }

    fn name(name: &str) -> ColumnName {
        ColumnName::parse(name).unwrap()
    }

    #[test]
    fn contradictions_between_the_parts_are_refused() {
        let check = |change: &dyn Fn(&mut TableParts)| {
            let mut parts = parts();
            change(&mut parts);
            Table::new(parts).map(|_| ())
        };
        assert_eq!(check(&|_| {}), Ok(()));
        assert_eq!(check(&|parts| parts.columns.clear()), Err(InvalidTable::NoColumns));
        let many = |parts: &mut TableParts| {
            parts.columns = (0..1_601).map(|index| column(&format!("c{index}"), ColumnType::Text)).collect();
        };
        assert_eq!(check(&many), Err(InvalidTable::TooManyColumns { count: 1_601 }));
        let repeated = |parts: &mut TableParts| parts.columns.push(column("day", ColumnType::Text));
        assert_eq!(check(&repeated), Err(InvalidTable::ColumnRepeated(name("day"))));
        assert_eq!(check(&|parts| parts.key = vec![name("id")]), Err(InvalidTable::KeyUnknown(name("id"))));
        let twice = |parts: &mut TableParts| parts.key = vec![name("day"), name("day")];
        assert_eq!(check(&twice), Err(InvalidTable::KeyRepeated(name("day"))));
        let no_time = |parts: &mut TableParts| parts.time_column = Some(name("amount"));
        assert_eq!(check(&no_time), Err(InvalidTable::TimeColumn(name("amount"))));
        for (columns, expected) in [
            (vec![vec![name("amount"), name("day")]], ""),
            (vec![vec![]], "has no columns"),
            (vec![vec![name("day"), name("day")]], "names a column twice"),
            (vec![vec![name("id")]], "the index (`id`) names a column that the table does not have"),
            (vec![vec![name("day")], vec![name("day")]], "is declared twice"),
            (vec![vec![name("day")]; 21], "has 21 indexes"),
        ] {
            let found = check(&|parts| parts.indexes.clone_from(&columns)).err();
            let found = found.map(|error| error.to_string()).unwrap_or_default();
            assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{columns:?}: {found}");
        }
        assert_eq!(check(&|parts| parts.load = Load::Upsert), Err(InvalidTable::UpsertWithoutKey));
        let both = |parts: &mut TableParts| (parts.key, parts.load) = (vec![name("day")], Load::Multiset);
        assert_eq!(check(&both), Err(InvalidTable::MultisetWithKey));
    }

    #[test]
    fn the_columns_of_a_key_are_required() {
        let mut parts = parts();
        (parts.key, parts.load) = (vec![name("day")], Load::Upsert);
        let table = Table::new(parts).unwrap();
        let required: Vec<_> = table.columns().iter().map(|column| column.required).collect();
        assert_eq!(required, [true, false]);
        let stored = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<Table>(&stored).unwrap(), table);
    }
}
