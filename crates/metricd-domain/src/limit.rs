//! The part of its rows that a result has: how many at most, and how many are skipped.

use std::fmt;

/// The maximum number of rows of a result.
///
/// For a buffered result it is 1 to 10 000, 1 000 by default. For a streamed result it is 1 to 1 000 000, which is also
/// the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowLimit(u32);

/// Why a text is not a row limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole number from 1 to {max}")]
pub struct InvalidRowLimit {
    /// The maximum limit for this kind of result.
    pub max: RowLimit,
}

impl RowLimit {
    /// The limit of a buffered result by default.
    pub const DEFAULT: Self = Self(1_000);

    /// The maximum limit of a buffered result.
    pub const MAX: Self = Self(10_000);

    /// The maximum limit of a streamed result.
    pub const STREAM_MAX: Self = Self(1_000_000);

    /// Parses the limit of a buffered result, in decimal digits.
    ///
    /// # Errors
    ///
    /// [`InvalidRowLimit`] if the text is not a whole number from 1 to 10 000.
    pub fn parse(text: &str) -> Result<Self, InvalidRowLimit> {
        Self::parse_up_to(Self::MAX, text)
    }

    /// Parses the limit of a streamed result, in decimal digits.
    ///
    /// # Errors
    ///
    /// [`InvalidRowLimit`] if the text is not a whole number from 1 to 1 000 000.
    pub fn parse_stream(text: &str) -> Result<Self, InvalidRowLimit> {
        Self::parse_up_to(Self::STREAM_MAX, text)
    }

    fn parse_up_to(max: Self, text: &str) -> Result<Self, InvalidRowLimit> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(rows) if digits && (1..=max.0).contains(&rows) => Ok(Self(rows)),
            _ => Err(InvalidRowLimit { max }),
        }
    }

    /// The smaller of this limit and `rows`, but at least one row.
    #[must_use]
    pub fn at_most(self, rows: u32) -> Self {
        Self(self.0.min(rows.max(1)))
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(self) -> usize {
        self.0 as usize
    }
}

/// The number of rows of a result that are skipped: 0 to 1 000 000, 0 by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowOffset(u32);

/// Why a text is not a row offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole number from 0 to {}", RowOffset::MAX)]
pub struct InvalidRowOffset;

impl RowOffset {
    /// The maximum offset.
    pub const MAX: Self = Self(1_000_000);

    /// Parses the offset, in decimal digits.
    ///
    /// # Errors
    ///
    /// [`InvalidRowOffset`] if the text is not a whole number from 0 to 1 000 000.
    pub fn parse(text: &str) -> Result<Self, InvalidRowOffset> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(rows) if digits && rows <= Self::MAX.0 => Ok(Self(rows)),
            _ => Err(InvalidRowOffset),
        }
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(self) -> u32 {
        self.0
    }
}

impl fmt::Display for RowOffset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Default for RowLimit {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for RowLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_one_to_ten_thousand_in_digits_only() {
        assert_eq!(RowLimit::parse("1").map(RowLimit::rows), Ok(1));
        assert_eq!(RowLimit::parse("10000"), Ok(RowLimit::MAX));
        for text in ["", "0", "10001", "-1", "+1", "1.0", "1e3", " 1", "ten", "99999999999999999999"] {
            assert_eq!(RowLimit::parse(text), Err(InvalidRowLimit { max: RowLimit::MAX }), "{text:?}");
        }
        assert_eq!(RowLimit::parse_stream("1000000"), Ok(RowLimit::STREAM_MAX));
        let error = RowLimit::parse_stream("1000001").unwrap_err();
        assert_eq!(error.to_string(), "expected a whole number from 1 to 1000000");
    }

    #[test]
    fn an_offset_is_zero_to_one_million_in_digits_only() {
        for (text, rows) in [("0", 0), ("40", 40), ("007", 7), ("1000000", 1_000_000)] {
            assert_eq!(RowOffset::parse(text).map(RowOffset::rows), Ok(rows), "{text:?}");
        }
        for text in ["", "-1", "+1", "1000001", "1.0", "1e3", " 1", "one", "99999999999999999999"] {
            assert_eq!(RowOffset::parse(text), Err(InvalidRowOffset), "{text:?}");
        }
        assert_eq!(InvalidRowOffset.to_string(), "expected a whole number from 0 to 1000000");
    }
}
