//! Chooses the way in which a statement runs: batched, alone or in a snapshot batch.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use metricd_connection::Connector;
use metricd_database::DatabaseUrl;
use metricd_domain::{Contract, ContractTable, Tenant};
use metricd_execution::{
    BoundStatement, MetricRunner, Permit, ReadableTable, Relation, RemoteRelations, RowSink, RunError, RunLimits,
    RunOutcome, SnapshotBatchOutcome, SnapshotRun, SnapshotToken, TableDescription, TableFilter, TimeZones,
};
use tokio::time::timeout;

use crate::backpressure::BackpressureClock;
use crate::batcher::StatementBatcher;
use crate::config::RunnerConfig;
use crate::cost::Estimates;
use crate::introspection::LastSnapshot;
use crate::pool::AcquiredConnection;
use crate::pool::Pool;
use crate::pool::stopping::Stopped;
use crate::probe::Probe;
use crate::run::{AfterRowCap, Run, Task};
use crate::session::CONNECT_TIMEOUT;
use crate::snapshot_batch::SnapshotBatch;
use crate::snapshot_batch::exporter::SnapshotExporter;
use crate::tenancy::Tenancy;
use crate::tenancy::TenantKey;
use crate::timing::Clock;

/// Runs stored SQL on PostgreSQL.
#[derive(Clone)]
pub struct PgRunner {
    pub(crate) pool: Pool,
    pub(crate) estimates: Estimates,
    /// `None` if batching is off.
    batcher: Option<StatementBatcher>,
    pub(crate) exporter: SnapshotExporter,
    probe: Probe,
    pub(crate) last_snapshot: LastSnapshot,
    /// The key that signs tenants.
    tenant_key: Option<TenantKey>,
    /// Whether all sessions are with one server, as far as the URL shows.
    pub(crate) has_one_server: bool,
}

