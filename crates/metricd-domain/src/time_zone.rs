//! Time zones by their names.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The maximum length of a [`TimeZone`]'s name. The longest name in the IANA database has 32 characters.
pub const MAX_TIME_ZONE_CHARS: usize = 64;

/// Why a text names no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTimeZone {
    /// The text does not have the form of a full name.
    #[error(
        "`{0}` is not the full name of a time zone: expected one such as `Europe/Berlin`, or `UTC`; abbreviations, offsets and \
         rules are not accepted"
    )]
    Form(String),
    /// A database does not know the zone.
    #[error(
        "the database knows no time zone `{0}`: expected a name in its view `pg_timezone_names`, such as `Europe/Berlin`"
    )]
    Unknown(TimeZone),
}

/// The full name of a time zone in the IANA database: `UTC`, or an area and a location such as `Europe/Berlin`. Whether
/// a database knows it is another matter.
///
/// Abbreviations (`CET`), offsets (`+02`) and POSIX rules (`<x>-3`) are not names: PostgreSQL accepts them with signs
/// that mean the opposite of what ISO 8601 means, or without daylight-saving time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TimeZone(Arc<str>);

impl TimeZone {
    const UTC: &'static str = "UTC";

    /// Validates the form of the name. Case is kept.
    ///
    /// # Errors
    ///
    /// [`InvalidTimeZone::Form`] unless the text is `UTC`, in any case, or at most [`MAX_TIME_ZONE_CHARS`] characters of `A-Z
    /// a-z 0-9 _ + - /` in at least two parts between slashes. `posix/…` and `right/…` are folders of an installation.
    pub fn parse(text: &str) -> Result<Self, InvalidTimeZone> {
        if text.eq_ignore_ascii_case(Self::UTC) {
            return Ok(Self::default());
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte);
        let is_part =
            |part: &str| part.starts_with(|first: char| first.is_ascii_alphabetic()) && part.bytes().all(is_plain);
        let is_named = |(area, location): (&str, &str)| {
            !["posix", "right"].iter().any(|folder| area.eq_ignore_ascii_case(folder))
                && is_part(area)
                && location.split('/').all(is_part)
        };
        if text.len() <= MAX_TIME_ZONE_CHARS && text.split_once('/').is_some_and(is_named) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidTimeZone::Form(crate::shortened(text, MAX_TIME_ZONE_CHARS)))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `UTC` by name.
    #[must_use]
    pub fn is_utc(&self) -> bool {
        &*self.0 == Self::UTC
    }
}

impl Default for TimeZone {
    /// `UTC`.
    fn default() -> Self {
        Self(Self::UTC.into())
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_name_is_accepted() {
        for name in [
            "Europe/Berlin",
            "America/Argentina/ComodRivadavia",
            "America/Port-au-Prince",
            "Etc/GMT+3",
            "US/East-Indiana",
            "europe/berlin",
        ] {
            assert_eq!(TimeZone::parse(name).unwrap().as_str(), name);
        }
        for utc in ["UTC", "utc"] {
            assert_eq!(TimeZone::parse(utc), Ok(TimeZone::default()));
        }
    }

    #[test]
    fn abbreviations_offsets_rules_and_sql_are_refused() {
        for text in [
            "",
            " ",
            "CET",
            "EST5EDT",
            "Z",
            "+02",
            "-03:30",
            "<x>-3",
            "<x/y>-3",
            "CET-1CEST,M3.5.0/2,M10.5.0/3",
            "UTC'; DROP TABLE t; --",
            "Europe/Berlin'",
            "Europe/Berlin\0",
            "Europe/Berlin ",
            "/Berlin",
            "Europe/",
            "Europe//Berlin",
            "../etc/passwd",
            "Europe/../UTC",
            "posix/Europe/Berlin",
            "RIGHT/Europe/Berlin",
            "Europe/Bérlin",
            &format!("Europe/{}", "x".repeat(10_000)),
        ] {
            let message = TimeZone::parse(text).unwrap_err().to_string();
            assert!(message.contains("such as `Europe/Berlin`") && message.len() < 400, "{message}");
        }
    }
}
