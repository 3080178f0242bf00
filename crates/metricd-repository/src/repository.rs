//! The storage port.

use std::fmt::Debug;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, Dashboard, DashboardId, DashboardSummary, IngestionId, IngestionReport, MetricDefinition, MetricId,
    MetricPatterns, MetricVersion, Query, QueryId, QueryVersion, TableName,
};

#[cfg(doc)]
use crate::IDEMPOTENCY_RETENTION;
use crate::{
    DefinitionFilter, Idempotency, Ingestion, MetricChange, NewMetric, ReadTable, RepositoryError, StoredTable,
    TableVersion,
};

/// Whether a store is ready, and how many metrics it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// The number of migrations that are not applied yet.
    pub pending_migrations: usize,
    /// The number of metrics in service.
    pub metric_count: u64,
}

impl Readiness {
    /// Makes a readiness of these numbers.
    #[must_use]
    pub fn new(pending_migrations: usize, metric_count: u64) -> Self {
        Self { pending_migrations, metric_count }
    }
}

/// A store of metrics.
///
/// Each method is one atomic operation, and sees everything that earlier calls have stored. Ids are ordered by Unicode
/// code points.
///
/// Every method may fail with [`RepositoryError::Unavailable`], [`RepositoryError::ReadOnly`],
/// [`RepositoryError::NoConnection`] or [`RepositoryError::Failed`]. Each method documents only its other errors.
#[async_trait]
pub trait MetricRepository: Debug + Send + Sync {
    /// Returns a metric with the current version of its query, in service or not.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::MetricNotFound`] if no metric has the id.
    async fn get_definition(&self, id: &MetricId) -> Result<MetricDefinition, RepositoryError>;

    /// Lists the metrics that match the filter, ordered by id: at most `limit`, beginning after the id `after`.
    async fn list_definitions(
        &self,
        filter: &DefinitionFilter,
        after: Option<&MetricId>,
        limit: usize,
    ) -> Result<Vec<MetricDefinition>, RepositoryError>;

    /// Lists the versions of a metric, newest first: at most `limit`, beginning before the version `before`.
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

    /// Stores a metric that may be edited, with a query of its own.
    ///
    /// The id of the query is the first of [`own_query_ids`](crate::own_query_ids) that no query has.
    ///
    /// The result is the definition and whether this call stored it. If a request with the same idempotency key stored
    /// it within [`IDEMPOTENCY_RETENTION`], the result is the definition as it was then, and `false`.
    ///
    /// # Errors
    ///
    /// - [`RepositoryError::MetricExists`] if a metric has the id, in service or not.
    /// - [`RepositoryError::IdempotencyKeyReused`] if the key was used with another fingerprint.
    ///
    /// Nothing is stored then, including the key.
    async fn insert_metric(
        &self,
        metric: NewMetric,
        idempotency: Option<Idempotency>,
    ) -> Result<(MetricDefinition, bool), RepositoryError>;

    /// Changes a metric, and returns the definition after the change. A change that leaves everything as it is makes no
    /// version.
    ///
    /// If the SQL changes and other metrics read the same query, the metric gets a query of its own, as in
    /// [`Self::insert_metric`]. The other metrics do not change.
    ///
    /// # Errors
    ///
    /// - [`RepositoryError::MetricNotFound`] if no metric has the id.
    /// - [`RepositoryError::VersionMismatch`] if the current version is not `version`.
    /// - [`RepositoryError::MetricDeleted`] if the metric is out of service and the change is not
    ///   [`MetricChange::Restore`].
    async fn change_metric(
        &self,
        id: &MetricId,
        version: u32,
        change: MetricChange,
        actor: Actor,
    ) -> Result<MetricDefinition, RepositoryError>;

    /// Permanently removes the metrics that were taken out of service before `deleted_before`, with their history,
    /// their entries on dashboards and the queries that no other metric reads. Returns their ids, ordered.
    async fn purge_metrics(&self, deleted_before: DateTime<Utc>) -> Result<Vec<MetricId>, RepositoryError>;

    /// Lists the current versions of the queries, ordered by id: at most `limit`, beginning after the id `after`.
    async fn list_queries(&self, after: Option<&QueryId>, limit: usize) -> Result<Vec<Query>, RepositoryError>;

