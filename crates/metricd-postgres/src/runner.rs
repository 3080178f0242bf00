//! Runs stored SQL: schema `warehouse`, as the reader role, on an async driver.
//!
//! A run whose statement is prepared already costs one round trip: `BEGIN READ ONLY`, the statement and [`CLEAN`] are sent
//! together. The latter takes back whatever the statement may have set. A run that is given up cancels its statement, and
//! its connection is not used again before PostgreSQL has ended it.

mod argument;
mod cancel;
mod connection;
mod cost;
mod error;
mod lease;
mod patience;
mod plan;
mod pool;
mod types;

use std::borrow::Cow;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use metricd_execution::{BoundStatement, MetricRunner, RowSink, RunError, RunLimits, RunOutcome};
use tokio_postgres::error::SqlState;

use self::argument::Argument;
use self::cost::Estimates;
use self::error::run_error;
use self::lease::Lease;
use self::patience::Waits;
use self::plan::{Plan, RawFields};
use self::pool::Pool;
use crate::DatabaseUrl;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// From this size on a row is large enough that the memory it was read into is worth giving back.
const BLOATING_BYTES: usize = 4 << 20;

/// A row that is so many times larger than the limit does not fit, whatever its types: an array of one-digit integers takes
/// four times as many bytes in its binary form as in JSON.
const MAX_SHRINKAGE: usize = 8;

/// What each session is told when it begins. The role has the first two as well; the third is how the guard has read the
/// SQL, whatever the database is set to; the others fix how values are printed.
const SESSION: &str = "-c search_path=warehouse -c default_transaction_read_only=on -c standard_conforming_strings=on \
                       -c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c bytea_output=hex \
                       -c extra_float_digits=1";

/// Has PostgreSQL look at its client while it computes, so that a statement ends with this process, however that ends.
/// Not among the settings of `SESSION`, since PostgreSQL on Windows cannot do so and would refuse the session.
const WATCH_CLIENT: &str = "SET client_connection_check_interval = '100ms'";

/// Ends a run without a trace: a rollback takes back settings, messages and large objects, but not the advisory locks of the
/// session, which a statement may take where the database is not hardened.
const CLEAN: &str = "ROLLBACK; SELECT pg_catalog.pg_advisory_unlock_all()";

/// How many connections the runner may have, and how long a run waits for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerConfig {
    /// How many connections there may be at once.
    pub max_connections: usize,
    /// How long a run waits for one to become free.
    pub acquire_timeout: Duration,
}

impl Default for RunnerConfig {
    /// 16 connections, 1 s.
    fn default() -> Self {
        Self { max_connections: 16, acquire_timeout: Duration::from_secs(1) }
    }
}

/// Runs stored SQL on PostgreSQL.
#[derive(Clone)]
pub struct PgRunner {
    pool: Pool,
    session: Arc<tokio_postgres::Config>,
    estimates: Estimates,
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
    /// [`RunError::Unavailable`] where the configuration makes no pool.
    pub fn new(reader: &DatabaseUrl, config: RunnerConfig) -> Result<Self, RunError> {
        let mut session = reader.config().clone();
        session.application_name("metricd").options(SESSION).connect_timeout(CONNECT_TIMEOUT);
        if config.max_connections == 0 {
            return Err(RunError::Unavailable("expected at least one connection".to_owned()));
        }
        let pool = Pool::new(session.clone(), config);
        Ok(Self { pool, session: Arc::new(session), estimates: Estimates::default() })
    }

    async fn lease(&self) -> Result<Lease, RunError> {
        Ok(Lease::new(self.pool.get().await?, Arc::clone(&self.session)))
    }

