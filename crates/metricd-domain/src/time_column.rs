//! The column by which a period selects rows, as a definition names it.

use serde::{Deserialize, Serialize};

/// The maximum size of an identifier in PostgreSQL, in bytes.
const MAX_NAME_BYTES: usize = 63;

/// Whether the text can be the name of a column.
pub(crate) fn is_column_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && !text.contains(char::is_control)
}

/// The column with the date or timestamp of each row, as a definition names it: `column`, `table.column` or
/// `schema.table.column`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeColumn {
    schema: Option<String>,
    table: Option<String>,
    column: String,
}

/// Why a text does not name a time column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected the name of a column, or of a table and a column, or of a schema, a table and a column, with points between them"
)]
pub struct InvalidTimeColumn;

impl TimeColumn {
    /// Parses `column`, `table.column` or `schema.table.column`, spelled as in PostgreSQL's catalogs.
    ///
    /// # Errors
    ///
    /// [`InvalidTimeColumn`] if the text has no name, more than three, or one that is longer than PostgreSQL allows.
    pub fn parse(text: &str) -> Result<Self, InvalidTimeColumn> {
        let names: Vec<_> = text.split('.').collect();
        if names.len() > 3 || !names.iter().all(|name| is_column_name(name)) {
            return Err(InvalidTimeColumn);
        }
        let mut names = names.into_iter().rev().map(str::to_owned);
        let column = names.next().ok_or(InvalidTimeColumn)?;
        let (table, schema) = (names.next(), names.next());
        Ok(Self { schema, table, column })
    }

    /// The schema, if the definition names one.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
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
    pub(crate) fn is_column(&self, schema: &str, table: &str, column: &str) -> bool {
        self.column == column
            && self.table.as_ref().is_none_or(|name| name == table)
            && self.schema.as_ref().is_none_or(|name| name == schema)
    }
}

impl std::fmt::Display for TimeColumn {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for name in [&self.schema, &self.table].into_iter().flatten() {
            write!(formatter, "{name}.")?;
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
