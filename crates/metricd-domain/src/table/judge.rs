//! Judges values by the checks of their column.

use std::cmp::Ordering;

use super::ColumnType;
use super::check_value::CheckValue;
use super::checks::{BrokenCheck, ColumnChecks, SHOWN_CHARS};
use crate::shortened;

/// The maximum number of values that a column lists.
pub const MAX_LISTED_VALUES: usize = 100;

/// The maximum number of characters of a listed text.
const MAX_LISTED_CHARS: usize = 200;

/// Why the checks of a column contradict its type or each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChecks {
    /// The type has no order that bounds could use.
    #[error(
        "a column of the type `{data_type}` has no `{member}`: expected `bigint`, `numeric`, `double precision`, `date`, \
         `timestamp` or `timestamptz`"
    )]
    NotOrdered {
        /// `minimum` or `maximum`.
        member: &'static str,
        /// The type of the column.
        data_type: ColumnType,
    },
    /// Values of the type cannot be listed.
    #[error("a column of the type `{0}` has no `one_of`: expected `text`, `bigint`, `numeric` or `date`")]
    NotListable(ColumnType),
    /// A bound or a listed value is no finite value of the type.
    #[error("`{value}` is no finite value of the type `{data_type}`")]
    NotAValue {
        /// `minimum`, `maximum` or `one_of/<index>`.
        member: String,
        /// The value, shortened.
        value: String,
        /// The type of the column.
        data_type: ColumnType,
    },
    /// No value is between the bounds.
    #[error("the maximum {maximum} is less than the minimum {minimum}")]
    BoundsCrossed {
        /// The minimum.
        minimum: String,
        /// The maximum.
        maximum: String,
    },
    /// There are too many listed values.
    #[error("`one_of` has {count} values: expected 1 to {MAX_LISTED_VALUES}")]
    TooManyValues {
        /// The number of values.
        count: usize,
    },
    /// A listed text has a NUL character or too many characters.
    #[error("expected a text of at most {MAX_LISTED_CHARS} characters without NUL")]
    TextTooLong {
        /// The position of the value, from 0.
        index: usize,
    },
    /// A value is listed twice.
    #[error("`{value}` is listed twice")]
    ValueRepeated {
        /// The position of the second one, from 0.
        index: usize,
        /// The value.
        value: String,
    },
    /// A listed value breaks a bound.
    #[error("`{value}` is listed, but breaks a bound: expected {expected}")]
    ValueOutside {
        /// The position of the value, from 0.
        index: usize,
        /// The value.
        value: String,
        /// What the bound expects.
        expected: String,
    },
}

impl InvalidChecks {
    /// The member of the declaration that is wrong, as the end of a JSON pointer: `minimum` or `one_of/2`.
    #[must_use]
    pub fn member(&self) -> String {
        match self {
            Self::NotOrdered { member, .. } => (*member).to_owned(),
            Self::NotAValue { member, .. } => member.clone(),
            Self::BoundsCrossed { .. } => "maximum".to_owned(),
            Self::NotListable(_) | Self::TooManyValues { .. } => "one_of".to_owned(),
            Self::TextTooLong { index } | Self::ValueRepeated { index, .. } | Self::ValueOutside { index, .. } => {
                format!("one_of/{index}")
            }
        }
    }
}

/// Judges the values of a column by its checks, exactly as the CHECK constraint of the column does in PostgreSQL.
#[derive(Debug, Clone)]
pub struct ColumnJudge {
    data_type: ColumnType,
    checks: ColumnChecks,
    minimum: Option<CheckValue<'static>>,
    maximum: Option<CheckValue<'static>>,
    one_of: Vec<CheckValue<'static>>,
}

impl ColumnJudge {
    /// Makes a judge of a column of this type.
    ///
    /// # Errors
    ///
    /// [`InvalidChecks`] names the first contradiction.
    pub fn new(data_type: ColumnType, checks: &ColumnChecks) -> Result<Self, InvalidChecks> {
        let minimum = bound("minimum", data_type, checks.minimum.as_ref())?;
        let maximum = bound("maximum", data_type, checks.maximum.as_ref())?;
        if let (Some(least), Some(greatest)) = (&minimum, &maximum)
            && least.compare(greatest) == Some(Ordering::Greater)
        {
            let (minimum, maximum) = (checks.minimum.clone(), checks.maximum.clone());
            let (minimum, maximum) = (minimum.unwrap_or_default(), maximum.unwrap_or_default());
            return Err(InvalidChecks::BoundsCrossed { minimum, maximum });
        }
        let mut judge = Self { data_type, checks: checks.clone(), minimum, maximum, one_of: Vec::new() };
        judge.list()?;
        Ok(judge)
    }

