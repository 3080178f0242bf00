//! Several statements on one snapshot of the data.
//!
//! Those that the planner holds for cheap are sent together on one connection, so that they cost one round trip; the others
//! one after the other, on as many connections as are free at that moment, each of which takes the snapshot over. Within a
//! connection's transaction a statement that fails takes nothing with it: each begins at the same savepoint.

use std::collections::VecDeque;
use std::iter;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use metricd_execution::{BatchRun, RunError, RunOutcome};
use tokio::time::{timeout, timeout_at};

use super::connection::Connection;
use super::cost::Estimates;
use super::error::{is_stale_plan, run_error};
use super::exporter::{Exporter, Snapshot};
use super::lease::Lease;
use super::plan::Plan;
use super::pool::Pool;
use super::run::{Rest, Run, estimate, prepare};
use super::session::{CANCEL_TIMEOUT, SessionError};
use super::{CLEAN, CONNECT_TIMEOUT};

/// What a statement costs at most, in the planner's unit, that is sent together with others: some milliseconds.
const CHEAP: f64 = 10_000.0;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const SAVE: &str = "SAVEPOINT metricd_run";
const BACK: &str = "ROLLBACK TO SAVEPOINT metricd_run";

/// The end of a transaction whose role can leave nothing else behind, and of any other.
const END_HARMLESS: &[&str] = &["ROLLBACK"];
const END: &[&str] = &["ROLLBACK", "SELECT pg_catalog.pg_advisory_unlock_all()"];

/// Statements that are run together, and what has become of them.
pub(super) struct Together<'a, 'r> {
    jobs: Vec<Mutex<Option<Job<'r>>>>,
    outcomes: Mutex<Vec<Option<Result<RunOutcome, RunError>>>>,
    pool: &'a Pool,
    estimates: &'a Estimates,
    exporter: &'a Exporter,
    /// How long all of them may take, and until when.
    time: Duration,
    deadline: Instant,
}

/// A statement that has no outcome yet.
struct Job<'a> {
    run: BatchRun<'a>,
    cost: f64,
    is_begun: bool,
}

impl<'a, 'r> Together<'a, 'r> {
    pub(super) fn new(
        runs: Vec<BatchRun<'r>>,
        pool: &'a Pool,
        estimates: &'a Estimates,
        exporter: &'a Exporter,
        time: Duration,
    ) -> Self {
        let outcomes = Mutex::new(runs.iter().map(|_| None).collect());
        let job = |run| Mutex::new(Some(Job { run, cost: 0.0, is_begun: false }));
        let deadline = Instant::now() + time;
        Self { jobs: runs.into_iter().map(job).collect(), outcomes, pool, estimates, exporter, time, deadline }
    }

    /// Whether a sink has been told anything, or a statement may have run.
    pub(super) fn is_begun(&self) -> bool {
        let is_begun = |job: &Mutex<Option<Job<'_>>>| locked(job).as_ref().is_none_or(|job| job.is_begun);
        self.jobs.iter().any(is_begun)
    }

    /// What has become of the statements. One that was not ended was past the time of all of them.
    pub(super) fn into_outcomes(self) -> Vec<Result<RunOutcome, RunError>> {
        let outcomes = self.outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcomes.into_iter().map(|outcome| outcome.unwrap_or(Err(RunError::TimedOut { limit: self.time }))).collect()
    }

    /// Runs what has no outcome yet, beginning with this connection.
    pub(super) async fn attempt(&mut self, mut lease: Lease) -> Result<(), RunError> {
        // What is read stops by itself. Where that does not work, the connections are dropped while their statements run.
        timeout_at((self.deadline + 2 * CANCEL_TIMEOUT).into(), self.run(&mut lease)).await.unwrap_or(Ok(()))
    }

    async fn run(&self, lease: &mut Lease) -> Result<(), RunError> {
        let connection = lease.connection();
        let (mut cheap, mut dear) = (Vec::new(), Vec::new());
        for index in 0..self.jobs.len() {
            if let Some(cost) = self.judge(index, connection).await? {
                if cost <= CHEAP { cheap.push(index) } else { dear.push((cost, index)) }
            }
        }
        if cheap.is_empty() && dear.is_empty() {
            return Ok(());
        }
        // The dearest first, so that none of them is what all wait for at the end.
        dear.sort_by(|left, right| right.0.total_cmp(&left.0));
        let dear = Mutex::new(dear.into_iter().map(|(_, index)| index).collect::<VecDeque<_>>());
        let (mut others, snapshot) = self.others(&dear, !cheap.is_empty()).await;
        let Some(snapshot) = snapshot else {
            return self.work(connection, &cheap, &dear).await;
        };
        let id = Some(snapshot.id.as_str());
        let begun = join_all(
            iter::once(&mut *lease).chain(&mut others).map(|lease| async { begin(lease.connection(), id).await }),
        );
        let mut begun = begun.await.into_iter();
        snapshot.release().await;
        begun.next().unwrap_or(Ok(()))?;
        let others = others.iter_mut().zip(begun).filter(|(_, begun)| begun.is_ok());
        let others = others.map(|(lease, _)| async { self.work(lease.connection(), &[], &dear).await });
        let (first, others) =
            futures_util::future::join(self.work(lease.connection(), &cheap, &dear), join_all(others)).await;
        others.into_iter().fold(first, Result::and)
    }

