//! The store of metrics: schema `catalog`, on Diesel and r2d2.

mod calls;
mod changes;
mod dashboards;
mod definitions;
mod error;
mod idempotency;
mod ingest;
mod metrics;
mod patterns;
mod rows;
mod tables;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, Dashboard, DashboardId, DashboardSummary, IngestionId, IngestionReport, MetricDefinition, MetricId,
    MetricPatterns, MetricVersion, Query, QueryId, QueryVersion, TableName,
};
use metricd_repository::{
    DefinitionFilter, Idempotency, Ingestion, MetricChange, MetricRepository, NewMetric, ReadTable, Readiness,
    RepositoryError, StoredTable, TableVersion,
};

use self::calls::{Calls, SessionSettings};
use crate::connection::SessionManager;
use metricd_connection::LatestTimeline;
use metricd_database::DatabaseUrl;

/// The number of connections of the store, and the time limits of its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepositoryConfig {
    /// The maximum number of connections.
    pub max_connections: u32,
    /// How long a call waits for a free connection.
    pub acquire_timeout: Duration,
    /// The time limit of a statement, waiting for locks included. A call may take a second more; then it fails with
    /// [`RepositoryError::Unavailable`], also if the server hangs. Ingestions and purges have no limit while the
    /// server responds.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock. It is short, so that waiting statements do not take all connections.
    /// Ingestions wait longer for one another.
    pub lock_timeout: Duration,
}

impl Default for RepositoryConfig {
    /// 8 connections, 1 s to wait for one, 4 s for a statement and 2 s for a lock.
    fn default() -> Self {
        Self {
            max_connections: 8,
            acquire_timeout: Duration::from_secs(1),
            statement_timeout: Duration::from_secs(4),
            lock_timeout: Duration::from_secs(2),
        }
    }
}

/// The store of metrics on PostgreSQL.
#[derive(Clone)]
pub struct PgRepository {
    calls: Calls,
}

impl PgRepository {
    /// A store as the owner role. Does not connect yet.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Failed`] if the configuration is invalid.
    pub fn new(owner: &DatabaseUrl, config: RepositoryConfig) -> Result<Self, RepositoryError> {
        Self::following(owner, config, LatestTimeline::default())
    }

    /// The same, on the primary of this timeline: a server that a fail-over has replaced is not used any more.
    ///
    /// # Errors
    ///
    /// As for [`Self::new`].
    pub fn following(
        owner: &DatabaseUrl,
        config: RepositoryConfig,
        timeline: LatestTimeline,
    ) -> Result<Self, RepositoryError> {
        if config.max_connections == 0 {
            return Err(RepositoryError::Failed("expected at least one connection".to_owned()));
        }
        let manager = SessionManager { owner: owner.clone(), timeline };
        let pool = r2d2::Pool::builder()
            .max_size(config.max_connections)
            .min_idle(Some(0))
            .connection_timeout(config.acquire_timeout)
            // A connection that the server has closed meanwhile must not fail the call that gets it.
            .test_on_check_out(true)
            .error_handler(Box::new(error::LogQuietly))
            .connection_customizer(Box::new(SessionSettings(config)))
            .build_unchecked(manager);
        Ok(Self { calls: Calls::new(pool, owner, config) })
    }
}

impl fmt::Debug for PgRepository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PgRepository").field("pool", &self.calls.pool.state()).finish()
    }
}

#[async_trait]
impl MetricRepository for PgRepository {
    async fn get_definition(&self, id: &MetricId) -> Result<MetricDefinition, RepositoryError> {
        let id = id.clone();
        self.calls.run(move |connection| definitions::get(connection, &id)).await
    }

    async fn list_definitions(
        &self,
        filter: &DefinitionFilter,
        after: Option<&MetricId>,
        limit: usize,
    ) -> Result<Vec<MetricDefinition>, RepositoryError> {
        let (filter, after) = (filter.clone(), after.cloned());
        self.calls.run(move |connection| definitions::list(connection, &filter, after.as_ref(), limit)).await
    }

