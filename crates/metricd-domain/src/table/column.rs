//! The columns of a table.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ColumnChecks, ColumnName, ColumnType};
use crate::display_text::trimmed;

const MAX_DESCRIPTION_CHARS: usize = 2_000;
const MAX_UNIT_CHARS: usize = 50;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableColumn {
    /// The name.
    pub name: ColumnName,
    /// The type.
    #[serde(rename = "type")]
    pub data_type: ColumnType,
    /// What the column means, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<ColumnText>,
    /// The unit of its values, such as `EUR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<ColumnText>,
    /// Whether every row has a value.
    #[serde(default)]
    pub required: bool,
    /// What each value has to be, besides a value of the type.
    #[serde(flatten)]
    pub checks: ColumnChecks,
}

impl TableColumn {
    /// Makes a column without description, unit and checks, whose values may be absent.
    #[must_use]
    pub fn new(name: ColumnName, data_type: ColumnType) -> Self {
        let checks = ColumnChecks::default();
        Self { name, data_type, description: None, unit: None, required: false, checks }
    }

    /// The text that the database stores with the column: the description, followed by the unit in brackets.
    #[must_use]
    pub fn comment(&self) -> Option<String> {
        match (&self.description, &self.unit) {
            (Some(description), Some(unit)) => Some(format!("{description} [{unit}]")),
            (Some(text), None) => Some(text.to_string()),
            (None, Some(unit)) => Some(format!("[{unit}]")),
            (None, None) => None,
        }
    }
}

/// The description or the unit of a column: trimmed, without control characters but line breaks and tabs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ColumnText(String);

/// Why a text is not the description or the unit of a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {max_chars} characters without control characters")]
pub struct InvalidColumnText {
    max_chars: usize,
}

impl ColumnText {
    /// Validates a description of 1 to 2 000 characters.
    ///
    /// # Errors
    ///
    /// [`InvalidColumnText`] if the text is blank, too long or has a control character.
    pub fn description(text: &str) -> Result<Self, InvalidColumnText> {
        Self::parse(text, MAX_DESCRIPTION_CHARS)
    }

    /// Validates a unit of 1 to 50 characters.
    ///
    /// # Errors
    ///
    /// [`InvalidColumnText`] if the text is blank, too long or has a control character.
    pub fn unit(text: &str) -> Result<Self, InvalidColumnText> {
        Self::parse(text, MAX_UNIT_CHARS)
    }

    fn parse(text: &str, max_chars: usize) -> Result<Self, InvalidColumnText> {
        let is_allowed = |character: char| matches!(character, '\n' | '\t') || !character.is_control();
        trimmed(text, max_chars, is_allowed).map(Self).ok_or(InvalidColumnText { max_chars })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ColumnText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for ColumnText {
    type Error = InvalidColumnText;

    fn try_from(text: String) -> Result<Self, InvalidColumnText> {
        Self::description(&text)
    }
}

impl From<ColumnText> for String {
    fn from(text: ColumnText) -> Self {
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_has_the_description_and_the_unit() {
        let mut amount = TableColumn::new(ColumnName::parse("amount").unwrap(), ColumnType::Numeric);
        assert_eq!(amount.comment(), None);
        amount.unit = Some(ColumnText::unit("EUR").unwrap());
        assert_eq!(amount.comment().as_deref(), Some("[EUR]"));
        amount.description = Some(ColumnText::description(" Net of tax ").unwrap());
        assert_eq!(amount.comment().as_deref(), Some("Net of tax [EUR]"));
        assert!(ColumnText::unit(&"x".repeat(51)).is_err());
        assert!(ColumnText::description("a\u{7}").is_err());
    }
}