    /// Prepares the statement and asks what it costs; `None` where it has its outcome.
    async fn judge(&self, index: usize, connection: &mut Connection) -> Result<Option<f64>, RunError> {
        let Some(mut job) = self.take(index) else { return Ok(None) };
        let (statement, limits) = (job.run.statement, job.run.limits);
        let judged = async {
            prepare(connection, statement, limits).await?;
            estimate(connection, self.estimates, statement, limits).await
        };
        match judged.await {
            Ok(cost) => {
                job.cost = cost;
                self.put_back(index, job);
                Ok(Some(cost))
            }
            Err(error @ RunError::Unavailable(_)) => {
                self.put_back(index, job);
                Err(error)
            }
            Err(error) => {
                self.conclude(index, Err(error));
                Ok(None)
            }
        }
    }

    /// Further connections for what is dear, with the snapshot for all of them, where there is use for them.
    async fn others(&self, dear: &Mutex<VecDeque<usize>>, has_cheap: bool) -> (Vec<Lease>, Option<Snapshot>) {
        let wanted = (locked(dear).len() + usize::from(has_cheap)).saturating_sub(1);
        // At once, since some of them may have to be opened.
        let places = join_all((0..wanted.min(self.pool.max_connections())).map(|_| self.pool.get_free())).await;
        let others: Vec<_> = places.into_iter().flatten().map(Lease::new).collect();
        if others.is_empty() {
            return (others, None);
        }
        match self.exporter.export().await {
            Some(snapshot) => (others, Some(snapshot)),
            None => (Vec::new(), None),
        }
    }

    /// Runs the cheap statements, then dear ones for as long as there are any, in a transaction that is begun here unless it
    /// has been, and ended.
    async fn work(
        &self,
        connection: &mut Connection,
        cheap: &[usize],
        dear: &Mutex<VecDeque<usize>>,
    ) -> Result<(), RunError> {
        let is_all = locked(dear).is_empty();
        let mut by_themselves = self.run_cheap(connection, cheap, is_all).await?;
        while self.has_time()
            && let Some(index) = by_themselves.pop().or_else(|| locked(dear).pop_front())
        {
            if !connection.session.is_in_transaction() {
                begin(connection, None).await?;
            }
            self.run_one(connection, index).await?;
        }
        let session = &mut connection.session;
        if !session.is_in_transaction() {
            return Ok(());
        }
        session.ask(CLEAN).map_err(lost)?;
        match session.finish().await {
            // A statement that ends just as it is cancelled leaves the cancelling to the next one, which is this.
            Err(SessionError::Refused { .. }) => {
                session.ask(CLEAN).map_err(lost)?;
                session.finish().await.map_err(lost)
            }
            ended => ended.map_err(lost),
        }
    }

