//! Errors of a store.

use metricd_domain::{DashboardId, IngestionId, MetricId, QueryId, TableName};

/// Why a call to a store failed. The enum is exhaustive, so that every caller has to handle a new variant.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// No metric has this id.
    #[error("there is no metric `{0}`")]
    MetricNotFound(MetricId),
    /// No query has this id.
    #[error("there is no query `{0}`")]
    QueryNotFound(QueryId),
    /// No dashboard has this id.
    #[error("there is no dashboard `{0}`")]
    DashboardNotFound(DashboardId),
    /// No ingestion has this id.
    #[error("there is no ingestion `{0}`")]
    IngestionNotFound(IngestionId),
    /// No table has this name, or an ingestion did not make it.
    #[error("files have made no table `{0}`")]
    TableNotFound(TableName),
    /// Metrics in service read the table.
    #[error("the table `{name}` is read by {}", counted(.readers.len()))]
    TableInUse {
        /// The name of the table.
        name: TableName,
        /// The metrics, ordered.
        readers: Vec<MetricId>,
    },
    /// A view or another object of the database depends on the table.
    #[error("the database has objects that depend on the table `{0}`, such as a view")]
    TableReferenced(TableName),
    /// A metric with this id exists already, in service or not.
    #[error("there is a metric `{0}` already")]
    MetricExists(MetricId),
    /// The metric is out of service.
    #[error("the metric `{0}` is out of service")]
    MetricDeleted(MetricId),
    /// The metric has another version than the one that the change is based on.
    #[error("the metric has the version {current}")]
    VersionMismatch {
        /// The current version.
        current: u32,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key has marked another request before")]
    IdempotencyKeyReused,
    /// Others changed the existing state during each validation, so the ingestion was not stored.
    #[error("what the ingestion brings was changed while it was ingested, and nothing of it is stored: run it again")]
    ChangedMeanwhile,
    /// The store is unreachable.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The store does not accept changes now, for example because it is a standby.
    #[error("the store only reads: {0}")]
    ReadOnly(String),
    /// No connection to the store became free in time.
    #[error("no connection to the store became free in time")]
    NoConnection,
    /// The input of an ingestion could not be read to its end, so nothing of it is stored.
    #[error("the input could not be read: {0}")]
    Input(#[source] std::io::Error),
    /// The content contradicts itself or the stored state, for example a metric whose query is in neither. Nothing of
    /// it is stored.
    #[error("what was to be stored contradicts itself or what is stored: {0}")]
    Inconsistent(String),
    /// Any other failure of the store.
    #[error("the store failed: {0}")]
    Failed(String),
}

fn counted(metrics: usize) -> String {
    if metrics == 1 { "1 metric".to_owned() } else { format!("{metrics} metrics") }
}
