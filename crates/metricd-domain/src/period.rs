//! What a definition says of periods.

use serde::{Deserialize, Serialize};

use crate::time_column::is_column_name;

/// What a period applies to, if a definition chooses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "PeriodRecord", deny_unknown_fields)]
pub struct PeriodDeclaration {
    /// What a period applies to, if the SQL should not decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    apply: Option<PeriodApply>,
    /// The column of the result that says when a row was, where none shows the source's time column as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, min_length = 1, max_length = 63))]
    column: Option<String>,
}

/// What a period applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PeriodApply {
    /// To the rows of the table that the SQL reads.
    Source,
    /// To the rows of the result.
    Result,
    /// To nothing: the metric takes no period.
    None,
}

/// What is wrong with what a definition says of periods.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPeriod {
    /// It says nothing.
    #[error("expected `apply`, `column` or both")]
    Empty,
    /// The name is none that a column can have.
    #[error("expected the name of a column of the result")]
    Column,
    /// A column is named, and the result is not what the period is applied to.
    #[error("`column` requires `\"apply\": \"result\"`, or no `apply`")]
    ColumnWithoutResult,
}

impl PeriodDeclaration {
    /// Takes what a definition says. Files and HTTP write it alike:
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
    /// [`InvalidPeriod`].
    pub fn new(apply: Option<PeriodApply>, column: Option<String>) -> Result<Self, InvalidPeriod> {
        match (apply, &column) {
            (None, None) => Err(InvalidPeriod::Empty),
            (Some(PeriodApply::Source | PeriodApply::None), Some(_)) => Err(InvalidPeriod::ColumnWithoutResult),
            (_, Some(name)) if !is_column_name(name) => Err(InvalidPeriod::Column),
            _ => Ok(Self { apply, column }),
        }
    }

    /// To what the definition has periods applied; `None` where it leaves that to the SQL.
    #[must_use]
    pub fn apply(&self) -> Option<PeriodApply> {
        self.apply
    }

    /// The column of the result that says when a row was.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        self.column.as_deref()
    }
}

/// A declaration as files and bodies write it.
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
    fn a_declaration_is_written_as_it_was_read() {
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
