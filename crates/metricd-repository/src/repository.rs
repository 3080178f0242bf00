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
pub struct Readiness {
    /// How many migrations the store still lacks.
    pub pending_migrations: usize,
    /// How many metrics in service it holds.
    pub metric_count: u64,
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

    /// Stores what the ingestion brings and answers with the report that it concludes with.
    ///
    /// All of it is one transaction: it is stored as a whole, report included, or nothing is, whatever happens meanwhile.
    /// Ingestions run one after the other, and metrics may be changed while one runs: what it is told to be
    /// [`Known`](crate::Known) holds when its definitions are stored, since they are judged again where it has changed. The
    /// order of the calls is that of the methods of [`Ingestion`]; only [`Ingestion::definitions`] and
    /// [`Ingestion::next_record`] are called more than once.
    ///
    /// Nothing that is stored disappears because the ingestion does not mention it: no words that a metric was given, and a
    /// metric that is out of service stays so. A query whose SQL differs from the stored one gets the next version. A record
    /// is stored where the ingestion brings it more often than it is stored already; records are compared in all their
    /// columns.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::IdempotencyKeyReused`] where its key has marked an ingestion with another fingerprint,
    /// [`RepositoryError::Input`] where a record could not be read, what [`Ingestion::definitions`] fails with,
    /// [`RepositoryError::ChangedMeanwhile`] where others have changed what it brings each time that it was judged,
    /// [`RepositoryError::Inconsistent`] where the ingestion brings what no store may hold, such as a metric whose query is
    /// neither known nor brought. Nothing is stored then.
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
