//! One run of a statement on a connection.

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use metricd_execution::{BoundStatement, RowSink, RunError, RunLimits, RunOutcome};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use super::connection::Connection;
use super::cost::Estimates;
use super::error::{is_stale_plan, run_error};
use super::plan::Plan;
use super::session::{Ahead, Answer, Session, SessionError};
use super::tenancy::{Entry, Tenancy};
use super::timing::Clock;
use super::{BEGIN, CLEAN};

/// How long rows that nobody wants are passed over before their statement is stopped.
const PASSED_OVER: Duration = Duration::from_millis(20);

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) statement: &'a BoundStatement,
    /// On whose behalf.
    pub(super) tenancy: Option<Tenancy<'a>>,
    pub(super) limits: RunLimits,
}

/// A task, and who takes the rows.
pub(super) struct Run<'a> {
    pub(super) task: Task<'a>,
    pub(super) sink: &'a mut dyn RowSink,
    /// Whether the sink has been told anything, or the statement may have run: it is not run again then.
    pub(super) is_begun: &'a mut bool,
    /// What becomes of the rows past the limits.
    pub(super) rest: Rest,
    /// Where the time has gone so far, which the sink is told before the columns.
    pub(super) clock: Option<&'a Clock>,
}

/// What becomes of the rows that are past a run's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// The statement is stopped.
    Stopped,
    /// They are passed over, since the next statement has been sent already and may be stopped instead. Where they are many,
    /// the statement is stopped all the same.
    PassedOver,
}

