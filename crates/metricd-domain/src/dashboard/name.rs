//! Names of dashboards.

use serde::{Deserialize, Serialize};

use crate::display_text::{text, trimmed};

/// The maximum number of characters of a dashboard's name.
const MAX_NAME_CHARS: usize = 200;

/// The display name of a dashboard: 1 to 200 characters without control characters, trimmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DashboardName(String);

/// Why a text is not a [`DashboardName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a name of 1 to {MAX_NAME_CHARS} characters without control characters")]
pub struct InvalidName;

impl DashboardName {
    /// Trims and validates the text.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] if the trimmed text is empty, has more than 200 characters, or has a control character.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        trimmed(text, MAX_NAME_CHARS, |character| !character.is_control()).map(Self).ok_or(InvalidName)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text!(DashboardName, InvalidName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_bounded() {
        assert_eq!(DashboardName::parse("  Parts ").unwrap().as_str(), "Parts");
        assert_eq!(DashboardName::parse(" "), Err(InvalidName));
        assert_eq!(DashboardName::parse("a\nb"), Err(InvalidName));
        assert_eq!(DashboardName::parse(&"a".repeat(201)), Err(InvalidName));
    }
}
