//! The port itself.

use std::fmt::Debug;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, Dashboard, DashboardId, DashboardSummary, IngestionId, IngestionReport, MetricDefinition, MetricId,
    MetricPatterns, MetricVersion, Query, QueryId, QueryVersion,
};

#[cfg(doc)]
use crate::IDEMPOTENCY_RETENTION;
use crate::{DefinitionFilter, Idempotency, Ingestion, MetricChange, NewMetric, RepositoryError};

/// What a store says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// How many migrations the store still lacks.
    pub pending_migrations: usize,
    /// How many metrics in service it holds.
    pub metric_count: u64,
}

impl Readiness {
    /// A store that lacks so many migrations and holds so many metrics in service.
    #[must_use]
    pub fn new(pending_migrations: usize, metric_count: u64) -> Self {
        Self { pending_migrations, metric_count }
    }
}

/// A store of metrics.
///
/// Each method is one atomic operation, and sees all that any earlier call has stored. Every method can fail with
/// [`RepositoryError::Unavailable`], [`RepositoryError::ReadOnly`], [`RepositoryError::NoConnection`] or
/// [`RepositoryError::Failed`]; the errors that a
/// method names are those beside.
#[async_trait]
pub trait MetricRepository: Debug + Send + Sync {
    /// The metric with the current version of its query, in service or not.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::MetricNotFound`] where no metric has the id.
    async fn get_definition(&self, id: &MetricId) -> Result<MetricDefinition, RepositoryError>;

    /// The metrics that the filter lets through in the order of their ids, at most `limit` of them, beginning after the id
    /// `after`.
    async fn list_definitions(
        &self,
        filter: &DefinitionFilter,
        after: Option<&MetricId>,
        limit: usize,
    ) -> Result<Vec<MetricDefinition>, RepositoryError>;

    /// What the metric was after each change, the newest first, at most `limit` of them, beginning before the version
    /// `before`.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::MetricNotFound`] where no metric has the id.
    async fn list_metric_versions(
        &self,
        id: &MetricId,
        before: Option<u32>,
        limit: usize,
    ) -> Result<Vec<MetricVersion>, RepositoryError>;

    /// Stores a metric that may be edited, with a query of its own. The query has the metric's id where no query has that,
    /// otherwise the id with a number after it. Says whether it was stored now, or a request of this mark has stored it
    /// within the last [`IDEMPOTENCY_RETENTION`]; the definition is then what that request was answered.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::MetricExists`], [`RepositoryError::IdempotencyKeyReused`] where the key has marked a request with
    /// another fingerprint. Nothing is stored then, and the key is not remembered.
    async fn insert_metric(
        &self,
        metric: NewMetric,
        idempotency: Option<Idempotency>,
    ) -> Result<(MetricDefinition, bool), RepositoryError>;

    /// Changes a metric and answers with what it is then. What it is already makes no version.
    ///
    /// Where its SQL becomes another and other metrics read its query, it gets a query of its own, as for
    /// [`Self::insert_metric`]: no other metric is changed with it.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::MetricNotFound`]; [`RepositoryError::VersionMismatch`] where it has another version than `version`;
    /// [`RepositoryError::MetricDeleted`] where it is out of service and not to be restored.
    async fn change_metric(
        &self,
        id: &MetricId,
        version: u32,
        change: MetricChange,
        actor: Actor,
    ) -> Result<MetricDefinition, RepositoryError>;

    /// Removes for good what was taken out of service before an instant: metrics with their history, their places on
    /// dashboards, and queries that no other metric reads. Answers with their ids, in order.
    async fn purge_metrics(&self, deleted_before: DateTime<Utc>) -> Result<Vec<MetricId>, RepositoryError>;

    /// The current versions of the queries in the order of their ids, at most `limit` of them, beginning after the id
    /// `after`. Ids are in the order of their characters' codes, here and for metrics.
    async fn list_queries(&self, after: Option<&QueryId>, limit: usize) -> Result<Vec<Query>, RepositoryError>;

    /// Every version of a query, the newest first.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::QueryNotFound`] where no query has the id.
    async fn list_query_versions(&self, id: &QueryId) -> Result<Vec<QueryVersion>, RepositoryError>;

    /// The dashboards in the order of their ids, at most `limit` of them, beginning after the id `after`. Of their items, those
    /// are counted that are among these.
    async fn list_dashboards(
        &self,
        among: Option<&MetricPatterns>,
        after: Option<&DashboardId>,
        limit: usize,
    ) -> Result<Vec<DashboardSummary>, RepositoryError>;

    /// The dashboard: its items in the order in which they were first stored, its layout entries likewise.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::DashboardNotFound`] where no dashboard has the id.
    async fn get_dashboard(&self, id: &DashboardId) -> Result<Dashboard, RepositoryError>;

    /// Stores the content of an ingestion and returns the report that it concludes with.
    ///
    /// All of it is one transaction: the store keeps everything, the report included, or nothing. Ingestions run one after the
    /// other; metrics may be changed while one runs. The [`ExistingState`](crate::ExistingState) that the ingestion gets still
    /// holds when its definitions are stored: if it has changed, the store asks for the definitions again. The order of the calls
    /// is that of the methods of [`Ingestion`]; only [`Ingestion::definitions`] and [`Ingestion::next_record`] are called more
    /// than once.
    ///
    /// An ingestion deletes nothing: definitions that it does not contain stay, a metric keeps its title and description, and one
    /// that is out of service stays so. A query whose SQL differs from the stored one gets the next version. Records are a
    /// multiset: of each record, compared in all columns, as many are added as are missing to the number in the ingestion.
    ///
    /// # Errors
    ///
    /// - [`RepositoryError::IdempotencyKeyReused`] if its key belongs to an ingestion with another fingerprint.
    /// - [`RepositoryError::Input`] if a record cannot be read.
    /// - [`RepositoryError::ChangedMeanwhile`] if the existing state has changed each time that the definitions were validated.
    /// - [`RepositoryError::Inconsistent`] if the content contradicts itself or what is stored, for example a metric whose query is
    ///   neither stored nor contained.
    /// - Any error of [`Ingestion::definitions`].
    ///
    /// Nothing is stored then.
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
