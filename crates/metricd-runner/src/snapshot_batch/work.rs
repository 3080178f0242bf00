//! The work of one connection of a snapshot batch.
//!
//! PostgreSQL buffers the responses of pipelined statements. So their time limit is PostgreSQL's own timeout, which
//! it counts for each from its start. They are cancelled from here only if the batch has no time left, or if a
//! truncated result goes on.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use metricd_execution::{BoundStatement, RunError, RunLimits, RunOutcome};
use tokio::time::{timeout, timeout_at};

use super::queue::Unit;
use super::{Job, SnapshotBatch, locked, unavailable};
use crate::connection::Connection;
use crate::connection::prepared_statement::{PreparedStatement, cache_key};
use crate::connection::settings::set_time_zone;
use crate::error::is_stale;
use crate::pool::stopping::{STOP_BOUND, cancel_until_ended};
use crate::run::{AfterRowCap, Run, Task, prepare};
use crate::session::{CANCEL_RETRY_INTERVAL, CANCEL_TIMEOUT, Canceller, PreludeStatement, SessionError};
use crate::tenancy::DISCARD_PLANS_SQL;
use crate::tenancy::TransactionPrelude;
use crate::transaction::clean_up;

const BEGIN_SNAPSHOT_SQL: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const SAVEPOINT_SQL: &str = "SAVEPOINT metricd_run";
const ROLLBACK_TO_SAVEPOINT_SQL: &str = "ROLLBACK TO SAVEPOINT metricd_run";

/// The end of a transaction in a side-effect-free session, and in any other.
const END_SIDE_EFFECT_FREE_SQL: &[&str] = &["ROLLBACK"];
const END_SQL: &[&str] = &["ROLLBACK", "SELECT pg_catalog.pg_advisory_unlock_all()"];

/// Whether a table was rewritten or replaced since the snapshot. The catalogs are read as of the snapshot; the
/// functions see the current state.
pub(crate) const REWRITTEN_TABLES_SQL: &str = "
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_class AS class JOIN pg_catalog.pg_namespace AS schema ON schema.oid = class.relnamespace
        WHERE class.relkind IN ('r', 'p', 'm') AND class.relpersistence <> 't'
          AND schema.nspname NOT IN ('pg_catalog', 'information_schema')
          AND (pg_catalog.pg_relation_filenode(class.oid) IS DISTINCT FROM nullif(class.relfilenode, 0::oid)
               OR CASE WHEN pg_catalog.has_schema_privilege(schema.oid, 'USAGE')
                  THEN pg_catalog.to_regclass(pg_catalog.format('%I.%I', schema.nspname, class.relname))::oid
                       IS DISTINCT FROM class.oid
                  ELSE false END)
    )::text WHERE $1::text IS NOT NULL";

/// Statements that were sent, in order.
type InFlight<'r> = VecDeque<(usize, Job<'r>, Arc<PreparedStatement>)>;

/// The role of a connection in the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkerRole {
    /// The only connection: no other takes from the queue.
    Sole,
    /// The first of several.
    Leader,
    /// A further one, which is released if a run waits for a connection.
    Helper,
}

