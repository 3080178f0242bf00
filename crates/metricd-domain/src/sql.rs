//! The SQL of a query.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The maximum size of the SQL of a query, in bytes of UTF-8.
pub const MAX_SQL_BYTES: usize = 100_000;

/// Why a text is not a [`SqlText`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSql {
    /// The text is empty or white space only.
    #[error("the SQL is blank: expected one SELECT statement")]
    Blank,
    /// The text has more than [`MAX_SQL_BYTES`] bytes.
    #[error("the SQL has {bytes} bytes: expected at most {MAX_SQL_BYTES}")]
    TooLong {
        /// How many bytes the text has.
        bytes: usize,
    },
    /// The text has a NUL character, which PostgreSQL cannot store.
    #[error("the SQL has a NUL character, which PostgreSQL cannot hold")]
    Nul,
}

/// SQL as its author wrote it: not blank, at most [`MAX_SQL_BYTES`] bytes, without NUL.
///
/// `metricd-execution` validates that it is one statement that the guard allows and that PostgreSQL resolves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SqlText(String);

impl SqlText {
    /// Validates the text. Nothing is trimmed.
    ///
    /// # Errors
    ///
    /// [`InvalidSql`] if the text is blank, too long or has a NUL character.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidSql> {
        let text = text.into();
        if text.trim().is_empty() {
            return Err(InvalidSql::Blank);
        }
        if text.len() > MAX_SQL_BYTES {
            return Err(InvalidSql::TooLong { bytes: text.len() });
        }
        if text.contains('\0') {
            return Err(InvalidSql::Nul);
        }
        Ok(Self(text))
    }

    /// The SQL as its author wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The title that the author gave: the text of a `--` comment on the first line that is not blank.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        let comment = self.0.trim_start().lines().next()?.strip_prefix("--")?;
        let title = comment.trim_start_matches('-').trim();
        (!title.is_empty()).then_some(title)
    }
}

impl fmt::Display for SqlText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for SqlText {
    type Error = InvalidSql;

    fn try_from(text: String) -> Result<Self, InvalidSql> {
        Self::parse(text)
    }
}

impl From<SqlText> for String {
    fn from(sql: SqlText) -> Self {
        sql.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_blank_long_and_nul() {
        assert_eq!(SqlText::parse(" \n\t"), Err(InvalidSql::Blank));
        assert_eq!(SqlText::parse("SELECT '\0'"), Err(InvalidSql::Nul));
        assert_eq!(
            SqlText::parse("x".repeat(MAX_SQL_BYTES + 1)),
            Err(InvalidSql::TooLong { bytes: MAX_SQL_BYTES + 1 })
        );
        assert!(SqlText::parse("x".repeat(MAX_SQL_BYTES)).is_ok());
    }

    #[test]
    fn the_leading_comment_is_the_title() {
        let title = |sql: &str| SqlText::parse(sql).unwrap().title().map(str::to_owned);
        assert_eq!(title("-- Alerts by day\nSELECT 1").as_deref(), Some("Alerts by day"));
        assert_eq!(title("\n  -- Alerts \r\nSELECT 1").as_deref(), Some("Alerts"));
        assert_eq!(title("---- Alerts\nSELECT 1").as_deref(), Some("Alerts"));
        assert_eq!(title("--\nSELECT 1"), None);
        assert_eq!(title("SELECT 1 -- one"), None);
        assert_eq!(title("/* Alerts */ SELECT 1"), None);
    }
}
