//! The store of metrics: schema `catalog`, on Diesel and r2d2.

mod changes;
mod dashboards;
mod definitions;
mod error;
mod idempotency;
mod ingest;
mod metrics;
mod patterns;
mod records;
mod rows;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::connection::SimpleConnection;
use diesel::r2d2::{ConnectionManager, CustomizeConnection};
use metricd_domain::{
    Actor, Dashboard, DashboardId, DashboardSummary, IngestionId, IngestionReport, MetricDefinition, MetricId,
    MetricPatterns, MetricVersion, Query, QueryId, QueryVersion,
};
use metricd_repository::{
    DefinitionFilter, Idempotency, Ingestion, MetricChange, MetricRepository, NewMetric, Readiness, RepositoryError,
};
use secrecy::ExposeSecret;

use crate::DatabaseUrl;

/// How many connections the store may have, how long a call waits for one, and how long its statements may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepositoryConfig {
    /// How many connections there may be at once.
    pub max_connections: u32,
    /// How long a call waits for one to become free.
    pub acquire_timeout: Duration,
    /// How long a statement may take, waiting for locks included. Ingestions take what they need.
    pub statement_timeout: Duration,
}

impl Default for RepositoryConfig {
    /// 8 connections, 1 s, 30 s.
    fn default() -> Self {
        Self { max_connections: 8, acquire_timeout: Duration::from_secs(1), statement_timeout: Duration::from_secs(30) }
    }
}

/// The store of metrics on PostgreSQL.
#[derive(Clone)]
pub struct PgRepository {
    pool: r2d2::Pool<ConnectionManager<PgConnection>>,
}

impl PgRepository {
    /// A store as the owner role. Does not connect yet.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Failed`] where the configuration makes no pool.
    pub fn new(owner: &DatabaseUrl, config: RepositoryConfig) -> Result<Self, RepositoryError> {
        if config.max_connections == 0 {
            return Err(RepositoryError::Failed("expected at least one connection".to_owned()));
        }
        let manager = ConnectionManager::new(owner.secret().expose_secret());
        let pool = r2d2::Pool::builder()
            .max_size(config.max_connections)
            .min_idle(Some(0))
            .connection_timeout(config.acquire_timeout)
            // A connection that the database has closed meanwhile must not fail the call that gets it.
            .test_on_check_out(true)
            .error_handler(Box::new(error::LogQuietly))
            .connection_customizer(Box::new(Limited(config.statement_timeout)))
            .build_unchecked(manager);
        Ok(Self { pool })
    }

    /// Runs the operation on a connection, where blocking is allowed: waiting for the connection blocks, too.
    async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut PgConnection) -> Result<T, RepositoryError> + Send + 'static,
    ) -> Result<T, RepositoryError> {
        let pool = self.pool.clone();
        let work = move || {
            let mut connection = pool.get().map_err(|cause| error::no_connection(&pool, &cause))?;
            operation(&mut connection)
        };
        let ended = tokio::task::spawn_blocking(work).await;
        ended.map_err(|cause| RepositoryError::Failed(format!("the operation panicked: {cause}")))?
    }
}

/// Gives each connection its time limit.
#[derive(Debug)]
struct Limited(Duration);

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Limited {
    fn on_acquire(&self, connection: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        let limit = format!("SET statement_timeout = {}", self.0.as_millis());
        connection.batch_execute(&limit).map_err(diesel::r2d2::Error::QueryError)
    }
}

impl fmt::Debug for PgRepository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PgRepository").field("pool", &self.pool.state()).finish()
    }
}

#[async_trait]
impl MetricRepository for PgRepository {
    async fn get_definition(&self, id: &MetricId) -> Result<MetricDefinition, RepositoryError> {
        let id = id.clone();
        self.run(move |connection| definitions::get(connection, &id)).await
    }

    async fn list_definitions(
        &self,
        filter: &DefinitionFilter,
        after: Option<&MetricId>,
        limit: usize,
    ) -> Result<Vec<MetricDefinition>, RepositoryError> {
        let (filter, after) = (filter.clone(), after.cloned());
        self.run(move |connection| definitions::list(connection, &filter, after.as_ref(), limit)).await
    }

    async fn list_metric_versions(
        &self,
        id: &MetricId,
        before: Option<u32>,
        limit: usize,
    ) -> Result<Vec<MetricVersion>, RepositoryError> {
        let id = id.clone();
        self.run(move |connection| definitions::list_metric_versions(connection, &id, before, limit)).await
    }

    async fn insert_metric(
        &self,
        metric: NewMetric,
        idempotency: Option<Idempotency>,
    ) -> Result<(MetricDefinition, bool), RepositoryError> {
        self.run(move |connection| metrics::insert(connection, metric, idempotency.as_ref())).await
    }

    async fn change_metric(
        &self,
        id: &MetricId,
        version: u32,
        change: MetricChange,
        actor: Actor,
    ) -> Result<MetricDefinition, RepositoryError> {
        let id = id.clone();
        self.run(move |connection| metrics::change(connection, &id, version, change, &actor)).await
    }

    async fn purge_metrics(&self, deleted_before: DateTime<Utc>) -> Result<Vec<MetricId>, RepositoryError> {
        self.run(move |connection| metrics::purge(connection, deleted_before)).await
    }

    async fn list_queries(&self, after: Option<&QueryId>, limit: usize) -> Result<Vec<Query>, RepositoryError> {
        let after = after.cloned();
        self.run(move |connection| definitions::list_queries(connection, after.as_ref(), limit)).await
    }

    async fn list_query_versions(&self, id: &QueryId) -> Result<Vec<QueryVersion>, RepositoryError> {
        let id = id.clone();
        self.run(move |connection| definitions::list_versions(connection, &id)).await
    }

    async fn list_dashboards(
        &self,
        among: Option<&MetricPatterns>,
        after: Option<&DashboardId>,
        limit: usize,
    ) -> Result<Vec<DashboardSummary>, RepositoryError> {
        let (among, after) = (among.cloned(), after.cloned());
        self.run(move |connection| dashboards::list(connection, among.as_ref(), after.as_ref(), limit)).await
    }

    async fn get_dashboard(&self, id: &DashboardId) -> Result<Dashboard, RepositoryError> {
        let id = id.clone();
        self.run(move |connection| dashboards::get(connection, &id)).await
    }

    async fn ingest(&self, ingestion: Box<dyn Ingestion>) -> Result<IngestionReport, RepositoryError> {
        self.run(move |connection| ingest::ingest(connection, ingestion)).await
    }

    async fn get_ingestion(&self, id: IngestionId) -> Result<IngestionReport, RepositoryError> {
        self.run(move |connection| ingest::get_report(connection, id)).await
    }

    async fn check(&self) -> Result<Readiness, RepositoryError> {
        self.run(|connection| {
            let pending_migrations = crate::migrations::pending(connection).map_err(RepositoryError::Failed)?;
            // Where the schema is not there yet, there is nothing to count.
            let metric_count = if pending_migrations == 0 { definitions::count(connection)? } else { 0 };
            Ok(Readiness { pending_migrations, metric_count })
        })
        .await
    }
}