impl fmt::Debug for PgRunner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PgRunner").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl PgRunner {
    /// A runner as the reader role. Does not connect yet.
    ///
    /// # Errors
    ///
    /// [`RunError::Unavailable`] if the URL or the configuration is invalid.
    pub fn new(reader: &DatabaseUrl, config: RunnerConfig) -> Result<Self, RunError> {
        let connector = connector(reader)?.named("metricd");
        if config.max_connections == 0 {
            return Err(RunError::Unavailable("expected at least one connection".to_owned()));
        }
        let has_one_server = connector.has_one_server();
        let probe = Probe::new(connector.clone());
        let batching = config.batching;
        let (pool, estimates) = (Pool::new(connector, config), Estimates::default());
        Ok(Self {
            has_one_server,
            batcher: batching.then(|| StatementBatcher::new(pool.clone(), estimates.clone())),
            pool,
            estimates,
            exporter: SnapshotExporter::default(),
            probe,
            last_snapshot: LastSnapshot::default(),
            tenant_key: None,
        })
    }

    /// The same, with the owner role for two tasks that a reader may not do in a hardened database: it exports the
    /// snapshot of a snapshot batch to several connections, and identifies the statement that does not stop. Without
    /// it, a snapshot batch runs on one connection, and each candidate counts as the statement that does not stop.
    ///
    /// # Errors
    ///
    /// [`RunError::Unavailable`] if the driver does not understand the URL.
    pub fn exporting_as(self, owner: &DatabaseUrl) -> Result<Self, RunError> {
        let connector = connector(owner)?;
        self.pool.observe_as(connector.clone().named("metricd watch"));
        Ok(Self { exporter: SnapshotExporter::new(connector), ..self })
    }

    /// The same, able to run statements on behalf of tenants.
    #[must_use]
    pub fn naming_tenants_by(self, key: TenantKey) -> Self {
        Self { tenant_key: Some(key), ..self }
    }

    /// The tenant with the key that signs it. Without a key, nothing runs on behalf of a tenant.
    fn tenancy<'a>(&'a self, tenant: Option<&'a Tenant>) -> Result<Option<Tenancy<'a>>, RunError> {
        let Some(tenant) = tenant else { return Ok(None) };
        let Some(key) = &self.tenant_key else {
            return Err(RunError::Unavailable("the runner has no key for tenants".to_owned()));
        };
        Ok(Some(Tenancy { tenant, key }))
    }

    /// Acquires a connection and adds the waiting time to the clock. Streams may use fewer connections.
    pub(crate) async fn acquire_timed(
        &self,
        clock: &mut Clock,
        permit: Permit,
        is_stream: bool,
    ) -> Result<AcquiredConnection, RunError> {
        let began = Instant::now();
        let acquired = self.acquire_permitted(clock.queue, permit, is_stream).await;
        clock.queue += began.elapsed();
        let mut acquired = acquired?;
        if let Some(batcher) = &self.batcher {
            batcher.observe(acquired.connection());
        }
        let connection = acquired.connection();
        clock.session_since = (!connection.is_behind_pooler()).then(|| connection.opened());
        Ok(acquired)
    }

    async fn acquire_permitted(
        &self,
        waited: Duration,
        permit: Permit,
        is_stream: bool,
    ) -> Result<AcquiredConnection, RunError> {
        let deadline = Instant::now() + self.pool.acquire_timeout().saturating_sub(waited);
        let mut permits = vec![permit];
        if is_stream {
            permits.push(self.pool.stream_permit(deadline).await?);
        }
        Ok(AcquiredConnection::new(self.pool.acquire_until(deadline).await?, permits))
    }

    /// Tries until one attempt has begun. A connection may turn out to be closed only when it is used, as after a
    /// restart of the database; each attempt removes one such connection. If no new one can be opened, the database
    /// is unavailable.
    pub(crate) async fn run_with_retries(
        &self,
        task: Task<'_>,
        permit: &Permit,
        sink: &mut dyn RowSink,
        clock: &mut Clock,
    ) -> Result<RunOutcome, RunError> {
        let mut is_begun = false;
        let is_stream = !task.limits.write_timeout.is_zero();
        for _ in 0..self.pool.max_connections() {
            let acquired = self.acquire_timed(clock, permit.clone(), is_stream).await?;
            match self.run_once(acquired, task, sink, &mut is_begun, clock).await {
                Err(RunError::Unavailable(_)) if !is_begun => {}
                outcome => return outcome,
            }
        }
        let acquired = self.acquire_timed(clock, permit.clone(), is_stream).await?;
        self.run_once(acquired, task, sink, &mut is_begun, clock).await
    }

    /// The same for a statement that recently exceeded the lock timeout.
    async fn run_behind_lock(
        &self,
        task: Task<'_>,
        permit: &Permit,
        sink: &mut dyn RowSink,
        clock: &mut Clock,
    ) -> Result<RunOutcome, RunError> {
        let began = Instant::now();
        let held = self.pool.locks().permit().await;
        clock.queue += began.elapsed();
        let _held = held?;
        let outcome = self.run_with_retries(task, permit, sink, clock).await;
        if outcome.is_ok() {
            self.pool.locks().forget(task.statement.origin());
        }
        outcome
    }

    /// One attempt at a run. `is_begun` says whether the sink has received anything or the statement may have run.
    async fn run_once(
        &self,
        mut acquired: AcquiredConnection,
        task: Task<'_>,
        sink: &mut dyn RowSink,
        is_begun: &mut bool,
        clock: &mut Clock,
    ) -> Result<RunOutcome, RunError> {
        // It may have entered quarantine during the wait for a connection.
        self.pool.quarantine().check(task.statement.origin())?;
        // If this future is dropped first, dropping the connection cancels the statement.
        acquired.set_running([Arc::clone(task.statement.origin())]);
        let connection = acquired.connection();
        let limits = task.limits;
        // A page ends with the row that shows that there are more.
        let after_row_cap = if task.statement.selection().is_some() { AfterRowCap::Drain } else { AfterRowCap::Cancel };
        let outcome = if limits.write_timeout.is_zero() {
            let run = Run { task, sink, is_begun, after_row_cap, clock: Some(clock) };
            let ended = timeout(limits.time, run.execute_on(connection, &self.estimates)).await;
            ended.unwrap_or(Err(RunError::TimedOut { limit: limits.time }))
        } else {
            let backpressure = BackpressureClock::default();
            let mut sink = backpressure.measure(sink, limits);
            let sink = &mut sink;
            let run = Run { task, sink, is_begun, after_row_cap, clock: Some(clock) };
            let outcome = backpressure.enforce(limits, run.execute_on(connection, &self.estimates)).await;
            clock.backpressure += backpressure.total();
            outcome
        };
        clock.encode += acquired.connection().session.encoding().take();
        match outcome {
            Err(RunError::TimedOut { limit } | RunError::ClientTooSlow { limit })
                if !acquired.connection().session.is_ready()
                    && matches!(acquired.stop().await, Stopped::StillRuns(_)) =>
            {
                Err(RunError::NotStopped { limit })
            }
            outcome => outcome,
        }
    }
}

