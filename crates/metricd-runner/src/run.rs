//! One run of a statement on a connection.

use std::sync::Arc;
use std::time::Duration;

use metricd_execution::{BoundStatement, RowSink, RunError, RunLimits, RunOutcome};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use crate::connection::prepared_statement::PreparedStatement;
use crate::connection::{Connection, TIMEOUT_LEEWAY};
use crate::cost::{Estimate, Estimates};
use crate::error::{is_stale, run_error};
use crate::session::{PreludeStatement, Response, Session, SessionError};
use crate::tenancy::{Tenancy, TransactionPrelude};
use crate::timing::Clock;
use crate::transaction::{BEGIN_SQL, CLEANUP_SQL};
use crate::transaction::{clean_up, finish_cleanup};

/// How long rows that nobody wants are passed over before their statement is stopped.
const MAX_DRAIN_TIME: Duration = Duration::from_millis(20);

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) statement: &'a BoundStatement,
    /// On whose behalf.
    pub(crate) tenancy: Option<Tenancy<'a>>,
    pub(crate) limits: RunLimits,
}

/// A task, and who takes the rows.
pub(crate) struct Run<'a> {
    pub(crate) task: Task<'a>,
    pub(crate) sink: &'a mut dyn RowSink,
    /// Whether the sink has been told anything, or the statement may have run: it is not run again then.
    pub(crate) is_begun: &'a mut bool,
    /// What becomes of the rows past the limits.
    pub(crate) after_row_cap: AfterRowCap,
    /// Where the time has gone so far, which the sink is told before the columns.
    pub(crate) clock: Option<&'a Clock>,
}

/// What becomes of the rows that are past a run's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterRowCap {
    /// The statement is stopped.
    Cancel,
    /// They are passed over, since the next statement has been sent already and may be stopped instead. Where they are many,
    /// the statement is stopped all the same.
    Drain,
}

