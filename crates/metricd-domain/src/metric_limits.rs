//! Limits of a single metric, below those of the server.

use std::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};

/// The limits of a metric. Each lowers the limit of the server; a value above that has no effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "UncheckedLimits", deny_unknown_fields)]
pub struct MetricLimits {
    /// The maximum number of rows of a result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>))]
    pub rows: Option<NonZeroU32>,
    /// The maximum size of a result, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub size_bytes: Option<NonZeroU64>,
    /// The maximum execution time of the SQL, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub time_ms: Option<NonZeroU64>,
    /// The maximum cost that the planner may estimate for the SQL, in the planner's unit: 1 is one sequential page
    /// read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub cost: Option<NonZeroU64>,
}

/// A limit is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a limit of 0 lets nothing through: leave it out, or raise it")]
pub struct InvalidLimits;

impl MetricLimits {
    /// Makes limits of numbers. `None` keeps the limit of the server.
    ///
    /// ```
    /// use metricd_domain::{InvalidLimits, MetricLimits};
    ///
    /// let limits = MetricLimits::new(Some(100), None, Some(2_000), None)?;
    /// assert_eq!(limits.rows.map(|rows| rows.get()), Some(100));
    /// assert_eq!(MetricLimits::new(Some(0), None, None, None), Err(InvalidLimits));
    /// # Ok::<(), InvalidLimits>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidLimits`] if a limit is 0.
    pub fn new(
        rows: Option<u32>,
        size_bytes: Option<u64>,
        time_ms: Option<u64>,
        cost: Option<u64>,
    ) -> Result<Self, InvalidLimits> {
        let positive = |limit: u64| NonZeroU64::new(limit).ok_or(InvalidLimits);
        Ok(Self {
            rows: rows.map(|rows| NonZeroU32::new(rows).ok_or(InvalidLimits)).transpose()?,
            size_bytes: size_bytes.map(positive).transpose()?,
            time_ms: time_ms.map(positive).transpose()?,
            cost: cost.map(positive).transpose()?,
        })
    }
}

/// Limits in JSON, before validation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object of limits")]
struct UncheckedLimits {
    rows: Option<u32>,
    #[serde(alias = "sizeBytes")]
    size_bytes: Option<u64>,
    #[serde(alias = "timeMs")]
    time_ms: Option<u64>,
    cost: Option<u64>,
}

impl TryFrom<UncheckedLimits> for MetricLimits {
    type Error = InvalidLimits;

    fn try_from(limits: UncheckedLimits) -> Result<Self, InvalidLimits> {
        Self::new(limits.rows, limits.size_bytes, limits.time_ms, limits.cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_round_trip_through_json() {
        for text in ["{}", r#"{"rows":1}"#, r#"{"rows":1,"size_bytes":2,"time_ms":3,"cost":4}"#] {
            let limits: MetricLimits = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&limits).unwrap(), text);
        }
        let camel: MetricLimits = serde_json::from_str(r#"{"sizeBytes":2,"timeMs":3}"#).unwrap();
        assert_eq!(Ok(camel), MetricLimits::new(None, Some(2), Some(3), None));
        for text in
            [r#"{"rows":0}"#, r#"{"cost":0}"#, r#"{"timeMs":0}"#, r#"{"sizeBytes":0}"#, r#"{"row":1}"#, "[]", "1"]
        {
            assert!(serde_json::from_str::<MetricLimits>(text).is_err(), "{text}");
        }
    }
}