impl<'r> SnapshotBatch<'_, 'r> {
    /// Runs units until the queue is empty. Begins the transaction unless it has begun, and ends it.
    pub(super) async fn work(&self, connection: &mut Connection, role: WorkerRole) -> Result<(), RunError> {
        // The cheapest unit first: it then certainly has its time.
        let mut next = if role == WorkerRole::Leader { locked(&self.queue).pop_back() } else { None };
        while self.has_time()
            && !(role == WorkerRole::Helper && self.runner.pool.has_waiters())
            && let Some(unit) = next.take().or_else(|| self.next_unit(role))
        {
            match unit {
                Unit::Pipelined(indexes) => {
                    let is_last = role == WorkerRole::Sole && locked(&self.queue).is_empty();
                    self.run_pipelined(connection, indexes, is_last).await?;
                }
                Unit::Single(index) => self.run_single(connection, index, false).await?,
            }
        }
        end(connection).await
    }

    fn next_unit(&self, role: WorkerRole) -> Option<Unit> {
        let mut queue = locked(&self.queue);
        if role == WorkerRole::Sole { queue.pop_back() } else { queue.pop_front() }
    }

    /// Runs statements in one round trip, with the beginning of the transaction and, if this is the last unit, its
    /// end. The statements after a failed one are sent again, from the savepoint on.
    ///
    /// Behind a pooler a statement is parsed when it runs, and only its response shows changed columns. The
    /// transaction must not have ended by then: the next one would have another snapshot.
    async fn run_pipelined(
        &self,
        connection: &mut Connection,
        indexes: Vec<usize>,
        is_last: bool,
    ) -> Result<(), RunError> {
        let mut in_flight = InFlight::new();
        let mut stale = Vec::new();
        let mut ended = self.prepare_all(connection, indexes, &mut in_flight).await;
        while ended.is_ok() && !in_flight.is_empty() && self.has_time() {
            // The time zone is set before all statements of one request.
            let mut later = in_flight.split_off(in_first_time_zone(&in_flight));
            let is_last = is_last && later.is_empty();
            let end = if connection.side_effect_free() { END_SIDE_EFFECT_FREE_SQL } else { END_SQL };
            let end = if is_last && stale.is_empty() && !connection.is_behind_pooler() { end } else { &[] };
            ended = self.send_and_read(connection, &mut in_flight, &mut stale, end).await;
            in_flight.append(&mut later);
        }
        in_flight.drain(..).for_each(|(index, job, _)| self.put_back(index, job));
        ended?;
        for index in stale {
            self.run_single(connection, index, true).await?;
        }
        Ok(())
    }

    async fn prepare_all(
        &self,
        connection: &mut Connection,
        indexes: Vec<usize>,
        in_flight: &mut InFlight<'r>,
    ) -> Result<(), RunError> {
        for index in indexes {
            let Some(job) = self.take(index) else { continue };
            // The leader has prepared it already; a helper has not.
            let prepared = if let Some(prepared) = connection.cached_statement(&cache_key(job.run.statement)) {
                Ok(prepared)
            } else {
                // An earlier statement may have left its time zone in the transaction.
                if self.has_time_zones {
                    roll_back_to_savepoint(connection).await?;
                }
                self.prepare(connection, job.run.statement, job.run.limits).await
            };
            match prepared {
                Ok(prepared) => in_flight.push_back((index, job, prepared)),
                Err(error) => {
                    self.end_job(index, job, Err(error))?;
                    roll_back_to_savepoint(connection).await?;
                }
            }
        }
        Ok(())
    }

    async fn prepare(
        &self,
        connection: &mut Connection,
        statement: &BoundStatement,
        limits: RunLimits,
    ) -> Result<Arc<PreparedStatement>, RunError> {
        let canceller = connection.session.canceller();
        self.limited(canceller, limits.time, prepare(connection, statement, limits)).await
    }

    async fn send_and_read(
        &self,
        connection: &mut Connection,
        in_flight: &mut InFlight<'r>,
        stale: &mut Vec<usize>,
        end: &[&str],
    ) -> Result<(), RunError> {
        let time = in_flight.front().map(|(_, job, _)| job.run.limits.time).unwrap_or_default();
        let limit = (!connection.enforces_timeout(time)).then(|| statement_timeout(time));
        let time_zone = in_flight.front().map(|(_, job, _)| self.set_time_zone(job.run.statement)).unwrap_or_default();
        let prelude = if connection.session.is_in_transaction() {
            None
        } else {
            self.forget_plans(connection);
            Some(connection.prelude(Some(BEGIN_SNAPSHOT_SQL), None, self.tenancy).await.map_err(unavailable)?)
        };
        let session = &mut connection.session;
        let mut before =
            prelude.as_ref().map_or_else(|| vec![PreludeStatement::Sql(ROLLBACK_TO_SAVEPOINT_SQL)], opening_statements);
        // After the savepoint, so that rolling back to it also resets the timeout and the time zone.
        before.extend(limit.iter().chain(&time_zone).map(|sql| PreludeStatement::Sql(sql)));
        let statements = in_flight
            .iter()
            .map(|(_, job, prepared)| ((&prepared.described, job.run.statement.text()), job.run.statement.texts()));
        session.send_execute_all(&before, statements, end).map_err(unavailable)?;
        // The response ends with the failed statement, even past the point where its result was truncated; later ones
        // have not run.
        while !connection.session.is_ready()
            && let Some((index, mut job, prepared)) = in_flight.pop_front()
        {
            let outcome = self.read(connection, &mut job, &prepared, AfterRowCap::Drain).await;
            if job.is_begun {
                self.prelude_has_run(connection);
            }
            match outcome {
                Err(error) if !job.is_begun && is_stale(&error, true, connection.session.is_executing()) => {
                    connection.evict_statement(&cache_key(job.run.statement)).map_err(unavailable)?;
                    self.put_back(index, job);
                    stale.push(index);
                }
                // A truncated statement had ended when it was cancelled; the cancel request hit this one.
                Err(RunError::TimedOut { .. })
                    if !job.is_begun && connection.session.was_cancelled() && self.has_time() =>
                {
                    in_flight.push_front((index, job, prepared));
                }
                // Any of the pipelined statements may be the one that runs.
                Err(error @ RunError::NotStopped { .. }) => {
                    self.put_back(index, job);
                    return Err(error);
                }
                outcome => self.end_job(index, job, outcome)?,
            }
        }
        self.settle(connection).await
    }

    /// Reads every response to its end, and waits until no cancel request is on its way: it would stop the next statement.
    /// At the deadline nothing else runs on the connection, and it is closed.
    async fn settle(&self, connection: &mut Connection) -> Result<(), RunError> {
        let session = &mut connection.session;
        let settling = async {
            while !session.is_ready() {
                if let Err(error @ SessionError::Lost(_)) = session.drain().await {
                    return Err(unavailable(error));
                }
            }
            if session.canceller().settled().await {
                Ok(())
            } else {
                Err(RunError::Unavailable("a statement of the call could not be cancelled".to_owned()))
            }
        };
        timeout_at(self.deadline.into(), settling).await.unwrap_or(Ok(()))
    }

    /// Runs a statement alone, once more if its prepared statement was stale. `was_stale` says that it was found to
    /// be stale before.
    async fn run_single(&self, connection: &mut Connection, index: usize, mut was_stale: bool) -> Result<(), RunError> {
        let Some(mut job) = self.take(index) else { return Ok(()) };
        let mut outcome = self.prepare_and_run(connection, &mut job).await;
        let is_executing = connection.session.is_executing();
        let is_prepared = connection.cached_statement(&cache_key(job.run.statement)).is_some();
        if !job.is_begun && outcome.as_ref().is_err_and(|error| is_stale(error, is_prepared, is_executing)) {
            connection.evict_statement(&cache_key(job.run.statement)).map_err(unavailable)?;
            was_stale = true;
            outcome = self.prepare_and_run(connection, &mut job).await;
        }
        // An older snapshot sees no rows in a rewritten table. Checked after the statement, which holds the locks on
        // its tables: later changes do not matter.
        if was_stale && outcome.is_ok() {
            roll_back_to_savepoint(connection).await?;
            let canceller = connection.session.canceller();
            let checking = async { connection.row(REWRITTEN_TABLES_SQL, "").await.map_err(unavailable) };
            let row = self.limited(canceller, CANCEL_TIMEOUT, checking).await?;
            if row.first().and_then(Option::as_deref) != Some("false") {
                outcome = Err(RunError::TableLocked);
            }
        }
        self.end_job(index, job, outcome)?;
        self.settle(connection).await
    }

    async fn prepare_and_run(&self, connection: &mut Connection, job: &mut Job<'r>) -> Result<RunOutcome, RunError> {
        if connection.session.is_in_transaction() {
            roll_back_to_savepoint(connection).await?;
        } else {
            self.begin(connection, None).await.map_err(unavailable)?;
        }
        let prepared = self.prepare(connection, job.run.statement, job.run.limits).await?;
        let statement = job.run.statement;
        let time_zone = self.set_time_zone(statement);
        let before: Vec<_> = time_zone.iter().map(|sql| PreludeStatement::Sql(sql)).collect();
        let sent = connection.session.send_execute(&before, (&prepared.described, statement.text()), statement.texts());
        sent.map_err(unavailable)?;
        self.read(connection, job, &prepared, AfterRowCap::Cancel).await
    }

    /// Sets the time zone of the statement and discards the plans of another one, unless all statements of the batch run
    /// in that of the session.
    fn set_time_zone(&self, statement: &BoundStatement) -> Vec<String> {
        if !self.has_time_zones {
            return Vec::new();
        }
        let time_zone = statement.time_zone().unwrap_or(self.runner.pool.time_zone());
        vec![DISCARD_PLANS_SQL.to_owned(), set_time_zone(time_zone)]
    }

    /// Has the plans discarded before and after a batch with time zones.
    fn forget_plans(&self, connection: &mut Connection) {
        if self.has_time_zones {
            connection.forget_plans();
        }
    }

    /// Records that the prelude has run.
    fn prelude_has_run(&self, connection: &mut Connection) {
        if !self.has_time_zones {
            connection.tenant_set(self.tenancy);
        }
    }

    /// Reads the response to a statement. If it runs alone, its time limit is enforced here.
    async fn read(
        &self,
        connection: &mut Connection,
        job: &mut Job<'r>,
        prepared: &PreparedStatement,
        after_row_cap: AfterRowCap,
    ) -> Result<RunOutcome, RunError> {
        let (statement, limits) = (job.run.statement, job.run.limits);
        let time = if after_row_cap == AfterRowCap::Cancel { limits.time } else { Duration::MAX };
        let canceller = connection.session.canceller();
        let (sink, is_begun) = (&mut *job.run.sink, &mut job.is_begun);
        let task = Task { statement, tenancy: self.tenancy, limits };
        let mut run = Run { task, sink, is_begun, after_row_cap, clock: None };
        let outcome = self.limited(canceller, time, run.read(&mut connection.session, prepared)).await;
        *locked(&self.encode) += connection.session.encoding().take();
        if job.is_begun || !matches!(outcome, Err(RunError::Unavailable(_))) {
            self.is_begun.store(true, Ordering::Relaxed);
        }
        outcome
    }

    /// Begins the transaction for all statements of a connection, on this snapshot or on a new one.
    pub(super) async fn begin(&self, connection: &mut Connection, snapshot: Option<&str>) -> Result<(), SessionError> {
        let take = snapshot.map(|id| format!("SET TRANSACTION SNAPSHOT '{id}'"));
        self.forget_plans(connection);
        let prelude = connection.prelude(Some(BEGIN_SNAPSHOT_SQL), take, self.tenancy).await?;
        connection.session.send_batch(&opening_statements(&prelude))?;
        connection.session.drain().await?;
        self.prelude_has_run(connection);
        Ok(())
    }

    /// Limits work in a session to this time and to the deadline of the batch. Past that, cancels what runs and waits
    /// for the work to end.
    pub(super) async fn limited<T>(
        &self,
        canceller: Canceller,
        time: Duration,
        work: impl Future<Output = Result<T, RunError>>,
    ) -> Result<T, RunError> {
        let mut work = pin!(work);
        let left = self.deadline.saturating_duration_since(Instant::now());
        let outcome = match timeout(time.min(left), &mut work).await {
            Ok(outcome) => outcome,
            Err(_past) => {
                let stopping = cancel_until_ended(&canceller, &mut work, CANCEL_RETRY_INTERVAL, CANCEL_RETRY_INTERVAL);
                match timeout(STOP_BOUND, stopping).await {
                    Ok(Ok(outcome)) => outcome,
                    _ => Err(RunError::NotStopped { limit: time.min(self.time) }),
                }
            }
        };
        match outcome {
            Err(RunError::TimedOut { .. }) if !self.has_time() => Err(RunError::TimedOut { limit: self.time }),
            outcome => outcome,
        }
    }
}