    /// One attempt at a run. `is_begun` says whether the sink has been told anything, or the statement may have run.
    async fn attempt(
        &self,
        mut lease: Lease,
        statement: &BoundStatement,
        limits: RunLimits,
        sink: &mut dyn RowSink,
        is_begun: &mut bool,
    ) -> Result<RunOutcome, RunError> {
        // Where this ends before the run does, the lease is dropped busy, which stops the statement.
        let outcome = if limits.patience.is_zero() {
            let run = run(&mut lease, &self.estimates, statement, limits, sink, is_begun);
            let timed_out = RunError::TimedOut { limit: limits.time };
            tokio::time::timeout(limits.time, run).await.unwrap_or(Err(timed_out))
        } else {
            let waits = Waits::default();
            let mut sink = waits.of(sink);
            waits.limit(limits, run(&mut lease, &self.estimates, statement, limits, &mut sink, is_begun)).await
        };
        if matches!(outcome, Err(RunError::Unavailable(_))) {
            lease.set_unfit();
        }
        outcome
    }
}

#[async_trait]
impl MetricRunner for PgRunner {
    async fn run(
        &self,
        statement: &BoundStatement,
        limits: RunLimits,
        sink: &mut dyn RowSink,
    ) -> Result<RunOutcome, RunError> {
        let mut is_begun = false;
        // The pool may not have noticed yet that the database has closed its connections, as when it was restarted. Each
        // attempt takes one of them out; where the database is away, no new one comes in their place.
        for _ in 0..self.pool.max_connections() {
            let lease = self.lease().await?;
            match self.attempt(lease, statement, limits, sink, &mut is_begun).await {
                Err(RunError::Unavailable(_)) if !is_begun => {}
                outcome => return outcome,
            }
        }
        let lease = self.lease().await?;
        self.attempt(lease, statement, limits, sink, &mut is_begun).await
    }

    async fn check(&self) -> Result<(), RunError> {
        let lease = self.lease().await?;
        let answer = lease.client().simple_query("SELECT 1").await;
        answer.map(|_| ()).map_err(|error| run_error(&error, CONNECT_TIMEOUT))
    }
}

async fn run(
    lease: &mut Lease,
    estimates: &Estimates,
    statement: &BoundStatement,
    limits: RunLimits,
    sink: &mut dyn RowSink,
    is_begun: &mut bool,
) -> Result<RunOutcome, RunError> {
    lease.set_busy(true);
    match estimates.of(lease.client(), statement).await.map_err(|error| run_error(&error, limits.time)) {
        #[expect(clippy::cast_precision_loss, reason = "an estimate is not that precise")]
        Ok(cost) if cost > limits.cost as f64 => {
            lease.set_busy(false);
            return Err(RunError::TooCostly { cost, limit: limits.cost });
        }
        Ok(_) => {}
        Err(error) => {
            lease.set_busy(false);
            return Err(error);
        }
    }
    let mut plan = Plan::prepare(lease.client(), statement).await.map_err(|error| run_error(&error, limits.time));
    for is_retry in [false, true] {
        let ended = match &plan {
            Ok(plan) => execute(lease, plan, statement, limits, sink, is_begun).await,
            Err(_) => break,
        };
        match ended {
            // A table has changed since the statement was prepared.
            Err(error) if !is_retry && !*is_begun && error::is_stale_plan(&error) => {
                lease.client().forget_plans();
                plan = Plan::prepare(lease.client(), statement).await.map_err(|error| run_error(&error, limits.time));
            }
            ended => {
                lease.set_busy(false);
                return ended;
            }
        }
    }
    lease.set_busy(false);
    plan.and_then(|_| Err(RunError::Unavailable("the statement could not be prepared".to_owned())))
}