    /// Reads the listed values.
    fn list(&mut self) -> Result<(), InvalidChecks> {
        let count = self.checks.one_of.len();
        if count > 0 && !self.data_type.is_listable() {
            return Err(InvalidChecks::NotListable(self.data_type));
        }
        if count > MAX_LISTED_VALUES {
            return Err(InvalidChecks::TooManyValues { count });
        }
        for (index, text) in self.checks.one_of.iter().enumerate() {
            if self.data_type == ColumnType::Text && (text.chars().count() > MAX_LISTED_CHARS || text.contains('\0')) {
                return Err(InvalidChecks::TextTooLong { index });
            }
            let value = finite(&format!("one_of/{index}"), self.data_type, text)?;
            if let Some(broken) = self.broken_bound(&value) {
                let (value, expected) = (text.clone(), broken.to_string());
                return Err(InvalidChecks::ValueOutside { index, value, expected });
            }
            if self.one_of.iter().any(|listed| listed.compare(&value) == Some(Ordering::Equal)) {
                return Err(InvalidChecks::ValueRepeated { index, value: text.clone() });
            }
            self.one_of.push(value);
        }
        Ok(())
    }

    fn broken_bound(&self, value: &CheckValue<'_>) -> Option<BrokenCheck<'_>> {
        let breaks = |bound: &Option<CheckValue<'_>>, broken| {
            bound.as_ref().is_some_and(|bound| value.compare(bound).is_none_or(|order| order == broken))
        };
        let minimum = self.checks.minimum.as_deref().filter(|_| breaks(&self.minimum, Ordering::Less));
        let maximum = self.checks.maximum.as_deref().filter(|_| breaks(&self.maximum, Ordering::Greater));
        minimum.map(BrokenCheck::BelowMinimum).or(maximum.map(BrokenCheck::AboveMaximum))
    }

    /// The first check that a value breaks. The value is written as PostgreSQL writes it in ISO 8601; a text that is no
    /// value of the type breaks every check.
    #[must_use]
    pub fn judge(&self, value: &str) -> Option<BrokenCheck<'_>> {
        let Some(value) = CheckValue::parse(self.data_type, value) else {
            let Self { checks: ColumnChecks { minimum, maximum, one_of }, .. } = self;
            let bound = minimum.as_deref().map(BrokenCheck::BelowMinimum);
            let bound = bound.or(maximum.as_deref().map(BrokenCheck::AboveMaximum));
            return bound.or((!one_of.is_empty()).then_some(BrokenCheck::NotListed(one_of)));
        };
        if let Some(broken) = self.broken_bound(&value) {
            return Some(broken);
        }
        let is_listed = |listed: &CheckValue<'_>| value.compare(listed) == Some(Ordering::Equal);
        let is_any = self.one_of.is_empty() || self.one_of.iter().any(is_listed);
        (!is_any).then_some(BrokenCheck::NotListed(&self.checks.one_of))
    }
}

fn bound(
    member: &'static str,
    data_type: ColumnType,
    text: Option<&String>,
) -> Result<Option<CheckValue<'static>>, InvalidChecks> {
    let Some(text) = text else { return Ok(None) };
    if !data_type.has_bounds() {
        return Err(InvalidChecks::NotOrdered { member, data_type });
    }
    finite(member, data_type, text).map(Some)
}