impl Run<'_> {
    /// Runs the statement.
    pub(super) async fn on(
        mut self,
        connection: &mut Connection,
        estimates: &Estimates,
    ) -> Result<RunOutcome, RunError> {
        match self.prepare_and_execute(connection, estimates).await {
            // A table has changed since the statement was prepared.
            Err(error) if !*self.is_begun && is_stale_plan(&error) => {
                connection.forget_plans_of(self.task.statement.text()).map_err(|error| self.fault(error))?;
                self.prepare_and_execute(connection, estimates).await
            }
            outcome => outcome,
        }
    }

    async fn prepare_and_execute(
        &mut self,
        connection: &mut Connection,
        estimates: &Estimates,
    ) -> Result<RunOutcome, RunError> {
        let plan = prepare(connection, self.task.statement, self.task.limits).await?;
        estimate(connection, estimates, self.task.statement, self.task.limits).await?;
        if connection.plan(self.task.statement.text()).is_none() {
            // Of one whose values are cast, PostgreSQL is asked each time what its columns are.
            estimates.set_apart(self.task.statement.text());
        }
        let entry = connection.entry(self.task.tenancy).await.map_err(|error| self.fault(error))?;
        // PostgreSQL's own limit of time can only be changed within a transaction.
        let outcome = if connection.is_harmless() && self.task.limits.patience.is_zero() {
            self.execute_alone(&mut connection.session, &plan, &entry).await
        } else {
            self.execute_within_transaction(&mut connection.session, &plan, &entry).await
        };
        if outcome.is_ok() {
            connection.entered(self.task.tenancy);
        }
        outcome
    }

    /// Runs a prepared statement where the role can leave nothing behind: PostgreSQL runs it in a read-only transaction of
    /// its own, and answers once.
    async fn execute_alone(
        &mut self,
        session: &mut Session,
        plan: &Plan,
        entry: &Entry,
    ) -> Result<RunOutcome, RunError> {
        // What is sent together is one transaction, which the entry is for.
        let entry: Vec<_> = entry.ahead().collect();
        self.sink.sent();
        session.ask_prepared(&entry, &plan.name, self.task.statement.texts()).map_err(|error| self.fault(error))?;
        let outcome = self.read(session, plan).await;
        // Nothing tells whether it has run, and it may be what the connection was lost by.
        *self.is_begun |= matches!(outcome, Err(RunError::Unavailable(_)));
        outcome
    }

    /// Runs a prepared statement so that nothing of it remains, in a transaction that is rolled back; in one round trip.
    async fn execute_within_transaction(
        &mut self,
        session: &mut Session,
        plan: &Plan,
        entry: &Entry,
    ) -> Result<RunOutcome, RunError> {
        let timeout = statement_timeout(self.task.limits);
        let begin = iter::once(Ahead::Sql(BEGIN)).chain(entry.ahead());
        let begin: Vec<_> = begin.chain(timeout.as_deref().map(Ahead::Sql)).collect();
        self.sink.sent();
        session.ask_prepared(&begin, &plan.name, self.task.statement.texts()).map_err(|error| self.fault(error))?;
        session.ask(CLEAN).map_err(|error| self.fault(error))?;
        let outcome = self.read(session, plan).await;
        *self.is_begun |= matches!(outcome, Err(RunError::Unavailable(_)));
        if session.is_lost() {
            return outcome;
        }
        if let Err(SessionError::Refused { .. }) = session.finish().await {
            // A statement that ends just as it is cancelled leaves the cancelling to the next one, which is this.
            session.ask(CLEAN).map_err(|error| self.fault(error))?;
            session.finish().await.map_err(|error| self.fault(error))?;
        }
        outcome
    }

    /// Hands the rows to the sink, up to the limits.
    pub(super) async fn read(&mut self, session: &mut Session, plan: &Plan) -> Result<RunOutcome, RunError> {
        let RunLimits { rows, size_bytes, .. } = self.task.limits;
        let max_row_bytes = plan.max_row_bytes(size_bytes);
        let mut answer = session.next(max_row_bytes).await.map_err(|error| self.fault(error))?;
        *self.is_begun = true;
        if let Some(clock) = self.clock {
            self.sink.timed(clock.timing());
        }
        session.encoding().resume();
        let mut row_count = 0;
        let mut taken = self.sink.columns(&plan.columns).map(|()| true);
        while answer != Answer::End {
            if matches!(taken, Ok(true)) {
                taken = match answer {
                    Answer::Row if row_count < rows.rows() => self.sink.row(session.fields(), size_bytes),
                    _ => Ok(false),
                };
            }
            if !matches!(taken, Ok(true)) {
                session.encoding().pause();
                match self.rest {
                    Rest::Stopped => stop(session).await,
                    Rest::PassedOver => match timeout(PASSED_OVER, session.finish()).await {
                        Ok(Err(error @ SessionError::Lost(_))) => return Err(self.fault(error)),
                        // What is wrong with rows that nobody wants is of no interest.
                        Ok(_) => {}
                        Err(_) => stop(session).await,
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
            answer = session.next(max_row_bytes).await.map_err(|error| self.fault(error))?;
        }
        taken.map(|is_whole| RunOutcome { row_count, truncated: !is_whole }).map_err(RunError::from)
    }

    fn fault(&self, error: SessionError) -> RunError {
        run_error(error, self.task.limits.time)
    }
}

/// The statement, prepared on the connection for as many values as there are.
pub(super) async fn prepare(
    connection: &mut Connection,
    statement: &BoundStatement,
    limits: RunLimits,
) -> Result<Arc<Plan>, RunError> {
    let plan = Plan::prepare(connection, statement).await.map_err(|error| run_error(error, limits.time))?;
    let (wanted, given) = (plan.parameters, statement.arguments().len());
    if wanted != given {
        let message = format!("the statement has {wanted} parameters and values for {given}");
        return Err(RunError::Failed { sqlstate: SqlState::UNDEFINED_PARAMETER.code().to_owned(), message });
    }
    Ok(plan)
}

/// What the planner expects the statement to cost, where that is within its limit.
pub(super) async fn estimate(
    connection: &mut Connection,
    estimates: &Estimates,
    statement: &BoundStatement,
    limits: RunLimits,
) -> Result<f64, RunError> {
    let cost = estimates.of(&mut connection.session, statement).await;
    let (cost, limit) = (cost.map_err(|error| run_error(error, limits.time))?, limits.cost);
    #[expect(clippy::cast_precision_loss, reason = "an estimate is not that precise")]
    if cost > limit as f64 { Err(RunError::TooCostly { cost, limit }) } else { Ok(cost) }
}

/// The limit of time in a transaction whose sink may make it wait. PostgreSQL counts the time in which nobody reads as the
/// statement's, so that its own limit has to leave room for that; the runner's limit, which does not count it, holds as before.
fn statement_timeout(limits: RunLimits) -> Option<String> {
    let milliseconds = (limits.time + limits.patience).as_millis();
    (!limits.patience.is_zero()).then(|| format!("SET LOCAL statement_timeout = '{milliseconds}ms'"))
}

/// Stops the statement whose answer is read, since what is left of it is of no use to anybody.
async fn stop(session: &mut Session) {
    if let Err(error) = session.cancel().await {
        // The connection is closed then, and PostgreSQL notices that.
        log::warn!("a statement could not be cancelled: {error}");
        return;
    }
    if let Err(SessionError::Lost(message)) = session.finish().await {
        log::warn!("a connection was lost while its statement was stopped: {message}");
    }
}