    /// Runs statements in one round trip, with the beginning of the transaction and, where nothing else is to come, its end.
    /// What follows one that fails is asked for once more, from the savepoint on. Answers with those that have to be run by
    /// themselves.
    async fn run_cheap(
        &self,
        connection: &mut Connection,
        cheap: &[usize],
        is_all: bool,
    ) -> Result<Vec<usize>, RunError> {
        let mut by_themselves = Vec::new();
        let mut sent: VecDeque<(usize, Job<'r>, Arc<Plan>)> = VecDeque::new();
        for index in cheap {
            let Some(job) = self.take(*index) else { continue };
            // It was prepared a moment ago; one of very many may have been forgotten since, and one with casts is kept otherwise.
            if let Some(plan) = connection.plan(job.run.statement.text()) {
                sent.push_back((*index, job, plan));
            } else {
                self.put_back(*index, job);
                by_themselves.push(*index);
            }
        }
        let is_last = is_all && by_themselves.is_empty();
        let end = if connection.is_harmless() { END_HARMLESS } else { END };
        let mut before: &[&str] = if connection.session.is_in_transaction() { &[] } else { &[BEGIN, SAVE] };
        while !sent.is_empty() && self.has_time() {
            let statements = sent.iter().map(|(_, job, plan)| (plan.name.as_str(), job.run.statement.texts()));
            let asked = connection.session.ask_prepared_all(before, statements, if is_last { end } else { &[] });
            let read = match asked.map_err(lost) {
                Ok(()) => self.read_cheap(connection, &mut sent, &mut by_themselves).await,
                Err(error) => Err(error),
            };
            if let Err(error) = read {
                sent.drain(..).for_each(|(index, job, _)| self.put_back(index, job));
                return Err(error);
            }
            before = &[BACK];
        }
        Ok(by_themselves)
    }

    /// Reads the answers of statements that were sent together, up to one that fails; those behind it have not run.
    async fn read_cheap(
        &self,
        connection: &mut Connection,
        sent: &mut VecDeque<(usize, Job<'r>, Arc<Plan>)>,
        by_themselves: &mut Vec<usize>,
    ) -> Result<(), RunError> {
        while let Some((index, mut job, plan)) = sent.pop_front() {
            let outcome = self.read(connection, &mut job, &plan, Rest::PassedOver).await;
            let has_failed = outcome.is_err();
            match outcome {
                Err(error @ RunError::Unavailable(_)) => {
                    self.put_back(index, job);
                    return Err(error);
                }
                Err(error) if !job.is_begun && is_stale_plan(&error) => {
                    self.put_back(index, job);
                    by_themselves.push(index);
                }
                outcome => self.conclude(index, outcome),
            }
            if has_failed {
                break;
            }
        }
        // The end of the answer. One that was stopped too late may have let others run, which nobody has read.
        while !connection.session.is_answered() {
            if let Err(error @ SessionError::Lost(_)) = connection.session.finish().await {
                return Err(lost(error));
            }
        }
        if !connection.session.is_in_transaction() {
            for (index, job, _) in sent.drain(..) {
                self.conclude(index, Err(RunError::TimedOut { limit: job.run.limits.time }));
            }
        }
        Ok(())
    }

    /// Runs a statement by itself, once more where its plan was stale.
    async fn run_one(&self, connection: &mut Connection, index: usize) -> Result<(), RunError> {
        let Some(mut job) = self.take(index) else { return Ok(()) };
        let mut outcome = self.prepare_and_run(connection, &mut job).await;
        if !job.is_begun && outcome.as_ref().is_err_and(is_stale_plan) {
            connection.forget_plans_of(job.run.statement.text()).map_err(lost)?;
            outcome = self.prepare_and_run(connection, &mut job).await;
        }
        match outcome {
            Err(error @ RunError::Unavailable(_)) => {
                self.put_back(index, job);
                Err(error)
            }
            outcome => {
                self.conclude(index, outcome);
                Ok(())
            }
        }
    }

    async fn prepare_and_run(&self, connection: &mut Connection, job: &mut Job<'_>) -> Result<RunOutcome, RunError> {
        connection.session.ask(BACK).map_err(lost)?;
        connection.session.finish().await.map_err(lost)?;
        let plan = prepare(connection, job.run.statement, job.run.limits).await?;
        connection.session.ask_prepared(&[], &plan.name, job.run.statement.texts()).map_err(lost)?;
        self.read(connection, job, &plan, Rest::Stopped).await
    }

    /// Reads a statement's answer, within the statement's own time and that of all.
    ///
    /// PostgreSQL may hold back the answers of statements that were sent together until one behind them has ended. So what is
    /// past its time is stopped, and then the answer is read: it may be the next one that was stopped, and is told so.
    async fn read(
        &self,
        connection: &mut Connection,
        job: &mut Job<'_>,
        plan: &Plan,
        rest: Rest,
    ) -> Result<RunOutcome, RunError> {
        let BatchRun { statement, limits, sink } = &mut job.run;
        let limits = *limits;
        let left = self.deadline.saturating_duration_since(Instant::now());
        let time = limits.time.min(left);
        let canceller = connection.session.canceller();
        let mut run = Run { statement, limits, sink: &mut **sink, is_begun: &mut job.is_begun, rest };
        let mut reading = pin!(run.read(&mut connection.session, plan));
        let outcome = match timeout(time, &mut reading).await {
            Ok(outcome) => outcome,
            Err(_past) => {
                let lost = |message: String| RunError::Unavailable(format!("a statement goes on: {message}"));
                canceller.cancel().await.map_err(|error| lost(error.to_string()))?;
                let ended = timeout(CANCEL_TIMEOUT, reading).await;
                ended.map_err(|_| lost("PostgreSQL took too long to answer".to_owned()))?
            }
        };
        match outcome {
            Err(RunError::TimedOut { .. }) if left < limits.time => Err(RunError::TimedOut { limit: self.time }),
            outcome => outcome,
        }
    }

    fn has_time(&self) -> bool {
        Instant::now() < self.deadline
    }

    fn take(&self, index: usize) -> Option<Job<'r>> {
        self.jobs.get(index).and_then(|job| locked(job).take())
    }

    fn put_back(&self, index: usize, job: Job<'r>) {
        if let Some(place) = self.jobs.get(index) {
            *locked(place) = Some(job);
        }
    }

    fn conclude(&self, index: usize, outcome: Result<RunOutcome, RunError>) {
        if let Some(place) = locked(&self.outcomes).get_mut(index) {
            *place = Some(outcome);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lost(error: SessionError) -> RunError {
    run_error(error, CONNECT_TIMEOUT)
}

/// Begins the transaction that all statements of a connection are run in, on that snapshot or one of its own.
async fn begin(connection: &mut Connection, snapshot: Option<&str>) -> Result<(), RunError> {
    let take = snapshot.map(|id| format!("; SET TRANSACTION SNAPSHOT '{id}'")).unwrap_or_default();
    connection.session.ask(&format!("{BEGIN}{take}; {SAVE}")).map_err(lost)?;
    connection.session.finish().await.map_err(lost)
}