    async fn list_metric_versions(
        &self,
        id: &MetricId,
        before: Option<u32>,
        limit: usize,
    ) -> Result<Vec<MetricVersion>, RepositoryError> {
        let id = id.clone();
        self.calls.run(move |connection| definitions::list_metric_versions(connection, &id, before, limit)).await
    }

    async fn insert_metric(
        &self,
        metric: NewMetric,
        idempotency: Option<Idempotency>,
    ) -> Result<(MetricDefinition, bool), RepositoryError> {
        self.calls.run(move |connection| metrics::insert(connection, metric, idempotency.as_ref())).await
    }

    async fn change_metric(
        &self,
        id: &MetricId,
        version: u32,
        change: MetricChange,
        actor: Actor,
    ) -> Result<MetricDefinition, RepositoryError> {
        let id = id.clone();
        self.calls.run(move |connection| metrics::change(connection, &id, version, change, &actor)).await
    }

    async fn purge_metrics(&self, deleted_before: DateTime<Utc>) -> Result<Vec<MetricId>, RepositoryError> {
        self.calls.run_long(move |connection| metrics::purge(connection, deleted_before)).await
    }

    async fn list_queries(&self, after: Option<&QueryId>, limit: usize) -> Result<Vec<Query>, RepositoryError> {
        let after = after.cloned();
        self.calls.run(move |connection| definitions::list_queries(connection, after.as_ref(), limit)).await
    }

    async fn list_query_versions(&self, id: &QueryId) -> Result<Vec<QueryVersion>, RepositoryError> {
        let id = id.clone();
        self.calls.run(move |connection| definitions::list_versions(connection, &id)).await
    }

    async fn list_dashboards(
        &self,
        among: Option<&MetricPatterns>,
        after: Option<&DashboardId>,
        limit: usize,
    ) -> Result<Vec<DashboardSummary>, RepositoryError> {
        let (among, after) = (among.cloned(), after.cloned());
        self.calls.run(move |connection| dashboards::list(connection, among.as_ref(), after.as_ref(), limit)).await
    }

    async fn get_dashboard(&self, id: &DashboardId) -> Result<Dashboard, RepositoryError> {
        let id = id.clone();
        self.calls.run(move |connection| dashboards::get(connection, &id)).await
    }

    async fn list_read_tables(&self, among: Option<&MetricPatterns>) -> Result<Vec<ReadTable>, RepositoryError> {
        let among = among.cloned();
        self.calls.run(move |connection| definitions::list_read_tables(connection, among.as_ref())).await
    }

    async fn list_tables(&self) -> Result<Vec<StoredTable>, RepositoryError> {
        self.calls.run(tables::list).await
    }

    async fn get_table(&self, name: &TableName) -> Result<StoredTable, RepositoryError> {
        let name = name.clone();
        self.calls.run(move |connection| tables::get(connection, &name)).await
    }

    async fn list_table_versions(&self, name: &TableName) -> Result<Vec<TableVersion>, RepositoryError> {
        let name = name.clone();
        self.calls.run(move |connection| tables::list_versions(connection, &name)).await
    }

    async fn delete_table(&self, name: &TableName, actor: Actor) -> Result<(), RepositoryError> {
        let name = name.clone();
        self.calls.run(move |connection| tables::delete(connection, &name, &actor)).await
    }

    async fn ingest(&self, ingestion: Box<dyn Ingestion>) -> Result<IngestionReport, RepositoryError> {
        self.calls.run_long(move |connection| ingest::ingest(connection, ingestion)).await
    }

    async fn get_ingestion(&self, id: IngestionId) -> Result<IngestionReport, RepositoryError> {
        self.calls.run(move |connection| ingest::get_report(connection, id)).await
    }

    async fn check(&self) -> Result<Readiness, RepositoryError> {
        self.calls
            .run(|connection| {
                let pending_migrations = crate::migrations::pending(connection).map_err(error::migrations_failed)?;
                // Without the schema there is nothing to count.
                let metric_count = if pending_migrations == 0 { definitions::count(connection)? } else { 0 };
                Ok(Readiness::new(pending_migrations, metric_count))
            })
            .await
    }
}