/// Runs a prepared statement so that nothing of it remains, in one round trip.
///
/// Where the role could leave something behind, that is in a transaction that is rolled back. Where it cannot, the statement
/// is sent alone: PostgreSQL runs it in a read-only transaction of its own, and answers once instead of three times.
async fn execute(
    lease: &Lease,
    plan: &Plan,
    statement: &BoundStatement,
    limits: RunLimits,
    sink: &mut dyn RowSink,
    is_begun: &mut bool,
) -> Result<RunOutcome, RunError> {
    let (wanted, given) = (plan.statement.params().len(), statement.arguments().len());
    if wanted != given {
        let message = format!("the statement has {wanted} parameters and values for {given}");
        return Err(RunError::Failed { sqlstate: SqlState::UNDEFINED_PARAMETER.code().to_owned(), message });
    }
    let client = lease.client();
    // PostgreSQL's own limit of time can only be changed within a transaction.
    if client.is_harmless() && limits.patience.is_zero() {
        let outcome = read(lease, plan, statement, limits, sink, is_begun).await;
        // Nothing tells whether it has run, and it may be what the connection was lost by.
        *is_begun |= matches!(outcome, Err(RunError::Unavailable(_)));
        return outcome;
    }
    let begin = begin(limits);
    let begin = client.batch_execute(&begin);
    let read = read(lease, plan, statement, limits, sink, is_begun);
    let clean = client.batch_execute(CLEAN);
    // Polled in this order, so sent in this order, and before the first answer has come.
    let (opened, outcome, cleaned) = futures_util::join!(begin, read, clean);
    let fault = |error: tokio_postgres::Error| run_error(&error, limits.time);
    if opened.is_ok() && matches!(outcome, Err(RunError::Unavailable(_))) {
        // PostgreSQL answers BEGIN at once, and the statement only when it has rows: it may have run, and may be what the
        // connection was lost by.
        *is_begun = true;
    }
    if cleaned.is_err() {
        // A statement that ends just as it is cancelled leaves the cancelling to the next one, which is this.
        if let Err(error) = client.batch_execute(CLEAN).await {
            lease.set_unfit();
            return outcome.and(Err(fault(error)));
        }
    }
    let outcome = outcome?;
    opened.map_err(fault)?;
    Ok(outcome)
}

/// What opens the transaction. PostgreSQL counts the time in which nobody reads as the statement's, so that its own limit has
/// to leave room for that; the runner's limit, which does not count it, holds as before.
fn begin(limits: RunLimits) -> Cow<'static, str> {
    if limits.patience.is_zero() {
        return "BEGIN READ ONLY".into();
    }
    let milliseconds = (limits.time + limits.patience).as_millis();
    format!("BEGIN READ ONLY; SET LOCAL statement_timeout = '{milliseconds}ms'").into()
}

/// Hands the rows to the sink, up to the limits.
async fn read(
    lease: &Lease,
    plan: &Plan,
    statement: &BoundStatement,
    limits: RunLimits,
    sink: &mut dyn RowSink,
    is_begun: &mut bool,
) -> Result<RunOutcome, RunError> {
    let fault = |error: tokio_postgres::Error| run_error(&error, limits.time);
    let arguments = statement.arguments().iter().map(|value| Argument::of(value.as_ref()));
    let rows = lease.client().query_raw(&plan.statement, arguments).await.map_err(fault)?;
    *is_begun = true;
    let mut rows = pin!(rows);
    let told = sink.columns(&plan.columns);
    let mut row_count = 0;
    let mut handed = told.map(|()| true);
    while matches!(handed, Ok(true)) {
        let Some(row) = rows.next().await else { return Ok(RunOutcome { row_count, truncated: false }) };
        let row = row.map_err(fault)?;
        let size_bytes = row.raw_size_bytes();
        if size_bytes > BLOATING_BYTES {
            lease.set_unfit();
        }
        handed = if row_count < limits.rows.rows() && size_bytes < limits.size_bytes.saturating_mul(MAX_SHRINKAGE) {
            sink.row(&mut RawFields::of(&row), limits.size_bytes)
        } else {
            Ok(false)
        };
        if matches!(handed, Ok(true)) {
            row_count += 1;
            if sink.is_full() {
                sink.flush().await;
            }
        }
    }
    // What is left of the result is of no use to anybody.
    lease.cancel().await;
    handed.map(|_| RunOutcome { row_count, truncated: true }).map_err(RunError::from)
}
