//! The column by which a period selects rows, as a definition names it.

use serde::{Deserialize, Serialize};

/// The maximum number of bytes of a name in PostgreSQL.
const MAX_NAME_BYTES: usize = 63;

/// Whether a column of a table or of a result can have this name.
pub(crate) fn is_column_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && !text.contains(char::is_control)
}

/// The column with the time of each row, as a definition names it: `column` or `table.column`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeColumn {
    table: Option<String>,
    column: String,
}

/// Why a text does not name a time column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a column, or of a table and a column with a point between them")]
pub struct InvalidTimeColumn;

impl TimeColumn {
    /// Parses `column` or `table.column`, spelled as in PostgreSQL's catalogs.
    ///
    /// # Errors
    ///
    /// [`InvalidTimeColumn`] if the text has no name, more than two, or one that is longer than PostgreSQL allows.
    pub fn parse(text: &str) -> Result<Self, InvalidTimeColumn> {
        let names: Vec<_> = text.split('.').collect();
        match names.as_slice() {
            names if !names.iter().all(|name| is_column_name(name)) => Err(InvalidTimeColumn),
            [column] => Ok(Self { table: None, column: (*column).to_owned() }),
            [table, column] => Ok(Self { table: Some((*table).to_owned()), column: (*column).to_owned() }),
            _ => Err(InvalidTimeColumn),
        }
    }

    /// The table, if the definition names one.
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        self.table.as_deref()
    }

    /// The column.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Whether it names this column of this table.
    pub(crate) fn is_column(&self, table: &str, column: &str) -> bool {
        self.column == column && self.table.as_ref().is_none_or(|name| name == table)
    }
}

impl std::fmt::Display for TimeColumn {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(table) = &self.table {
            write!(formatter, "{table}.")?;
        }
        formatter.write_str(&self.column)
    }
}

impl TryFrom<String> for TimeColumn {
    type Error = InvalidTimeColumn;

    fn try_from(text: String) -> Result<Self, InvalidTimeColumn> {
        Self::parse(&text)
    }
}

impl From<TimeColumn> for String {
    fn from(column: TimeColumn) -> Self {
        column.to_string()
    }
}
