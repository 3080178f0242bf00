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

/// Whether a store is ready, and what it holds.
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
/// Each method is one atomic operation and sees everything that earlier calls have stored. Ids are ordered by the codes
/// of their characters. Every method can fail with [`RepositoryError::Unavailable`], [`RepositoryError::ReadOnly`],
/// [`RepositoryError::NoConnection`] or [`RepositoryError::Failed`]; a method lists only its other errors.
#[async_trait]
pub trait MetricRepository: Debug + Send + Sync {
    /// The metric with the current version of its query, in service or not.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::MetricNotFound`] if no metric has the id.
    async fn get_definition(&self, id: &MetricId) -> Result<MetricDefinition, RepositoryError>;

    /// The metrics that match the filter, in the order of their ids: at most `limit`, beginning after the id `after`.
    async fn list_definitions(
        &self,
        filter: &DefinitionFilter,
        after: Option<&MetricId>,
        limit: usize,
    ) -> Result<Vec<MetricDefinition>, RepositoryError>;

    /// The versions of a metric, the newest first: at most `limit`, beginning before the version `before`.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::MetricNotFound`] if no metric has the id.
    async fn list_metric_versions(
        &self,
        id: &MetricId,
        before: Option<u32>,
        limit: usize,
    ) -> Result<Vec<MetricVersion>, RepositoryError>;

    /// Stores a metric that may be edited, with a query of its own. The query gets the id of the metric, or, if a query
    /// has that, the id with a number after it ([`own_query_ids`](crate::own_query_ids)). Returns `true` if it was
    /// stored now; `false` with the definition of then if a request with this key has stored it within
    /// [`IDEMPOTENCY_RETENTION`].
    ///
    /// # Errors
    ///
    /// [`RepositoryError::MetricExists`]; [`RepositoryError::IdempotencyKeyReused`] if the key belongs to a request
    /// with another fingerprint. Nothing is stored then, and the key is not remembered.
    async fn insert_metric(
        &self,
        metric: NewMetric,
        idempotency: Option<Idempotency>,
    ) -> Result<(MetricDefinition, bool), RepositoryError>;

    /// Changes a metric and returns it as it is then. A change to what it is already makes no version.
    ///
    /// If its SQL changes and other metrics read its query, it gets a query of its own, as in [`Self::insert_metric`]:
    /// no other metric changes with it.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::MetricNotFound`]; [`RepositoryError::VersionMismatch`] if it has another version than
    /// `version`; [`RepositoryError::MetricDeleted`] if it is out of service and the change is not to restore it.
    async fn change_metric(
        &self,
        id: &MetricId,
        version: u32,
        change: MetricChange,
        actor: Actor,
    ) -> Result<MetricDefinition, RepositoryError>;

    /// Removes for good the metrics that were taken out of service before an instant, with their history, their places
    /// on dashboards and the queries that no other metric reads. Returns their ids, in order.
    async fn purge_metrics(&self, deleted_before: DateTime<Utc>) -> Result<Vec<MetricId>, RepositoryError>;

    /// The current versions of the queries, in the order of their ids: at most `limit`, beginning after the id `after`.
    async fn list_queries(&self, after: Option<&QueryId>, limit: usize) -> Result<Vec<Query>, RepositoryError>;

    /// Every version of a query, the newest first.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::QueryNotFound`] if no query has the id.
    async fn list_query_versions(&self, id: &QueryId) -> Result<Vec<QueryVersion>, RepositoryError>;

    /// The dashboards in the order of their ids: at most `limit`, beginning after the id `after`. With `among`, only
    /// items that match are counted.
    async fn list_dashboards(
        &self,
        among: Option<&MetricPatterns>,
        after: Option<&DashboardId>,
        limit: usize,
    ) -> Result<Vec<DashboardSummary>, RepositoryError>;

    /// The dashboard. Items and layout entries are in the order in which they were first stored.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::DashboardNotFound`] if no dashboard has the id.
    async fn get_dashboard(&self, id: &DashboardId) -> Result<Dashboard, RepositoryError>;

    /// Stores the content of an ingestion and returns the report that it concludes with.
    ///
    /// All of it is one transaction: the store keeps everything, the report included, or nothing. Ingestions run one
    /// after the other; metrics may be changed while one runs. The [`ExistingState`](crate::ExistingState) that the
    /// ingestion gets still holds when its definitions are stored: if it has changed, the store asks for the
    /// definitions again. The order of the calls is that of the methods of [`Ingestion`]; only
    /// [`Ingestion::definitions`] and [`Ingestion::next_record`] are called more than once.
    ///
    /// An ingestion deletes nothing: definitions that it does not contain stay, a metric keeps its title and
    /// description, and one that is out of service stays so. A query whose SQL differs from the stored one gets the
    /// next version. Records are a multiset: of each record, compared in all columns, as many are added as are missing
    /// to the number in the ingestion.
    ///
    /// # Errors
    ///
    /// - [`RepositoryError::IdempotencyKeyReused`] if its key belongs to an ingestion with another fingerprint.
    /// - [`RepositoryError::Input`] if a record cannot be read.
    /// - [`RepositoryError::ChangedMeanwhile`] if the existing state has changed each time that the definitions were
    ///   validated.
    /// - [`RepositoryError::Inconsistent`] if the content contradicts itself or what is stored, for example a metric
    ///   whose query is neither stored nor contained.
    /// - Any error of [`Ingestion::definitions`].
    ///
    /// Nothing is stored then.
    async fn ingest(&self, ingestion: Box<dyn Ingestion>) -> Result<IngestionReport, RepositoryError>;

    /// The report of an ingestion that was committed or refused.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::IngestionNotFound`] if no ingestion has the id.
    async fn get_ingestion(&self, id: IngestionId) -> Result<IngestionReport, RepositoryError>;

    /// Whether the store is ready, and what it holds.
    async fn check(&self) -> Result<Readiness, RepositoryError>;
}
