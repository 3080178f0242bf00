//! Queries, the metrics that show them, and both together.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Contract, MetricId, MetricLimits, Parameter, QueryId, SqlText, TimeColumn};

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
    /// The declared parameters, no two of one name. Those of the SQL that are not declared take any value of their type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// The column that says when a row was, where there could be doubt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_column: Option<TimeColumn>,
    /// What a run may take, where that is less than the server allows.
    #[serde(default)]
    pub limits: MetricLimits,
}

impl Metric {
    /// A metric that declares no parameters and no limits.
    #[must_use]
    pub fn new(metric_id: MetricId, query_id: QueryId, editable: bool) -> Self {
        let limits = MetricLimits::default();
        Self { metric_id, query_id, editable, parameters: Vec::new(), time_column: None, limits }
    }
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
    /// What PostgreSQL said of it when it was stored; absent where nobody has asked, as when the SQL was put into the store by
    /// another way.
    pub contract: Option<Contract>,
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
            metric: Metric::new(MetricId::parse("m1").unwrap(), QueryId::parse("q1").unwrap(), true),
            sql: SqlText::parse(sql).unwrap(),
            query_version: 1,
            contract: None,
        };
        assert_eq!(definition("SELECT 1").title(), "m1");
        assert_eq!(definition("-- One\nSELECT 1").title(), "One");
    }
}
