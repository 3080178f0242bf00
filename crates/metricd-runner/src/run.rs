//! One run of a statement on a connection.

use std::sync::Arc;
use std::time::Duration;

use metricd_execution::{BoundStatement, RowSink, RunError, RunLimits, RunOutcome};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use crate::connection::prepared_statement::{PreparedStatement, cache_key};
use crate::connection::settings::set_time_zone;
use crate::connection::{Connection, TIMEOUT_LEEWAY};
use crate::cost::{Estimate, Estimates};
use crate::error::{is_stale, run_error};
use crate::session::{PreludeStatement, Response, Session, SessionError};
use crate::tenancy::{Tenancy, TransactionPrelude};
use crate::timing::Clock;
use crate::transaction::{BEGIN_SQL, CLEANUP_SQL};
use crate::transaction::{clean_up, finish_cleanup};

/// How long surplus rows are drained before their statement is cancelled.
const MAX_DRAIN_TIME: Duration = Duration::from_millis(20);

/// A statement with its tenant and limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) statement: &'a BoundStatement,
    /// The tenant on whose behalf it runs.
    pub(crate) tenancy: Option<Tenancy<'a>>,
    pub(crate) limits: RunLimits,
}

/// A task with its sink.
pub(crate) struct Run<'a> {
    pub(crate) task: Task<'a>,
    pub(crate) sink: &'a mut dyn RowSink,
    /// Whether the sink has received anything or the statement may have run. If so, it is not run again.
    pub(crate) is_begun: &'a mut bool,
    /// What to do with rows past the limits.
    pub(crate) after_row_cap: AfterRowCap,
    /// The time spent so far, which the sink gets before the columns.
    pub(crate) clock: Option<&'a Clock>,
}

/// What to do with rows past the limits of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterRowCap {
    /// Cancel the statement.
    Cancel,
    /// Skip the rows: the next statement was sent already, and a cancel request might stop that one, or few rows are
    /// left. If there are many, cancel all the same.
    Drain,
}

