//! Names of tables and columns.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The maximum size of a name in PostgreSQL, in bytes.
const MAX_COLUMN_BYTES: usize = 63;

/// The same for a table, less the suffixes of its constraints and indexes.
const MAX_TABLE_BYTES: usize = 54;

/// The columns that every table of PostgreSQL has.
const SYSTEM_COLUMNS: [&str; 6] = ["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"];

/// The number of characters of a name that an error shows.
const SHOWN_CHARS: usize = 80;

/// Why a text names no table and no column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTableName {
    /// The name is empty.
    #[error("the name is empty")]
    Empty,
    /// The name has more bytes than allowed.
    #[error("the name has {bytes} bytes: expected at most {max_bytes}")]
    TooLong {
        /// The size of the name, in bytes.
        bytes: usize,
        /// The maximum size, in bytes.
        max_bytes: usize,
    },
    /// Every table of PostgreSQL has a column of this name already.
    #[error("`{0}` is the name of a column that every table of PostgreSQL has: choose another name")]
    System(String),
    /// SQL would have to quote the name.
    #[error(
        "`{name}` is not a name that SQL can write without quotes: expected lower-case letters, digits and `_`, such as `{suggestion}`"
    )]
    Unquotable {
        /// The name, shortened.
        name: String,
        /// A name that SQL can write.
        suggestion: String,
    },
}

/// Validates a name: 1 to `max_bytes` bytes of lower-case letters, digits and `_`, which does not begin with a digit.
fn validate(name: &str, max_bytes: usize) -> Result<(), InvalidTableName> {
    if name.is_empty() {
        return Err(InvalidTableName::Empty);
    }
    if name.len() > max_bytes {
        return Err(InvalidTableName::TooLong { bytes: name.len(), max_bytes });
    }
    let is_allowed = |character: char| {
        character == '_' || character.is_alphanumeric() && character.to_lowercase().eq(std::iter::once(character))
    };
    if max_bytes == MAX_COLUMN_BYTES && SYSTEM_COLUMNS.contains(&name) {
        return Err(InvalidTableName::System(name.to_owned()));
    }
    if name.starts_with(|character: char| character.is_numeric()) || !name.chars().all(is_allowed) {
        let suggestion = folded(name).unwrap_or_else(|| "amount_2".to_owned());
        return Err(InvalidTableName::Unquotable { name: name.chars().take(SHOWN_CHARS).collect(), suggestion });
    }
    Ok(())
}

/// The name that SQL can write without quotes and that is nearest to the text: letters in lower case, a new word after
/// a lower-case letter that an upper-case one follows, and `_` for everything else. `None` if nothing remains.
fn folded(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut before = None;
    for character in text.trim().chars() {
        if character.is_alphanumeric() {
            let begins_word = character.is_uppercase() && before.is_some_and(|before: char| before.is_lowercase());
            if begins_word || before.is_some_and(|before| !before.is_alphanumeric()) && !name.is_empty() {
                name.push('_');
            }
            // A letter such as `İ` has a combining mark in lower case, which no name may have.
            name.extend(character.to_lowercase().filter(|lower| lower.is_alphanumeric()));
        }
        before = Some(character);
    }
    if name.starts_with(|character: char| character.is_numeric()) {
        name.insert(0, '_');
    }
    (!name.is_empty()).then_some(name)
}

macro_rules! name_type {
    ($(#[$documentation:meta])* $name:ident, $max_bytes:expr) => {
        $(#[$documentation])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Validates a name.
            ///
            /// # Errors
            ///
            /// [`InvalidTableName`] names the rule that the text breaks.
            pub fn parse(name: impl Into<String>) -> Result<Self, InvalidTableName> {
                let name = name.into();
                validate(&name, $max_bytes)?;
                Ok(Self(name))
            }

            /// Makes a name of any text, such as the header of a column: `Order Date` and `orderDate` become
            /// `order_date`. Different texts may become the same name.
            ///
            /// # Errors
            ///
            /// [`InvalidTableName`] if nothing of the text can be in a name, or if the name would be too long.
            pub fn from_text(text: &str) -> Result<Self, InvalidTableName> {
                Self::parse(folded(text).ok_or(InvalidTableName::Empty)?)
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidTableName;

            fn try_from(name: String) -> Result<Self, InvalidTableName> {
                Self::parse(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name_type! {
    /// The name of a table that files are loaded into: 1 to 54 bytes of lower-case letters, digits and `_`, which does
    /// not begin with a digit. SQL can write it without quotes, unless it is a keyword.
    TableName, MAX_TABLE_BYTES
}

name_type! {
    /// The name of a column of a table: 1 to 63 bytes, with the other rules of a [`TableName`].
    ColumnName, MAX_COLUMN_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_written_in_sql_without_quotes() {
        for name in ["sales", "_2024", "größe", "a1_b", "売上", &"a".repeat(54)] {
            assert_eq!(TableName::parse(name).map(String::from).as_deref(), Ok(name));
        }
        assert_eq!(ColumnName::parse(""), Err(InvalidTableName::Empty));
        assert_eq!(ColumnName::parse("ctid"), Err(InvalidTableName::System("ctid".to_owned())));
        assert!(TableName::parse("ctid").is_ok());
        assert_eq!(ColumnName::parse("ä".repeat(32)), Err(InvalidTableName::TooLong { bytes: 64, max_bytes: 63 }));
        assert!(TableName::parse("a".repeat(55)).is_err() && ColumnName::parse("a".repeat(63)).is_ok());
        for name in ["Sales", "2024", "order date", "a-b", "a\"b", "Größe", "ÄB", "a\0"] {
            assert!(matches!(ColumnName::parse(name), Err(InvalidTableName::Unquotable { .. })), "{name}");
        }
    }

    #[test]
    fn any_text_becomes_the_nearest_name() {
        let name = |text: &str| ColumnName::from_text(text).map(String::from).ok();
        assert_eq!(name("Order Date").as_deref(), Some("order_date"));
        assert_eq!(name(" orderDate ").as_deref(), Some("order_date"));
        assert_eq!(name("parentID").as_deref(), Some("parent_id"));
        assert_eq!(name("Umsatz (€)").as_deref(), Some("umsatz"));
        assert_eq!(name("% of total").as_deref(), Some("of_total"));
        assert_eq!(name("2024").as_deref(), Some("_2024"));
        assert_eq!(name("a__b").as_deref(), Some("a_b"));
        assert_eq!(name("GRÖSSE/Maß").as_deref(), Some("grösse_maß"));
        assert_eq!(name("İstanbul").as_deref(), Some("istanbul"));
        assert_eq!(name("€"), None);
        assert_eq!(name(""), None);
    }
}
