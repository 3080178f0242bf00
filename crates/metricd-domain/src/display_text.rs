//! The title and description of a metric, for people.

use serde::{Deserialize, Serialize};

/// The maximum number of characters of a [`MetricTitle`].
pub const MAX_TITLE_CHARS: usize = 200;

/// The maximum number of characters of a [`MetricDescription`].
pub const MAX_DESCRIPTION_CHARS: usize = 2_000;

/// Why a text is not a [`MetricTitle`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a title of 1 to {MAX_TITLE_CHARS} characters without control characters")]
pub struct InvalidTitle;

/// Why a text is not a [`MetricDescription`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a description of 1 to {MAX_DESCRIPTION_CHARS} characters, without control characters but line breaks and tabs"
)]
pub struct InvalidDescription;

/// The title of a metric: 1 to 200 characters without control characters, trimmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MetricTitle(String);

/// The description of a metric: 1 to 2 000 characters, trimmed. The only control characters in it are line breaks and
/// tabs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MetricDescription(String);

/// The title and the description of a metric; each may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisplayText {
    /// The title. If it is absent, the leading comment of the SQL takes its place.
    #[serde(default)]
    pub title: Option<MetricTitle>,
    /// The description.
    #[serde(default)]
    pub description: Option<MetricDescription>,
}

/// Trims the text, and returns it if it has 1 to `max_chars` characters and `is_allowed` is true for each.
pub(crate) fn trimmed(text: &str, max_chars: usize, is_allowed: impl Fn(char) -> bool) -> Option<String> {
    let text = text.trim();
    let is_valid = (1..=max_chars).contains(&text.chars().count()) && text.chars().all(is_allowed);
    is_valid.then(|| text.to_owned())
}

impl MetricTitle {
    /// Trims and validates the text.
    ///
    /// # Errors
    ///
    /// [`InvalidTitle`] if the trimmed text is empty, has more than [`MAX_TITLE_CHARS`] characters, or has a control
    /// character.
    pub fn parse(text: &str) -> Result<Self, InvalidTitle> {
        trimmed(text, MAX_TITLE_CHARS, |character| !character.is_control()).map(Self).ok_or(InvalidTitle)
    }

    /// The title as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl MetricDescription {
    /// Trims and validates the text.
    ///
    /// # Errors
    ///
    /// [`InvalidDescription`] if the trimmed text is empty, has more than [`MAX_DESCRIPTION_CHARS`] characters, or has
    /// a control character other than a line break or a tab.
    pub fn parse(text: &str) -> Result<Self, InvalidDescription> {
        let is_allowed = |character: char| !character.is_control() || matches!(character, '\n' | '\r' | '\t');
        trimmed(text, MAX_DESCRIPTION_CHARS, is_allowed).map(Self).ok_or(InvalidDescription)
    }

    /// The description as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Implements the conversions of a validated text type that has `parse` and `as_str`.
macro_rules! text {
    ($name:ident, $invalid:ident) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $invalid;

            fn try_from(text: String) -> Result<Self, $invalid> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    };
}

pub(crate) use text;

text!(MetricTitle, InvalidTitle);
text!(MetricDescription, InvalidDescription);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line_and_bounded() {
        assert_eq!(MetricTitle::parse("  Alerts ").unwrap().as_str(), "Alerts");
        for text in ["", " \t", "a\nb", "a\0b", &"ä".repeat(201)] {
            assert_eq!(MetricTitle::parse(text), Err(InvalidTitle), "{text:?}");
        }
        assert!(MetricTitle::parse(&"ä".repeat(200)).is_ok());
    }

    #[test]
    fn a_description_may_have_lines() {
        assert_eq!(MetricDescription::parse(" a\r\n\tb\n").unwrap().as_str(), "a\r\n\tb");
        for text in ["", "\n", "a\u{1b}b", &"x".repeat(2_001)] {
            assert_eq!(MetricDescription::parse(text), Err(InvalidDescription), "{text:?}");
        }
    }
}
