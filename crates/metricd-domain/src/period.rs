//! Declarations of what a period applies to.

use serde::{Deserialize, Serialize};

use crate::time_column::is_column_name;

/// What a period applies to, if a definition declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "PeriodRecord", deny_unknown_fields)]
pub struct PeriodDeclaration {
    /// What a period applies to. If it is absent, the SQL decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    apply: Option<PeriodApply>,
    /// The column of the result to filter by. By default it is the column that shows the time column of the source. If
    /// the SQL has no source, it is the only date or timestamp column of the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, min_length = 1, max_length = 63))]
    column: Option<String>,
}

/// What a period applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PeriodApply {
    /// The rows of the table that the SQL reads.
    Source,
    /// The rows of the result.
    Result,
    /// Nothing: the metric takes no period.
    None,
}

/// Why a declaration of a period is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPeriod {
    /// The declaration has neither `apply` nor `column`.
    #[error("expected `apply`, `column` or both")]
    Empty,
    /// The name cannot be that of a column.
    #[error("expected the name of a column of the result")]
    Column,
    /// The declaration names a column, but the period does not apply to the result.
    #[error("`column` requires `\"apply\": \"result\"`, or no `apply`")]
    ColumnWithoutResult,
}

impl PeriodDeclaration {
    /// Makes a declaration. Files and requests write it alike:
    ///
    /// ```
    /// use metricd_domain::{PeriodApply, PeriodDeclaration};
    ///
    /// let declared: PeriodDeclaration = serde_json::from_str(r#"{"apply": "result", "column": "day"}"#)?;
    /// assert_eq!(declared.apply(), Some(PeriodApply::Result));
    /// assert_eq!(declared.column(), Some("day"));
    /// assert!(serde_json::from_str::<PeriodDeclaration>(r#"{"apply": "source", "column": "day"}"#).is_err());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidPeriod`] names the rule that the declaration breaks.
    pub fn new(apply: Option<PeriodApply>, column: Option<String>) -> Result<Self, InvalidPeriod> {
        match (apply, &column) {
            (None, None) => Err(InvalidPeriod::Empty),
            (Some(PeriodApply::Source | PeriodApply::None), Some(_)) => Err(InvalidPeriod::ColumnWithoutResult),
            (_, Some(name)) if !is_column_name(name) => Err(InvalidPeriod::Column),
            _ => Ok(Self { apply, column }),
        }
    }

    /// What a period applies to. `None` if the SQL decides.
    #[must_use]
    pub fn apply(&self) -> Option<PeriodApply> {
        self.apply
    }

    /// The column of the result to filter by, if the definition names one.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        self.column.as_deref()
    }
}

/// A declaration in JSON, before validation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeriodRecord {
    apply: Option<PeriodApply>,
    column: Option<String>,
}

impl TryFrom<PeriodRecord> for PeriodDeclaration {
    type Error = InvalidPeriod;

    fn try_from(record: PeriodRecord) -> Result<Self, InvalidPeriod> {
        Self::new(record.apply, record.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_round_trip_through_json() {
        for text in [
            r#"{"apply":"source"}"#,
            r#"{"apply":"none"}"#,
            r#"{"column":"day"}"#,
            r#"{"apply":"result","column":"day"}"#,
        ] {
            let declared: PeriodDeclaration = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&declared).unwrap(), text);
        }
        let long = format!(r#"{{"column":"{}"}}"#, "x".repeat(64));
        for text in [
            "{}",
            r#"{"column":""}"#,
            r#"{"apply":"rows"}"#,
            r#"{"apply":"none","column":"day"}"#,
            r#"{"on":1}"#,
            &long,
        ] {
            assert!(serde_json::from_str::<PeriodDeclaration>(text).is_err(), "{text}");
        }
    }
}
