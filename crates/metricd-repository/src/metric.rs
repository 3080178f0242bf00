//! The content of single metrics, how it is changed, and which metrics are listed.

use std::time::Duration;

use metricd_domain::{
    Actor, Contract, DashboardId, DisplayText, MAX_ID_CHARS, MetricDefinition, MetricId, MetricLimits, MetricPatterns,
    Parameters, PeriodDeclaration, QueryId, SqlText, TimeColumn,
};

/// Everything that a client declares of a metric, and its contract.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricContent {
    /// Its title and description, as far as it has them.
    pub display_text: DisplayText,
    /// Its SQL.
    pub sql: SqlText,
    /// The declared parameters.
    pub parameters: Parameters,
    /// The time column.
    pub time_column: Option<TimeColumn>,
    /// What a period applies to, if the definition chooses.
    pub period: Option<PeriodDeclaration>,
    /// The limits.
    pub limits: MetricLimits,
    /// The contract of that SQL with those declarations.
    pub contract: Contract,
}

impl MetricContent {
    /// The content of a metric that declares nothing and has no display text. The other fields are there to be set.
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

    /// The content of a stored metric, with this contract: what a change begins with.
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

/// A metric that is not stored yet, with a query of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewMetric {
    /// The id under which clients will ask for it.
    pub metric_id: MetricId,
    /// What it is.
    pub content: MetricContent,
    /// Who stores it.
    pub actor: Actor,
}

impl NewMetric {
    /// A metric that this actor stores.
    #[must_use]
    pub fn new(metric_id: MetricId, content: MetricContent, actor: Actor) -> Self {
        Self { metric_id, content, actor }
    }
}

/// The ids that a query of a metric's own may have, the best one first: the metric's, then with a number after it.
/// Endless.
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
    /// Replace its content.
    Content(Box<MetricContent>),
    /// Take it out of service.
    Delete,
    /// Bring it back into service.
    Restore,
}

/// An idempotency key: a request with the key of an earlier one is a retry of it, and gets its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The client's key.
    pub key: String,
    /// A hash of the request. A request with the same key and another fingerprint is refused.
    pub fingerprint: Vec<u8>,
}

/// How long a store remembers an idempotency key.
pub const IDEMPOTENCY_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// Which metrics are listed, by whether they are in service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ServiceState {
    /// Those in service.
    #[default]
    Active,
    /// Those taken out of service.
    Deleted,
    /// All of them.
    Any,
}

/// Which metrics are listed: those to which every condition applies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefinitionFilter {
    /// Whether they are in service.
    pub state: ServiceState,
    /// The text occurs in the title or in the description. Upper and lower case are equal, at least in ASCII. The title
    /// is that of [`MetricDefinition::title`].
    pub search: Option<String>,
    /// They are items of this dashboard.
    pub dashboard_id: Option<DashboardId>,
    /// They are among these.
    pub among: Option<MetricPatterns>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_called_like_its_metric_or_with_a_number() {
        let ids = |id: &str| own_query_ids(&MetricId::parse(id).unwrap()).take(2).map(String::from).collect::<Vec<_>>();
        assert_eq!(ids("m"), ["m", "m-2"]);
        let long = "x".repeat(MAX_ID_CHARS);
        assert_eq!(ids(&long), [long.clone(), format!("{}-2", &long[2..])]);
    }
}
