//! What a single metric may take, where that is less than the server allows any of them.

use serde::{Deserialize, Serialize};

/// Limits of a metric. Each lowers the server's own; a greater one than the server's has no effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, expecting = "an object of limits")]
pub struct MetricLimits {
    /// How many rows a result may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u32>,
    /// How many bytes a result may have.
    #[serde(default, alias = "sizeBytes", skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// How long the SQL may run, in milliseconds.
    #[serde(default, alias = "timeMs", skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// What the planner may estimate that the SQL costs, in its own unit: 1 is the reading of a page in sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<u64>,
}

impl MetricLimits {
    /// Whether each limit lets anything through at all.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        let limits = [self.rows.map(u64::from), self.size_bytes, self.time_ms, self.cost];
        limits.iter().all(|limit| *limit != Some(0))
    }
}
