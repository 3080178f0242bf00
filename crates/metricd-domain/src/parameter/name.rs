//! Names of parameters.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The maximum number of characters of a [`ParameterName`].
pub const MAX_PARAMETER_NAME_CHARS: usize = 63;

/// The parameter that a period sets to its first day.
pub const START_DATE: &str = "start_date";

/// The parameter that a period sets to its last day.
pub const END_DATE: &str = "end_date";

/// The parameter that a request sets to the name of its time zone.
pub const TIME_ZONE: &str = "time_zone";

/// Names with another meaning in a request: query parameters of the endpoint, and the id in the path.
const RESERVED: [&str; 3] = ["limit", "format", "metric_id"];

/// Why a text is not a [`ParameterName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidParameterName {
    /// The text is empty or too long, begins with a digit, or has a character outside `A-Z a-z 0-9 _`.
    #[error(
        "`{0}` cannot name a parameter: expected 1 to {MAX_PARAMETER_NAME_CHARS} characters of `A-Z a-z 0-9 _`, not beginning with a digit"
    )]
    Syntax(String),
    /// Requests use the name for something else.
    #[error("`{0}` cannot name a parameter: requests use that name for something else; expected another name")]
    Reserved(String),
}

/// The name of a parameter: the text after the colon in the SQL, and before the equals sign in a request. Case is
/// significant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(max_length = 63, pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
pub struct ParameterName(String);

impl ParameterName {
    /// Validates the text.
    ///
    /// # Errors
    ///
    /// [`InvalidParameterName`] unless the text is 1 to [`MAX_PARAMETER_NAME_CHARS`] characters of `A-Z a-z 0-9 _` and
    /// does not begin with a digit; also for the reserved names `limit`, `format` and `metric_id`.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidParameterName> {
        let text = text.into();
        let is_plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let has_valid_start = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        if !has_valid_start || text.len() > MAX_PARAMETER_NAME_CHARS || !text.chars().all(is_plain) {
            return Err(InvalidParameterName::Syntax(text.chars().take(MAX_PARAMETER_NAME_CHARS + 1).collect()));
        }
        if RESERVED.contains(&text.as_str()) {
            return Err(InvalidParameterName::Reserved(text));
        }
        Ok(Self(text))
    }

    /// Whether a period sets the parameter: [`START_DATE`] or [`END_DATE`].
    #[must_use]
    pub fn is_set_by_period(&self) -> bool {
        [START_DATE, END_DATE].contains(&self.as_str())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ParameterName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for ParameterName {
    type Error = InvalidParameterName;

    fn try_from(text: String) -> Result<Self, InvalidParameterName> {
        Self::parse(text)
    }
}

impl From<ParameterName> for String {
    fn from(name: ParameterName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_identifier_and_not_reserved() {
        for name in ["day", "start_date", "_", "a1", "Day"] {
            assert_eq!(ParameterName::parse(name).map(String::from).as_deref(), Ok(name));
        }
        for name in ["", "1", "a b", "é", "a-b", &"x".repeat(64)] {
            assert!(matches!(ParameterName::parse(name), Err(InvalidParameterName::Syntax(_))), "{name}");
        }
        assert!(matches!(ParameterName::parse("limit"), Err(InvalidParameterName::Reserved(_))));
    }
}
