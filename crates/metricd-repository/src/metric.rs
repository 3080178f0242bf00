//! Single metrics: their content, its changes, and filters for lists.

use std::time::Duration;

use metricd_domain::{
    Actor, Contract, DashboardId, DisplayText, MAX_ID_CHARS, MetricDefinition, MetricId, MetricLimits, MetricPatterns,
    Parameters, PeriodDeclaration, QueryId, SqlText, TimeColumn,
};

/// The content of a metric: everything that a client declares of it, and its contract.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricContent {
    /// The title and the description. Either may be absent.
    pub display_text: DisplayText,
    /// The SQL.
    pub sql: SqlText,
    /// The declared parameters.
    pub parameters: Parameters,
    /// The time column.
    pub time_column: Option<TimeColumn>,
    /// What a period applies to, if the definition declares it.
    pub period: Option<PeriodDeclaration>,
    /// The limits.
    pub limits: MetricLimits,
    /// The contract of this SQL with these declarations.
    pub contract: Contract,
}

impl MetricContent {
    /// Makes content without declarations and display text. Set the other fields as needed.
    #[must_use]
    pub fn new(sql: SqlText, contract: Contract) -> Self {
        Self {
            display_text: DisplayText::default(),
            sql,
            parameters: Parameters::default(),
            time_column: None,
            period: None,
            limits: MetricLimits::default(),
            contract,
        }
    }

    /// The content of a stored metric, with another contract: the base of a change.
    #[must_use]
    pub fn of(definition: &MetricDefinition, contract: Contract) -> Self {
        let MetricDefinition { metric, display_text, sql, .. } = definition;
        Self {
            display_text: display_text.clone(),
            sql: sql.clone(),
            parameters: metric.parameters.clone(),
            time_column: metric.time_column.clone(),
            period: metric.period.clone(),
            limits: metric.limits,
            contract,
        }
    }
}

/// A metric to store, with a query of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewMetric {
    /// The id under which clients request the metric.
    pub metric_id: MetricId,
    /// Its content.
    pub content: MetricContent,
    /// Who stores the metric.
    pub actor: Actor,
}

impl NewMetric {
    /// Makes a metric that `actor` stores.
    #[must_use]
    pub fn new(metric_id: MetricId, content: MetricContent, actor: Actor) -> Self {
        Self { metric_id, content, actor }
    }
}

/// Candidates for the id of a metric's own query, best first: the id of the metric, then the same id with a number
/// appended. The iterator is infinite.
pub fn own_query_ids(id: &MetricId) -> impl Iterator<Item = QueryId> {
    let candidate = |number: u64| {
        let ending = if number == 1 { String::new() } else { format!("-{number}") };
        let stem: String = id.as_str().chars().take(MAX_ID_CHARS - ending.len()).collect();
        QueryId::parse(format!("{stem}{ending}")).ok()
    };
    (1..).filter_map(candidate)
}

/// A change of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricChange {
    /// Replace the content.
    Content(Box<MetricContent>),
    /// Take the metric out of service.
    Delete,
    /// Put the metric back into service.
    Restore,
}

/// An idempotency key. A request with the key of an earlier request is a retry, and gets the answer of the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The key that the client chose.
    pub key: String,
    /// A hash of the request. A request with the same key and another fingerprint is refused.
    pub fingerprint: Vec<u8>,
}

/// How long a store keeps an idempotency key.
pub const IDEMPOTENCY_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// Selects metrics by whether they are in service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ServiceState {
    /// The metrics in service.
    #[default]
    Active,
    /// The metrics out of service.
    Deleted,
    /// All metrics.
    Any,
}

/// Selects metrics: those that meet every condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefinitionFilter {
    /// Whether the metrics are in service.
    pub state: ServiceState,
    /// A text that the title or the description contains. Case is ignored, at least in ASCII. The title is that of
    /// [`MetricDefinition::title`].
    pub search: Option<String>,
    /// A dashboard that has the metrics as items.
    pub dashboard_id: Option<DashboardId>,
    /// Patterns that the ids match.
    pub among: Option<MetricPatterns>,
    /// The schema and the name of a table that the metrics read, according to their contracts.
    pub reads: Option<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_query_ids_are_the_id_with_and_without_a_number() {
        let ids = |id: &str| own_query_ids(&MetricId::parse(id).unwrap()).take(2).map(String::from).collect::<Vec<_>>();
        assert_eq!(ids("m"), ["m", "m-2"]);
        let long = "x".repeat(MAX_ID_CHARS);
        assert_eq!(ids(&long), [long.clone(), format!("{}-2", &long[2..])]);
    }
}