impl Run<'_> {
    /// Runs the statement.
    pub(crate) async fn execute_on(
        mut self,
        connection: &mut Connection,
        estimates: &Estimates,
    ) -> Result<RunOutcome, RunError> {
        let text = self.task.statement.text();
        let outcome = self.prepare_and_execute(connection, estimates).await;
        let Err(error) = &outcome else { return outcome };
        let is_prepared = connection.cached_statement(text).is_some();
        if *self.is_begun || !is_stale(error, is_prepared, connection.session.is_executing()) {
            return outcome;
        }
        connection.evict_statement(text).map_err(|error| self.run_error(error))?;
        self.retry_stale(connection, estimates).await
    }

    /// Runs the statement once more, prepared in the transaction in which it runs: from when PostgreSQL has parsed it, the
    /// tables that it reads are locked, so that none of them changes once more before it runs.
    async fn retry_stale(
        &mut self,
        connection: &mut Connection,
        estimates: &Estimates,
    ) -> Result<RunOutcome, RunError> {
        // In a transaction of its own, where it is not known yet.
        self.estimate(connection, estimates).await?;
        let outcome = async {
            let tenancy = self.task.tenancy;
            let prelude =
                connection.prelude(Some(BEGIN_SQL), None, tenancy).await.map_err(|error| self.run_error(error))?;
            let before: Vec<_> = prelude.statements().collect();
            connection.session.send_batch(&before).map_err(|error| self.run_error(error))?;
            connection.session.drain().await.map_err(|error| self.run_error(error))?;
            connection.tenant_set(tenancy);
            let prepared = prepare(connection, self.task.statement, self.task.limits).await?;
            self.execute_with(connection, &prepared, TransactionPrelude::default(), false).await
        }
        .await;
        // Where it was not sent, nothing has ended the transaction.
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
        // PostgreSQL's own limit of time can only be changed within a transaction.
        let is_alone = connection.side_effect_free() && self.task.limits.write_timeout.is_zero();
        let begin = (!is_alone).then_some(BEGIN_SQL);
        let prelude =
            connection.prelude(begin, None, self.task.tenancy).await.map_err(|error| self.run_error(error))?;
        let outcome = self.execute_with(connection, &prepared, prelude, is_alone).await;
        if outcome.is_ok() {
            connection.tenant_set(self.task.tenancy);
        }
        outcome
    }

    /// Refuses a statement that is too costly, and has the connection closed later where its plan is large.
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
        before.extend(timeout.as_deref().map(PreludeStatement::Sql));
        if is_alone {
            self.execute_alone(&mut connection.session, prepared, &before).await
        } else {
            self.execute_within_transaction(&mut connection.session, prepared, &before).await
        }
    }

    /// Runs a prepared statement where the role can leave nothing behind: PostgreSQL runs it in a read-only transaction of
    /// its own, and answers once.
    async fn execute_alone(
        &mut self,
        session: &mut Session,
        prepared: &PreparedStatement,
        before: &[PreludeStatement<'_>],
    ) -> Result<RunOutcome, RunError> {
        // What is sent together is one transaction, which names the tenant.
        self.send(session, prepared, before)?;
        let outcome = self.read(session, prepared).await;
        // Nothing tells whether it has run, and it may be what the connection was lost by.
        *self.is_begun |= matches!(outcome, Err(RunError::Unavailable(_)));
        outcome
    }

    /// Runs a prepared statement so that nothing of it remains, in a transaction that is rolled back; in one round trip.
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
            // What was read is whole, even if the connection has been lost by now.
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

    /// Hands the rows to the sink, up to the limits.
    pub(crate) async fn read(
        &mut self,
        session: &mut Session,
        prepared: &PreparedStatement,
    ) -> Result<RunOutcome, RunError> {
        let RunLimits { rows, size_bytes, .. } = self.task.limits;
        let max_row_bytes = prepared.max_row_bytes(size_bytes);
        let mut answer = session.next(max_row_bytes).await.map_err(|error| self.run_error(error))?;
        *self.is_begun = true;
        if let Some(clock) = self.clock {
            self.sink.timed(clock.timing());
        }
        session.encoding().resume();
        let mut row_count = 0;
        let mut taken = self.sink.columns(&prepared.columns).map(|()| true);
        while answer != Response::End {
            if matches!(taken, Ok(true)) {
                taken = match answer {
                    Response::Row if row_count < rows.rows() => self.sink.row(session.fields(), size_bytes),
                    _ => Ok(false),
                };
            }
            if !matches!(taken, Ok(true)) {
                session.encoding().pause();
                match self.after_row_cap {
                    AfterRowCap::Cancel => cancel(session).await,
                    AfterRowCap::Drain => match timeout(MAX_DRAIN_TIME, session.drain()).await {
                        Ok(Err(error @ SessionError::Lost(_))) => return Err(self.run_error(error)),
                        // What is wrong with rows that nobody wants is of no interest.
                        Ok(_) => {}
                        Err(_) => cancel(session).await,
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
            answer = session.next(max_row_bytes).await.map_err(|error| self.run_error(error))?;
        }
        taken.map(|is_whole| RunOutcome { row_count, truncated: !is_whole }).map_err(RunError::from)
    }

    fn run_error(&self, error: SessionError) -> RunError {
        run_error(error, self.task.limits.time)
    }
}

/// The statement, prepared on the connection for as many values as there are.
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

/// What the planner expects the statement to cost, where that is within its limit.
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

/// The limit of time in a transaction whose sink may make it wait. PostgreSQL counts the time in which nobody reads as the
/// statement's, so that its own limit has to leave room for that; the runner's limit, which does not count it, holds as before.
/// Behind a pooler, another client may have lifted the role's own limit.
fn statement_timeout(limits: RunLimits, is_behind_pooler: bool) -> Option<String> {
    let leeway = if is_behind_pooler { TIMEOUT_LEEWAY } else { Duration::ZERO };
    let milliseconds = limits.time.saturating_add(limits.write_timeout).saturating_add(leeway).as_millis();
    // More is no limit to PostgreSQL.
    let milliseconds = i32::try_from(milliseconds).unwrap_or(i32::MAX);
    (is_behind_pooler || !limits.write_timeout.is_zero())
        .then(|| format!("SET LOCAL statement_timeout = {milliseconds}"))
}

/// Stops the statement whose answer is read, since what is left of it is of no use to anybody.
async fn cancel(session: &mut Session) {
    if let Err(error) = session.cancel().await {
        // The connection is closed then, and PostgreSQL notices that.
        log::warn!("a statement could not be cancelled: {error}");
        return;
    }
    if let Err(SessionError::Lost(message)) = session.drain().await {
        log::warn!("a connection was lost while its statement was stopped: {message}");
    }
}