fn connector(url: &DatabaseUrl) -> Result<Connector, RunError> {
    Connector::new(url, CONNECT_TIMEOUT).map_err(|error| RunError::Unavailable(error.to_string()))
}

#[async_trait]
impl MetricRunner for PgRunner {
    async fn run(
        &self,
        statement: &BoundStatement,
        tenant: Option<&Tenant>,
        limits: RunLimits,
        permit: Permit,
        sink: &mut dyn RowSink,
    ) -> Result<RunOutcome, RunError> {
        let mut clock = Clock::start();
        let limits = limits.on_behalf_of(tenant);
        let task = Task { statement, tenancy: self.tenancy(tenant)?, limits };
        let quarantine = self.pool.quarantine();
        quarantine.check(statement.origin())?;
        let is_behind_lock = self.pool.locks().suspects(statement.origin());
        // A batch is one transaction, and a tenant belongs to a transaction. A statement that may wait for a lock
        // would delay the others.
        let batched = match &self.batcher {
            Some(batcher) if tenant.is_none() && !is_behind_lock => {
                batcher.run(statement, limits, &permit, sink, &mut clock).await
            }
            _ => None,
        };
        let outcome = match batched {
            Some(outcome) => outcome,
            // It may still run in a failed batch, and must not run twice at a time.
            None if !quarantine.wait_until_released(statement.origin(), limits.time).await => {
                Err(RunError::NotStopped { limit: limits.time })
            }
            None if is_behind_lock => self.run_behind_lock(task, &permit, sink, &mut clock).await,
            None => self.run_with_retries(task, &permit, sink, &mut clock).await,
        };
        self.pool.locks().note(&outcome, statement.origin());
        sink.timed(clock.timing());
        outcome
    }

    async fn run_on_one_snapshot(
        &self,
        runs: Vec<SnapshotRun<'_>>,
        tenant: Option<&Tenant>,
        time: Duration,
        permits: Vec<Permit>,
    ) -> Result<SnapshotBatchOutcome, RunError> {
        let mut clock = Clock::start();
        let runs = runs.into_iter().map(|run| SnapshotRun { limits: run.limits.on_behalf_of(tenant), ..run }).collect();
        let batch = SnapshotBatch::new(runs, self, self.tenancy(tenant)?, time, permits);
        let mut ended = Ok(());
        for _ in 0..=self.pool.max_connections() {
            // A connection whose statement has not stopped keeps its permit.
            let Some(permit) = batch.take_permit() else { break };
            ended = match self.acquire_timed(&mut clock, permit, false).await {
                Ok(acquired) => batch.attempt(acquired).await,
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            };
            // A statement that has not stopped has that as its outcome and is not run again.
            let is_lost = matches!(ended, Err(RunError::Unavailable(_) | RunError::NotStopped { .. }));
            if !is_lost || batch.is_begun() {
                break;
            }
        }
        batch.into_outcome(ended, clock)
    }

    fn stuck_connections(&self) -> usize {
        self.pool.quarantine().connections()
    }

    async fn snapshot_token(&self) -> Result<Option<SnapshotToken>, RunError> {
        self.current_snapshot().await
    }

    async fn fingerprint(&self, tables: &[ContractTable]) -> Result<Option<String>, RunError> {
        self.fingerprint_of(tables).await
    }

    async fn verify(&self, statement: &BoundStatement, contract: Option<&Contract>) -> Result<(), RunError> {
        self.verify_statement(statement, contract).await
    }

    async fn time_zones(&self) -> Result<TimeZones, RunError> {
        self.known_time_zones().await
    }

    async fn relations(&self) -> Result<Vec<Relation>, RunError> {
        self.relations_of_warehouse().await
    }

    async fn list_tables(
        &self,
        filter: &TableFilter,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<ReadableTable>, RunError> {
        self.tables_after(filter, after, limit).await
    }

    async fn find_table(&self, name: &str) -> Result<Option<TableDescription>, RunError> {
        self.table_named(name).await
    }

    async fn remote_relations(&self) -> Result<RemoteRelations, RunError> {
        self.relations_of_other_servers().await
    }

    async fn check(&self) -> Result<(), RunError> {
        self.probe.check(&self.pool).await
    }
}