/// The number of the first statements that share a time zone.
fn in_first_time_zone(statements: &InFlight<'_>) -> usize {
    let mut time_zones = statements.iter().map(|(_, job, _)| job.run.statement.time_zone());
    let Some(first) = time_zones.next() else { return 0 };
    1 + time_zones.take_while(|time_zone| *time_zone == first).count()
}

/// The beginning of a transaction. The tenant is set before the savepoint, so rolling back to it keeps the tenant.
fn opening_statements(prelude: &TransactionPrelude) -> Vec<PreludeStatement<'_>> {
    prelude.statements().chain([PreludeStatement::Sql(SAVEPOINT_SQL)]).collect()
}

/// Rolls back to the state before any failure.
async fn roll_back_to_savepoint(connection: &mut Connection) -> Result<(), RunError> {
    if !connection.session.is_in_transaction() {
        return Ok(());
    }
    connection.session.send_simple(ROLLBACK_TO_SAVEPOINT_SQL).map_err(unavailable)?;
    connection.session.drain().await.map_err(unavailable)
}

/// Ends the transaction, if one is open, without a trace.
pub(super) async fn end(connection: &mut Connection) -> Result<(), RunError> {
    let session = &mut connection.session;
    if session.is_in_transaction() { clean_up(session).await.map_err(unavailable) } else { Ok(()) }
}

/// The statement timeout for each of the following statements. A limit of zero is sent as 1 ms: for PostgreSQL zero
/// means no limit.
fn statement_timeout(time: Duration) -> String {
    let milliseconds = i32::try_from(time.as_millis()).unwrap_or(i32::MAX).max(1);
    format!("SET LOCAL statement_timeout = {milliseconds}")
}
