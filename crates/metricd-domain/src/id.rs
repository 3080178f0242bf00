//! Ids: those of metrics, queries and dashboards, which share one rule, and those of ingestions.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The maximum number of characters of a [`MetricId`], [`QueryId`] or [`DashboardId`].
pub const MAX_ID_CHARS: usize = 64;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// The text is empty or white space only.
    #[error("the id is blank: expected 1 to {MAX_ID_CHARS} characters of `A-Z a-z 0-9 _ -`")]
    Blank,
    /// The text has more than [`MAX_ID_CHARS`] characters.
    #[error("the id has {chars} characters: expected at most {MAX_ID_CHARS}")]
    TooLong {
        /// How many characters the text has.
        chars: usize,
    },
    /// The text has a character outside `A-Z a-z 0-9 _ -`.
    #[error("the id has the character `{}` at position {position}: expected only `A-Z a-z 0-9 _ -`", crate::visible(&.character.to_string()))]
    Character {
        /// The first such character.
        character: char,
        /// Its position in characters, from 1.
        position: usize,
    },
}

fn check(text: &str) -> Result<(), InvalidId> {
    if text.trim().is_empty() {
        return Err(InvalidId::Blank);
    }
    let chars = text.chars().count();
    if chars > MAX_ID_CHARS {
        return Err(InvalidId::TooLong { chars });
    }
    let is_foreign = |character: &char| !(character.is_ascii_alphanumeric() || matches!(character, '_' | '-'));
    match text.chars().enumerate().find(|(_, character)| is_foreign(character)) {
        Some((index, character)) => Err(InvalidId::Character { character, position: index + 1 }),
        None => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$"))]
        pub struct $name(String);

        impl $name {
            /// Validates the text. Nothing is trimmed, and case is significant.
            ///
            /// # Errors
            ///
            /// [`InvalidId`] unless the text is 1 to [`MAX_ID_CHARS`] characters of `A-Z a-z 0-9 _ -`.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                check(&text)?;
                Ok(Self(text))
            }

            /// The id as text.
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
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id! {
    /// The id under which clients request a metric.
    MetricId
}

id! {
    /// The id of a query. A record carries the id of the query that reads it.
    QueryId
}

id! {
    /// The id of a dashboard.
    DashboardId
}

/// The id of an ingestion. Later ids sort later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IngestionId(pub Uuid);

impl fmt::Display for IngestionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accepts_the_shortest_and_the_longest_id() {
        assert!(MetricId::parse("a").is_ok());
        assert!(MetricId::parse("a".repeat(MAX_ID_CHARS)).is_ok());
    }

    #[test]
    fn refuses_blank_long_and_malformed_ids() {
        let position = |text: &str| MetricId::parse(text).unwrap_err();
        assert_eq!(position(""), InvalidId::Blank);
        assert_eq!(position(" \t"), InvalidId::Blank);
        assert_eq!(position(&"a".repeat(65)), InvalidId::TooLong { chars: 65 });
        assert_eq!(position("ab c"), InvalidId::Character { character: ' ', position: 3 });
        assert_eq!(position("naïve"), InvalidId::Character { character: 'ï', position: 3 });
        assert_eq!(position("a\0"), InvalidId::Character { character: '\0', position: 2 });
    }

    #[test]
    fn deserialization_refuses_an_invalid_id() {
        assert!(serde_json::from_str::<QueryId>("\"a b\"").is_err());
        assert_eq!(serde_json::from_str::<QueryId>("\"a-b\"").unwrap().as_str(), "a-b");
    }

    proptest! {
        #[test]
        fn every_id_that_is_accepted_matches_the_documented_rule(text in any::<String>()) {
            let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
            let expected = plain && (1..=MAX_ID_CHARS).contains(&text.len());
            prop_assert_eq!(MetricId::parse(text).is_ok(), expected);
        }
    }
}
