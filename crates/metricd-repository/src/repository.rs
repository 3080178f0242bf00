//! The port itself.

use std::fmt::Debug;

use async_trait::async_trait;
use metricd_domain::{
    Dashboard, DashboardId, IngestionId, IngestionReport, Metric, MetricDefinition, MetricId, Query, QueryId,
    QueryVersion,
};

use crate::{Ingestion, RepositoryError};

/// What a store says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// How many migrations the store still lacks.
    pub pending_migrations: usize,
    /// How many metrics it holds.
    pub metric_count: u64,
}

/// A store of metrics.
///
/// Each method is one atomic operation, and sees all that any earlier call has stored. Every method can fail with
/// [`RepositoryError::Unavailable`], [`RepositoryError::NoConnection`] or [`RepositoryError::Failed`]; the errors that a
/// method names are those beside.
#[async_trait]
pub trait MetricRepository: Debug + Send + Sync {
    /// The metric with the current version of its query.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::MetricNotFound`] where no metric has the id.
    async fn get_definition(&self, id: &MetricId) -> Result<MetricDefinition, RepositoryError>;

    /// The metrics in the order of their ids, at most `limit` of them, beginning after the id `after`.
    async fn list_metrics(&self, after: Option<&MetricId>, limit: usize) -> Result<Vec<Metric>, RepositoryError>;

    /// The current versions of the queries in the order of their ids, at most `limit` of them, beginning after the id
    /// `after`. Ids are in the order of their characters' codes, here and for metrics.
    async fn list_queries(&self, after: Option<&QueryId>, limit: usize) -> Result<Vec<Query>, RepositoryError>;

    /// Every version of a query, the newest first.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::QueryNotFound`] where no query has the id.
    async fn list_query_versions(&self, id: &QueryId) -> Result<Vec<QueryVersion>, RepositoryError>;

    /// The dashboard: its items in the order in which they were first stored, its layout entries likewise.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::DashboardNotFound`] where no dashboard has the id.
    async fn get_dashboard(&self, id: &DashboardId) -> Result<Dashboard, RepositoryError>;

    /// Stores what the ingestion brings and answers with the report that it concludes with.
    ///
    /// All of it is one transaction: it is stored as a whole, report included, or nothing is, whatever happens meanwhile.
    /// Ingestions run one after the other: what one is told to be [`Known`](crate::Known) holds until it is concluded. The order of the
    /// calls is that of the methods of [`Ingestion`]; none is called twice but [`Ingestion::next_record`].
    ///
    /// Nothing that is stored disappears because the ingestion does not mention it. A query whose SQL differs from the
    /// stored one gets the next version. A record is stored where the ingestion brings it more often than it is stored
    /// already; records are compared in all their columns.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Input`] where a record could not be read or definitions could not be judged, [`RepositoryError::Constraint`] where the ingestion
    /// brings what no store may hold, such as a metric whose query is neither known nor brought. Nothing is stored then.
    async fn ingest(&self, ingestion: Box<dyn Ingestion>) -> Result<IngestionReport, RepositoryError>;

    /// The report of an ingestion that was stored or refused.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::IngestionNotFound`] where no ingestion has the id.
    async fn get_ingestion(&self, id: IngestionId) -> Result<IngestionReport, RepositoryError>;

    /// What the store says of itself.
    async fn check(&self) -> Result<Readiness, RepositoryError>;
}
