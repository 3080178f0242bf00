//! Queries, the metrics that show them, and both together.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{MetricId, QueryId, SqlText};

/// SQL under an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The id under which metrics name the query.
    pub query_id: QueryId,
    /// The SQL as its author wrote it.
    pub sql: SqlText,
}

/// One version of a query's SQL; versions count from 1 and are kept for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryVersion {
    /// Counts from 1 without gaps.
    pub version: u32,
    /// The SQL of this version.
    pub sql: SqlText,
    /// When this version became the current one.
    pub created_at: DateTime<Utc>,
}

/// A metric: one query under an id of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// The id under which clients ask for the metric.
    pub metric_id: MetricId,
    /// The query whose result is the metric's.
    pub query_id: QueryId,
    /// Whether the metric may be changed over HTTP.
    pub editable: bool,
}

/// All that is needed to run a metric: the metric with the current version of its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricDefinition {
    /// The metric.
    pub metric: Metric,
    /// The current SQL of the metric's query.
    pub sql: SqlText,
    /// The version of that SQL.
    pub query_version: u32,
}

impl MetricDefinition {
    /// What to call the metric: the title in its SQL's leading comment, otherwise its id.
    #[must_use]
    pub fn title(&self) -> &str {
        self.sql.title().unwrap_or(self.metric.metric_id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_without_a_title_is_called_by_its_id() {
        let definition = |sql: &str| MetricDefinition {
            metric: Metric {
                metric_id: MetricId::parse("m1").unwrap(),
                query_id: QueryId::parse("q1").unwrap(),
                editable: true,
            },
            sql: SqlText::parse(sql).unwrap(),
            query_version: 1,
        };
        assert_eq!(definition("SELECT 1").title(), "m1");
        assert_eq!(definition("-- One\nSELECT 1").title(), "One");
    }
}
