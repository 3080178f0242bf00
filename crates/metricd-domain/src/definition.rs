//! Queries, the metrics that publish them, and definitions, which combine both.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    Contract, DisplayText, MetricId, MetricLimits, MetricTitle, Parameters, PeriodDeclaration, QueryId, SqlText,
    TimeColumn,
};

/// SQL stored under an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The id by which metrics refer to the query.
    pub query_id: QueryId,
    /// The SQL as its author wrote it.
    pub sql: SqlText,
}

/// One version of a query's SQL. Versions count from 1 and are never deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueryVersion {
    /// The number of the version. Versions count from 1 without gaps.
    pub version: u32,
    /// The SQL of this version.
    pub sql: SqlText,
    /// When this version became the current one.
    pub created_at: DateTime<Utc>,
}

impl QueryVersion {
    /// Makes a version that became the current one at `created_at`.
    #[must_use]
    pub fn new(version: u32, sql: SqlText, created_at: DateTime<Utc>) -> Self {
        Self { version, sql, created_at }
    }
}

/// One query published under an id of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metric {
    /// The id under which clients request the metric.
    pub metric_id: MetricId,
    /// The query whose result the metric publishes.
    pub query_id: QueryId,
    /// Whether the metric may be changed over HTTP.
    pub editable: bool,
    /// The declared parameters. A parameter of the SQL that is not declared takes any value of its type.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// The column with the date or timestamp of each row, if the definition names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_column: Option<TimeColumn>,
    /// What a period applies to, if the definition declares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<PeriodDeclaration>,
    /// The limits of a run. Each lowers the limit of the server.
    #[serde(default)]
    pub limits: MetricLimits,
}

impl Metric {
    /// Makes a metric that declares no parameters, no period and no limits.
    #[must_use]
    pub fn new(metric_id: MetricId, query_id: QueryId, editable: bool) -> Self {
        let limits = MetricLimits::default();
        Self {
            metric_id,
            query_id,
            editable,
            parameters: Parameters::default(),
            time_column: None,
            period: None,
            limits,
        }
    }

    /// Whether two metrics have the same contract, given the same version of their query: they read the same query, and
    /// declare the same parameters, time column and period.
    #[must_use]
    pub fn shares_contract_with(&self, other: &Self) -> bool {
        (&self.query_id, &self.parameters, &self.time_column, &self.period)
            == (&other.query_id, &other.parameters, &other.time_column, &other.period)
    }
}

/// A metric with its display text, the current SQL of its query and its contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MetricDefinition {
    /// The metric.
    pub metric: Metric,
    /// The title and the description. Either may be absent.
    // Responses that are stored for retries may have the former name.
    #[serde(alias = "caption")]
    pub display_text: DisplayText,
    /// The current SQL of the metric's query.
    pub sql: SqlText,
    /// The version of the SQL.
    pub query_version: u32,
    /// The version of the definition. It counts from 1 without gaps. A change of the SQL, the declarations or the
    /// display text increases it, and so does a deletion or a restoration; a new contract alone does not.
    pub version: u32,
    /// When the metric was first stored.
    pub created_at: DateTime<Utc>,
    /// When the current version was stored.
    pub updated_at: DateTime<Utc>,
    /// When the metric was taken out of service. Absent while it is in service.
    pub deleted_at: Option<DateTime<Utc>>,
    /// The contract, as PostgreSQL described the SQL when it was stored. Absent if the SQL was stored without
    /// validation, for example directly in the database, or if this release cannot read the stored contract.
    #[serde(default, deserialize_with = "Contract::deserialize_stored")]
    pub contract: Option<Contract>,
}

impl MetricDefinition {
    /// Makes the first version of a metric in service, without a display text.
    #[must_use]
    pub fn new(metric: Metric, sql: SqlText, contract: Option<Contract>) -> Self {
        let (created_at, updated_at) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH);
        let (query_version, version, deleted_at, display_text) = (1, 1, None, DisplayText::default());
        Self { metric, display_text, sql, query_version, version, created_at, updated_at, deleted_at, contract }
    }

    /// The title of the display text. Without one, the title in the leading comment of the SQL; without that, the id.
    #[must_use]
    pub fn title(&self) -> &str {
        let given = self.display_text.title.as_ref().map(MetricTitle::as_str);
        given.or_else(|| self.sql.title()).unwrap_or(self.metric.metric_id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_falls_back_to_the_comment_and_then_to_the_id() {
        let definition = |sql: &str| {
            let metric = Metric::new(MetricId::parse("m1").unwrap(), QueryId::parse("q1").unwrap(), true);
            MetricDefinition::new(metric, SqlText::parse(sql).unwrap(), None)
        };
        assert_eq!(definition("SELECT 1").title(), "m1");
        assert_eq!(definition("-- One\nSELECT 1").title(), "One");
        let title = MetricTitle::parse("Two").unwrap();
        let titled = MetricDefinition {
            display_text: DisplayText { title: Some(title), ..DisplayText::default() },
            ..definition("-- One\nSELECT 1")
        };
        assert_eq!(titled.title(), "Two");
    }
}
