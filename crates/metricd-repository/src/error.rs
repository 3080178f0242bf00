//! The errors of a store.

use metricd_domain::{DashboardId, IngestionId, MetricId, QueryId};

/// Why a call to a store failed. A new variant is a new duty for whoever answers it, so that the enum is exhaustive.
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
    /// A metric has this id already, in service or not.
    #[error("there is a metric `{0}` already")]
    MetricExists(MetricId),
    /// The metric is out of service.
    #[error("the metric `{0}` is out of service")]
    MetricDeleted(MetricId),
    /// The metric has another version than the one that the change was made from.
    #[error("the metric has the version {current}")]
    VersionMismatch {
        /// The version that it has.
        current: u32,
    },
    /// The idempotency key belongs to another request.
    #[error("the idempotency key has marked another request before")]
    IdempotencyKeyReused,
    /// Others have changed what the ingestion depends on, each time before it could be stored; nothing of it is stored.
    #[error("what the ingestion brings was changed while it was ingested, and nothing of it is stored: run it again")]
    ChangedMeanwhile,
    /// The store cannot be reached.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The store accepts no changes now, for example because it is a standby.
    #[error("the store only reads: {0}")]
    ReadOnly(String),
    /// No connection to the store became free in time.
    #[error("no connection to the store became free in time")]
    NoConnection,
    /// An ingestion's input could not be read to its end; nothing of it is stored.
    #[error("the input could not be read: {0}")]
    Input(#[source] std::io::Error),
    /// What was to be stored contradicts itself or what is stored, as a metric does whose query is neither; nothing of
    /// it is stored.
    #[error("what was to be stored contradicts itself or what is stored: {0}")]
    Inconsistent(String),
    /// Any other failure of the store.
    #[error("the store failed: {0}")]
    Failed(String),
}
