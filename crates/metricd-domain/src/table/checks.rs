//! Checks of the values of a column, which need no SQL.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::shortened;

/// The number of listed values that a message shows, and the number of characters of each.
const SHOWN_VALUES: usize = 10;
pub(super) const SHOWN_CHARS: usize = 50;

/// What each value of a column has to be. A row without a value passes.
///
/// Values are texts as PostgreSQL writes them: `1000.50`, `2025-06-01`, `2025-06-01 12:00:00+02`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnChecks {
    /// The least value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<String>,
    /// The greatest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<String>,
    /// The only values. Empty if there may be others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
}

impl ColumnChecks {
    /// Whether every value of the type passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.minimum.is_none() && self.maximum.is_none() && self.one_of.is_empty()
    }
}

/// Writes what is expected: `at least 0 and at most 100`. Nothing if there are no checks.
impl fmt::Display for ColumnChecks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minimum = self.minimum.as_deref().map(BrokenCheck::BelowMinimum);
        let maximum = self.maximum.as_deref().map(BrokenCheck::AboveMaximum);
        let listed = (!self.one_of.is_empty()).then_some(BrokenCheck::NotListed(&self.one_of));
        for (index, check) in [minimum, maximum, listed].into_iter().flatten().enumerate() {
            formatter.write_str(if index > 0 { " and " } else { "" })?;
            check.fmt(formatter)?;
        }
        Ok(())
    }
}

/// A check that a value breaks. Its text is what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenCheck<'a> {
    /// The value is less than the minimum.
    BelowMinimum(&'a str),
    /// The value is greater than the maximum.
    AboveMaximum(&'a str),
    /// The value is none of these.
    NotListed(&'a [String]),
}

impl fmt::Display for BrokenCheck<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = match self {
            Self::BelowMinimum(minimum) => return write!(formatter, "at least {minimum}"),
            Self::AboveMaximum(maximum) => return write!(formatter, "at most {maximum}"),
            Self::NotListed(values) => values,
        };
        formatter.write_str(if values.len() == 1 { "" } else { "one of " })?;
        for (index, value) in values.iter().take(SHOWN_VALUES).enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            write!(formatter, "{separator}`{}`", shortened(value, SHOWN_CHARS))?;
        }
        match values.len().saturating_sub(SHOWN_VALUES) {
            0 => Ok(()),
            others => write!(formatter, " and {others} more"),
        }
    }
}
