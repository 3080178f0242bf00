//! Exact decimal numbers in plain notation.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The maximum number of digits before the point, and after it.
const MAX_DIGITS: usize = 38;

/// A finite decimal number in plain notation, with exactly the digits that were written.
///
/// The text is `-?[0-9]+(\.[0-9]+)?` with at most 38 digits before the point and 38 after it. PostgreSQL's `numeric`
/// represents it exactly.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal(String);

/// Why a text is not a [`Decimal`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDecimal {
    /// `NaN` or an infinity.
    #[error("`NaN` and infinities are not accepted: expected a finite number, or nothing")]
    NotFinite,
    /// The text is not a number in plain notation.
    #[error("expected a number such as `12.50`: digits with a point, no thousands separators, no exponent")]
    Syntax,
    /// The number has too many digits before or after the point.
    #[error("expected at most {MAX_DIGITS} digits before the point and {MAX_DIGITS} after it")]
    TooLong,
}

impl Decimal {
    /// Parses a number in plain notation, and drops a leading `+`.
    ///
    /// # Errors
    ///
    /// [`InvalidDecimal`] names the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidDecimal> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let words = ["nan", "inf", "infinity"];
        if words.iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
            return Err(InvalidDecimal::NotFinite);
        }
        let (whole, fraction) = match unsigned.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (unsigned, None),
        };
        if !is_digits(whole) || !fraction.is_none_or(is_digits) {
            return Err(InvalidDecimal::Syntax);
        }
        if whole.len() > MAX_DIGITS || fraction.is_some_and(|part| part.len() > MAX_DIGITS) {
            return Err(InvalidDecimal::TooLong);
        }
        Ok(Self(text.strip_prefix('+').unwrap_or(text).to_owned()))
    }

    /// The number in plain notation.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares the numeric values. `9.50` and `9.5` compare as equal here, but differ by `==`.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        compare_plain(&self.0, &other.0)
    }
}

/// Whether the text is `-?[0-9]+(\.[0-9]+)?`, with any number of digits.
pub(crate) fn is_plain(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').map_or((unsigned, None), |(whole, part)| (whole, Some(part)));
    is_digits(whole) && fraction.is_none_or(is_digits)
}

/// Compares the values of two texts that [are plain](is_plain).
pub(crate) fn compare_plain(one: &str, other: &str) -> Ordering {
    let (left, right) = (magnitude(one), magnitude(other));
    let is_zero = |(whole, fraction): (&str, &str)| whole.is_empty() && fraction.is_empty();
    let is_negative = |number: &str, magnitude| number.starts_with('-') && !is_zero(magnitude);
    let by_magnitude = || left.0.len().cmp(&right.0.len()).then_with(|| left.cmp(&right));
    match (is_negative(one, left), is_negative(other, right)) {
        (false, false) => by_magnitude(),
        (true, true) => by_magnitude().reverse(),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

/// The digits before and after the point, without leading and trailing zeros.
fn magnitude(number: &str) -> (&str, &str) {
    let unsigned = number.trim_start_matches('-');
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    (whole.trim_start_matches('0'), fraction.trim_end_matches('0'))
}

fn is_digits(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

impl TryFrom<String> for Decimal {
    type Error = InvalidDecimal;

    fn try_from(text: String) -> Result<Self, InvalidDecimal> {
        Self::parse(&text)
    }
}

impl From<Decimal> for String {
    fn from(number: Decimal) -> Self {
        number.0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_digit() {
        for text in ["0", "-12.50", "0.00000000000000000000000000000000000001", "00.10"] {
            assert_eq!(Decimal::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(Decimal::parse("+1.5").unwrap().as_str(), "1.5");
    }

    #[test]
    fn numbers_compare_by_value() {
        let ascending =
            ["-10", "-9.5", "-0.01", "0", "0.1", "0.11", "0.2", "1", "9", "10.000000000000000000001", "100"];
        let numbers: Vec<_> = ascending.iter().map(|text| Decimal::parse(text).unwrap()).collect();
        for (i, left) in numbers.iter().enumerate() {
            for (j, right) in numbers.iter().enumerate() {
                assert_eq!(left.compare(right), i.cmp(&j), "{left} {right}");
            }
        }
        for (left, right) in [("-0", "0.0"), ("007.50", "7.5")] {
            assert_eq!(Decimal::parse(left).unwrap().compare(&Decimal::parse(right).unwrap()), Ordering::Equal);
        }
    }

    #[test]
    fn refuses_numbers_that_are_not_finite_or_not_plain() {
        for text in ["NaN", "-inf", "Infinity", "+infinity"] {
            assert_eq!(Decimal::parse(text), Err(InvalidDecimal::NotFinite), "{text:?}");
        }
        for text in ["", "-", ".5", "5.", "1,000", "1e3", "1 ", "0x1F", "--1", "1.2.3", "twelve", "١"] {
            assert_eq!(Decimal::parse(text), Err(InvalidDecimal::Syntax), "{text:?}");
        }
        assert_eq!(Decimal::parse(&"9".repeat(39)), Err(InvalidDecimal::TooLong));
        assert_eq!(Decimal::parse(&format!("0.{}", "1".repeat(39))), Err(InvalidDecimal::TooLong));
    }
}
