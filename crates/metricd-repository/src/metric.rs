//! What single metrics are stored with, how they are changed, and which ones are listed.

use metricd_domain::{Actor, Caption, Contract, DashboardId, MetricId, MetricLimits, Parameter, SqlText, TimeColumn};

/// All that somebody says of a metric, and what PostgreSQL says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricContent {
    /// The words that it is given.
    pub caption: Caption,
    /// Its SQL.
    pub sql: SqlText,
    /// The declared parameters.
    pub parameters: Vec<Parameter>,
    /// The time column.
    pub time_column: Option<TimeColumn>,
    /// The limits.
    pub limits: MetricLimits,
    /// The contract of that SQL with those declarations.
    pub contract: Contract,
}

/// A metric that is not stored yet, with a query of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMetric {
    /// The id under which clients will ask for it.
    pub metric_id: MetricId,
    /// What it is.
    pub content: MetricContent,
    /// Who stores it.
    pub actor: Actor,
}

/// What is to become of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricChange {
    /// It gets this content, whole.
    Content(Box<MetricContent>),
    /// It is taken out of service.
    Delete,
    /// It is brought back.
    Restore,
}

/// A request's mark by which it is known when it is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The client's key.
    pub key: String,
    /// What tells the request's content from any other.
    pub fingerprint: Vec<u8>,
}

/// For how long a store remembers a request's mark, in hours.
pub const IDEMPOTENCY_HOURS: i64 = 24;

/// Whether metrics are listed by being in service.
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

/// Which metrics are listed: those to which everything applies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefinitionFilter {
    /// Whether they are in service.
    pub state: ServiceState,
    /// The words stand in the title that they are called by, or in the description; whatever the case of the letters, as far as
    /// the store knows cases beyond ASCII.
    pub search: Option<String>,
    /// They are items of this dashboard.
    pub dashboard_id: Option<DashboardId>,
}
