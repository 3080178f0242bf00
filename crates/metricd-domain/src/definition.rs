//! Queries, the metrics that show them, and both together.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    Contract, DisplayText, MetricId, MetricLimits, MetricTitle, Parameters, PeriodDeclaration, QueryId, SqlText,
    TimeColumn,
};

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
#[non_exhaustive]
pub struct QueryVersion {
    /// Counts from 1 without gaps.
    pub version: u32,
    /// The SQL of this version.
    pub sql: SqlText,
    /// When this version became the current one.
    pub created_at: DateTime<Utc>,
}

impl QueryVersion {
    /// A version that became the current one at an instant.
    #[must_use]
    pub fn new(version: u32, sql: SqlText, created_at: DateTime<Utc>) -> Self {
        Self { version, sql, created_at }
    }
}

/// A metric: one query under an id of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metric {
    /// The id under which clients ask for the metric.
    pub metric_id: MetricId,
    /// The query whose result is the metric's.
    pub query_id: QueryId,
    /// Whether the metric may be changed over HTTP.
    pub editable: bool,
    /// The declared parameters. Those of the SQL that are not declared take any value of their type.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// The column with the day or instant of a row, if the definition names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_column: Option<TimeColumn>,
    /// What a period applies to, if the definition chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<PeriodDeclaration>,
    /// Limits of a run that are lower than those of the server.
    #[serde(default)]
    pub limits: MetricLimits,
}

impl Metric {
    /// A metric that declares no parameters and no limits.
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

    /// Whether a contract of one metric is that of the other as well: both read the same query, with the same
    /// declarations. Of the query, it has to be the same version.
    #[must_use]
    pub fn shares_contract_with(&self, other: &Self) -> bool {
        (&self.query_id, &self.parameters, &self.time_column, &self.period)
            == (&other.query_id, &other.parameters, &other.time_column, &other.period)
    }
}

/// Everything that is stored of a metric, with the current version of its query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MetricDefinition {
    /// The metric.
    pub metric: Metric,
    /// Its title and description, as far as it has them.
    // Responses that are kept for retries may have the former name.
    #[serde(alias = "caption")]
    pub display_text: DisplayText,
    /// The current SQL of the metric's query.
    pub sql: SqlText,
    /// The version of that SQL.
    pub query_version: u32,
    /// Counts changes from 1 without gaps: of the SQL, the declarations, the display text, and of being in service. A new contract
    /// alone is no change.
    pub version: u32,
    /// When it was stored for the first time.
    pub created_at: DateTime<Utc>,
    /// When the current version became the current one.
    pub updated_at: DateTime<Utc>,
    /// Since when it is out of service; absent while it is in service.
    pub deleted_at: Option<DateTime<Utc>>,
    /// What PostgreSQL said about its SQL when it was stored. Absent if PostgreSQL was not asked, for example because the SQL was
    /// written into the database directly, or if another release has stored one that this release cannot read.
    #[serde(default, deserialize_with = "Contract::deserialize_stored")]
    pub contract: Option<Contract>,
}

impl MetricDefinition {
    /// The first version of a metric in service, without a display text.
    #[must_use]
    pub fn new(metric: Metric, sql: SqlText, contract: Option<Contract>) -> Self {
        let (created_at, updated_at) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH);
        let (query_version, version, deleted_at, display_text) = (1, 1, None, DisplayText::default());
        Self { metric, display_text, sql, query_version, version, created_at, updated_at, deleted_at, contract }
    }

    /// The title: that of the display text, otherwise that in the leading comment of the SQL, otherwise the id.
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
    fn a_metric_is_called_by_its_title_its_comment_or_its_id() {
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