impl Run<'_> {
    /// Runs the statement; once more if its prepared statement was stale.
    pub(crate) async fn execute_on(
        mut self,
        connection: &mut Connection,
        estimates: &Estimates,
    ) -> Result<RunOutcome, RunError> {
        let outcome = self.prepare_and_execute(connection, estimates).await;
        let Err(error) = &outcome else { return outcome };
        let key = cache_key(self.task.statement);
        let is_prepared = connection.cached_statement(&key).is_some();
        if *self.is_begun || !is_stale(error, is_prepared, connection.session.is_executing()) {
            return outcome;
        }
        connection.evict_statement(&key).map_err(|error| self.run_error(error))?;
        self.retry_stale(connection, estimates).await
    }

    /// Runs the statement once more, prepared in the transaction in which it runs: from Parse on its tables are
    /// locked, so none of them changes before it executes.
    async fn retry_stale(
        &mut self,
        connection: &mut Connection,
        estimates: &Estimates,
    ) -> Result<RunOutcome, RunError> {
        // Estimating uses a transaction of its own.
        self.estimate(connection, estimates).await?;
        let outcome = async {
            let tenancy = self.task.tenancy;
            self.forget_plans_of_other_zone(connection);
            let prelude =
                connection.prelude(Some(BEGIN_SQL), None, tenancy).await.map_err(|error| self.run_error(error))?;
            let before: Vec<_> = prelude.statements().collect();
            connection.session.send_batch(&before).map_err(|error| self.run_error(error))?;
            connection.session.drain().await.map_err(|error| self.run_error(error))?;
            if self.task.statement.time_zone().is_none() {
                connection.tenant_set(tenancy);
            }
            let prepared = prepare(connection, self.task.statement, self.task.limits).await?;
            self.execute_with(connection, &prepared, TransactionPrelude::default(), false).await
        }
        .await;
        // If the statement was not sent, the transaction is still open.
        if connection.session.is_in_transaction() && !connection.session.is_lost() {
            clean_up(&mut connection.session).await.map_err(|error| self.run_error(error))?;
        }
        outcome
    }

    async fn prepare_and_execute(
        &mut self,
        connection: &mut Connection,
        estimates: &Estimates,
    ) -> Result<RunOutcome, RunError> {
        let prepared = prepare(connection, self.task.statement, self.task.limits).await?;
        self.estimate(connection, estimates).await?;
        // The statement timeout and the time zone can only be changed within a transaction.
        let changes_nothing = self.task.limits.write_timeout.is_zero() && self.task.statement.time_zone().is_none();
        let is_alone = connection.side_effect_free() && changes_nothing;
        let begin = (!is_alone).then_some(BEGIN_SQL);
        self.forget_plans_of_other_zone(connection);
        let prelude =
            connection.prelude(begin, None, self.task.tenancy).await.map_err(|error| self.run_error(error))?;
        let outcome = self.execute_with(connection, &prepared, prelude, is_alone).await;
        if outcome.is_ok() && self.task.statement.time_zone().is_none() {
            connection.tenant_set(self.task.tenancy);
        }
        outcome
    }

    /// Has the plans discarded before a statement with a time zone of its own. They are not recorded after it, so that
    /// they are discarded after it as well.
    fn forget_plans_of_other_zone(&self, connection: &mut Connection) {
        if self.task.statement.time_zone().is_some() {
            connection.forget_plans();
        }
    }

    /// Refuses a statement that is too costly; retires the connection if its plan is large.
    async fn estimate(&mut self, connection: &mut Connection, estimates: &Estimates) -> Result<(), RunError> {
        if estimate(connection, estimates, self.task.statement, self.task.limits).await?.is_large {
            connection.retire();
        }
        Ok(())
    }

    async fn execute_with(
        &mut self,
        connection: &mut Connection,
        prepared: &PreparedStatement,
        prelude: TransactionPrelude,
        is_alone: bool,
    ) -> Result<RunOutcome, RunError> {
        let mut before: Vec<_> = prelude.statements().collect();
        let timeout = statement_timeout(self.task.limits, connection.is_behind_pooler());
        let time_zone = self.task.statement.time_zone().map(set_time_zone);
        before.extend([&timeout, &time_zone].into_iter().flatten().map(|sql| PreludeStatement::Sql(sql)));
        if is_alone {
            self.execute_alone(&mut connection.session, prepared, &before).await
        } else {
            self.execute_within_transaction(&mut connection.session, prepared, &before).await
        }
    }

    /// Runs a prepared statement without BEGIN in a side-effect-free session: it is a read-only transaction of its
    /// own.
    async fn execute_alone(
        &mut self,
        session: &mut Session,
        prepared: &PreparedStatement,
        before: &[PreludeStatement<'_>],
    ) -> Result<RunOutcome, RunError> {
        // Statements up to one Sync are one transaction, in which the tenant is set.
        self.send(session, prepared, before)?;
        let outcome = self.read(session, prepared).await;
        // It may have run, and may have caused the loss of the connection.
        *self.is_begun |= matches!(outcome, Err(RunError::Unavailable(_)));
        outcome
    }

    /// Runs a prepared statement in a transaction that is rolled back, in one round trip.
    async fn execute_within_transaction(
        &mut self,
        session: &mut Session,
        prepared: &PreparedStatement,
        before: &[PreludeStatement<'_>],
    ) -> Result<RunOutcome, RunError> {
        self.send(session, prepared, before)?;
        session.send_simple(CLEANUP_SQL).map_err(|error| self.run_error(error))?;
        let outcome = self.read(session, prepared).await;
        *self.is_begun |= matches!(outcome, Err(RunError::Unavailable(_)));
        if session.is_lost() {
            return outcome;
        }
        match finish_cleanup(session).await {
            Err(error @ SessionError::Refused { .. }) => Err(self.run_error(error)),
            // The result is complete even if the connection was lost since.
            _ => outcome,
        }
    }

    fn send(
        &mut self,
        session: &mut Session,
        prepared: &PreparedStatement,
        before: &[PreludeStatement<'_>],
    ) -> Result<(), RunError> {
        let statement = self.task.statement;
        self.sink.sent();
        let sent = session.send_execute(before, (&prepared.described, statement.text()), statement.texts());
        sent.map_err(|error| self.run_error(error))
    }

    /// Passes the rows to the sink, up to the limits.
    pub(crate) async fn read(
        &mut self,
        session: &mut Session,
        prepared: &PreparedStatement,
    ) -> Result<RunOutcome, RunError> {
        let RunLimits { rows, size_bytes, .. } = self.task.limits;
        let max_row_bytes = prepared.max_row_bytes(size_bytes);
        let mut response = session.next(max_row_bytes).await.map_err(|error| self.run_error(error))?;
        *self.is_begun = true;
        if let Some(clock) = self.clock {
            self.sink.timed(clock.timing());
        }
        session.encoding().resume();
        let mut row_count = 0;
        let mut taken = self.sink.columns(&prepared.columns).map(|()| true);
        while response != Response::End {
            if matches!(taken, Ok(true)) {
                taken = match response {
                    Response::Row if row_count < rows.rows() => self.sink.row(session.fields(), size_bytes),
                    _ => Ok(false),
                };
            }
            if !matches!(taken, Ok(true)) {
                session.encoding().pause();
                match self.after_row_cap {
                    AfterRowCap::Cancel => cancel(session, self.after_row_cap).await,
                    AfterRowCap::Drain => match timeout(MAX_DRAIN_TIME, session.drain()).await {
                        Ok(Err(error @ SessionError::Lost(_))) => return Err(self.run_error(error)),
                        // Errors in surplus rows do not matter.
                        Ok(_) => {}
                        // The next response begins after this one.
                        Err(_) => cancel(session, self.after_row_cap).await,
                    },
                }
                break;
            }
            row_count += 1;
            if self.sink.is_full() {
                session.encoding().pause();
                self.sink.flush().await;
                session.encoding().resume();
            }
            response = session.next(max_row_bytes).await.map_err(|error| self.run_error(error))?;
        }
        taken.map(|is_complete| RunOutcome { row_count, truncated: !is_complete }).map_err(RunError::from)
    }

    fn run_error(&self, error: SessionError) -> RunError {
        run_error(error, self.task.limits.time)
    }
}

/// Prepares the statement on the connection and checks the number of its parameters.
pub(crate) async fn prepare(
    connection: &mut Connection,
    statement: &BoundStatement,
    limits: RunLimits,
) -> Result<Arc<PreparedStatement>, RunError> {
    let prepared =
        PreparedStatement::prepare(connection, statement).await.map_err(|error| run_error(error, limits.time))?;
    if !prepared.meets_contract(statement) {
        return Err(RunError::Drifted);
    }
    let (wanted, given) = (prepared.described.parameters.len(), statement.arguments().len());
    if wanted != given {
        let message = format!("the statement has {wanted} parameters and values for {given}");
        return Err(RunError::Failed { sqlstate: SqlState::UNDEFINED_PARAMETER.code().to_owned(), message });
    }
    Ok(prepared)
}

/// The planner's estimate for the statement, if it is within the limit.
pub(crate) async fn estimate(
    connection: &mut Connection,
    estimates: &Estimates,
    statement: &BoundStatement,
    limits: RunLimits,
) -> Result<Estimate, RunError> {
    let estimate = estimates.of(connection, statement).await;
    let (estimate, limit) = (estimate.map_err(|error| run_error(error, limits.time))?, limits.cost);
    let Estimate { cost, .. } = estimate;
    #[expect(clippy::cast_precision_loss, reason = "an estimate is not that precise")]
    if limit != u64::MAX && cost > limit as f64 { Err(RunError::TooCostly { cost, limit }) } else { Ok(estimate) }
}

/// The statement timeout of a transaction whose sink may exert back-pressure. PostgreSQL counts the time in which
/// nobody reads as the statement's, so its timeout includes the write timeout; the runner enforces the limit without
/// it. Behind a pooler, another client may have lifted the role's timeout.
fn statement_timeout(limits: RunLimits, is_behind_pooler: bool) -> Option<String> {
    let leeway = if is_behind_pooler { TIMEOUT_LEEWAY } else { Duration::ZERO };
    let milliseconds = limits.time.saturating_add(limits.write_timeout).saturating_add(leeway).as_millis();
    // PostgreSQL accepts no larger value.
    let milliseconds = i32::try_from(milliseconds).unwrap_or(i32::MAX);
    (is_behind_pooler || !limits.write_timeout.is_zero())
        .then(|| format!("SET LOCAL statement_timeout = {milliseconds}"))
}

/// Cancels the statement whose response is being read, since its remaining rows are not needed, and reads the response
/// to its end. If the request fails, the response is read only where rows are drained, since another response may follow;
/// otherwise the connection is closed, which PostgreSQL detects.
async fn cancel(session: &mut Session, after_row_cap: AfterRowCap) {
    if let Err(error) = session.cancel().await {
        log::warn!("a statement could not be cancelled: {error}");
        if after_row_cap == AfterRowCap::Cancel {
            return;
        }
    }
    if let Err(SessionError::Lost(message)) = session.drain().await {
        log::warn!("a connection was lost while its statement was stopped: {message}");
    }
}