    /// Lists every version of a query, newest first.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::QueryNotFound`] if no query has the id.
    async fn list_query_versions(&self, id: &QueryId) -> Result<Vec<QueryVersion>, RepositoryError>;

    /// Lists the dashboards, ordered by id: at most `limit`, beginning after the id `after`. With `among`, only items
    /// that match are counted.
    async fn list_dashboards(
        &self,
        among: Option<&MetricPatterns>,
        after: Option<&DashboardId>,
        limit: usize,
    ) -> Result<Vec<DashboardSummary>, RepositoryError>;

    /// Returns a dashboard. Items and layout entries are in the order in which they were first stored.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::DashboardNotFound`] if no dashboard has the id.
    async fn get_dashboard(&self, id: &DashboardId) -> Result<Dashboard, RepositoryError>;

    /// Lists the tables that metrics in service read, whether ingestions made them or not, ordered by schema and name.
    /// With `among`, only metrics that match are counted.
    async fn list_read_tables(&self, among: Option<&MetricPatterns>) -> Result<Vec<ReadTable>, RepositoryError>;

    /// Lists the tables that ingestions made, ordered by name.
    async fn list_tables(&self) -> Result<Vec<StoredTable>, RepositoryError>;

    /// Returns a table that an ingestion made.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::TableNotFound`] if no ingestion made a table of this name, or if it was deleted.
    async fn get_table(&self, name: &TableName) -> Result<StoredTable, RepositoryError>;

    /// Lists every version of a table, newest first, also after it was deleted. A table that is created again
    /// continues the versions.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::TableNotFound`] if no ingestion ever made a table of this name.
    async fn list_table_versions(&self, name: &TableName) -> Result<Vec<TableVersion>, RepositoryError>;

    /// Deletes a table that an ingestion made, with its rows. Its versions stay.
    ///
    /// # Errors
    ///
    /// - [`RepositoryError::TableNotFound`] if no ingestion made a table of this name.
    /// - [`RepositoryError::TableInUse`] if a metric in service reads the table.
    /// - [`RepositoryError::TableReferenced`] if an object of the database, such as a view, depends on the table.
    async fn delete_table(&self, name: &TableName, actor: Actor) -> Result<(), RepositoryError>;

    /// Stores the content of an ingestion, and returns its report.
    ///
    /// The ingestion is one transaction: the store keeps everything, including the report, or nothing. Ingestions run
    /// one after another; metrics may change while one runs. The [`ExistingState`](crate::ExistingState) that the
    /// definitions were validated against is still current when they are stored: if it changed, the store requests the
    /// definitions again. The store calls the methods of [`Ingestion`] in their order; it calls only
    /// [`Ingestion::definitions`] and the methods that read rows more than once.
    ///
    /// An ingestion deletes nothing. Definitions that it does not contain are kept, and metrics keep their display text
    /// and service state. A query whose SQL differs from the stored one gets the next version.
    ///
    /// The rows of a table are stored as its [`Load`](metricd_domain::Load) says. Of two rows with the same key, the
    /// first is stored; the other one is refused, unless it has the same values. Values are the same if their texts
    /// are: `1.1` differs from `1.10`. A new column of a stored table has no values. A changed definition forgets the
    /// contents that were loaded, unless they are appended.
    ///
    /// # Errors
    ///
    /// - [`RepositoryError::IdempotencyKeyReused`] if the key was used for an ingestion with another fingerprint.
    /// - [`RepositoryError::Input`] if a row cannot be read.
    /// - [`RepositoryError::ChangedMeanwhile`] if the existing state changed during each validation.
    /// - [`RepositoryError::Inconsistent`] if the content contradicts itself or the stored state, for example a metric
    ///   whose query is in neither.
    /// - Any error of [`Ingestion::definitions`].
    ///
    /// Nothing is stored then.
    async fn ingest(&self, ingestion: Box<dyn Ingestion>) -> Result<IngestionReport, RepositoryError>;

    /// Returns the report of an ingestion that was committed or refused.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::IngestionNotFound`] if no ingestion has the id.
    async fn get_ingestion(&self, id: IngestionId) -> Result<IngestionReport, RepositoryError>;

    /// Returns whether the store is ready, and how many metrics it has.
    async fn check(&self) -> Result<Readiness, RepositoryError>;
}