fn finite(member: &str, data_type: ColumnType, text: &str) -> Result<CheckValue<'static>, InvalidChecks> {
    let value = CheckValue::parse(data_type, text.to_owned()).filter(CheckValue::is_finite);
    value.ok_or_else(|| {
        let value = shortened(text, SHOWN_CHARS);
        InvalidChecks::NotAValue { member: member.to_owned(), value, data_type }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(minimum: &str, maximum: &str, one_of: &[&str]) -> ColumnChecks {
        let bound = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let one_of = one_of.iter().map(|value| (*value).to_owned()).collect();
        ColumnChecks { minimum: bound(minimum), maximum: bound(maximum), one_of }
    }

    #[test]
    fn bounds_are_inclusive_and_exact() {
        let largest = "9".repeat(38);
        let judge = ColumnJudge::new(ColumnType::Numeric, &checks("0.1", &largest, &[])).unwrap();
        for passes in ["0.1", "0.10", "5", &largest, &format!("{largest}.000")] {
            assert_eq!(judge.judge(passes), None, "{passes}");
        }
        assert_eq!(judge.judge("0.09999999999999999999999999999"), Some(BrokenCheck::BelowMinimum("0.1")));
        assert_eq!(judge.judge("-1"), Some(BrokenCheck::BelowMinimum("0.1")));
        let above = format!("{largest}.{}1", "0".repeat(37));
        assert_eq!(judge.judge(&above), Some(BrokenCheck::AboveMaximum(&largest)));
        assert_eq!(judge.judge("NaN").map(|broken| broken.to_string()).as_deref(), Some("at least 0.1"));
    }

    #[test]
    fn only_listed_values_pass() {
        let listed = checks("", "", &["low", "it's", ""]);
        let judge = ColumnJudge::new(ColumnType::Text, &listed).unwrap();
        assert_eq!([judge.judge("low"), judge.judge(""), judge.judge("it's")], [None; 3]);
        for other in ["Low", "low ", "high"] {
            let broken = judge.judge(other).unwrap();
            assert_eq!(broken.to_string(), "one of `low`, `it's`, ``", "{other}");
        }
        let many: Vec<String> = (0..12).map(|number| number.to_string()).collect();
        let judge =
            ColumnJudge::new(ColumnType::Bigint, &ColumnChecks { one_of: many, ..checks("0", "", &[]) }).unwrap();
        assert!(judge.judge("12").unwrap().to_string().ends_with("`9` and 2 more"));
        assert_eq!(judge.checks.to_string().find(" and one of `0`, `1`"), Some("at least 0".len()));
    }

    #[test]
    fn nan_is_above_every_maximum() {
        let least = ColumnJudge::new(ColumnType::Double, &checks("0", "", &[])).unwrap();
        let greatest = ColumnJudge::new(ColumnType::Double, &checks("", "1e308", &[])).unwrap();
        assert_eq!([least.judge("NaN"), least.judge("Infinity"), least.judge("-0.0")], [None; 3]);
        assert!(greatest.judge("NaN").is_some() && greatest.judge("Infinity").is_some());
        assert!(least.judge("-Infinity").is_some() && greatest.judge("-Infinity").is_none());
    }

    #[test]
    fn contradictions_are_refused_with_their_member() {
        use ColumnType::{Bigint, Boolean, Bytea, Date, Double, Jsonb, Numeric, Text, Timestamp, Uuid};
        let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let long = "x".repeat(201);
        let mut cases = vec![
            (Bigint, checks("1.5", "", &[]), "minimum"),
            (Double, checks("", "NaN", &[]), "maximum"),
            (Double, checks("-Infinity", "", &[]), "minimum"),
            (Date, checks("infinity", "", &[]), "minimum"),
            (Numeric, checks("2", "1.99", &[]), "maximum"),
            (Timestamp, checks("", "", &["2025-06-01 00:00:00"]), "one_of"),
            (Double, checks("", "", &["1"]), "one_of"),
            (Numeric, checks("", "", &["1", "1.0"]), "one_of/1"),
            (Bigint, checks("0", "", &["1", "2", "-1"]), "one_of/2"),
            (Bigint, checks("", "", &many), "one_of"),
            (Text, checks("", "", &["a", "b\0"]), "one_of/1"),
            (Text, checks("", "", &[&long]), "one_of/0"),
            (Date, checks("", "", &["infinity"]), "one_of/0"),
        ];
        cases.extend([Boolean, Text, Uuid, Jsonb, Bytea].map(|data_type| (data_type, checks("", "1", &[]), "maximum")));
        for (data_type, checks, member) in cases {
            let fault = ColumnJudge::new(data_type, &checks).unwrap_err();
            assert_eq!(fault.member(), member, "{data_type}: {fault}");
        }
        assert!(ColumnJudge::new(Numeric, &checks("1", "1.00", &["1"])).is_ok());
    }
}
