//! Several statements on one snapshot of the data.
//!
//! Those that the planner holds for cheap are sent together on one connection, so that they cost one round trip; the others
//! one after the other, on as many connections as are free at that moment, each of which takes the snapshot over. Within a
//! connection's transaction a statement that fails takes nothing with it: each begins at the same savepoint.

use std::collections::VecDeque;
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use metricd_execution::{BatchRun, RunError, RunOutcome};
use tokio::time::timeout;

use super::connection::Connection;
use super::cost::Estimates;
use super::error::{is_stale_plan, run_error};
use super::exporter::{Exporter, Snapshot};
use super::lease::Lease;
use super::plan::Plan;
use super::pool::Pool;
use super::run::{Rest, Run, estimate, prepare, stop};
use super::session::SessionError;
use super::{CLEAN, CONNECT_TIMEOUT};

/// What a statement costs at most, in the planner's unit, that is sent together with others: some milliseconds.
const CHEAP: f64 = 10_000.0;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const SAVE: &str = "SAVEPOINT metricd_run";
const BACK: &str = "ROLLBACK TO SAVEPOINT metricd_run";

/// Statements that are run together, and what has become of them.
pub(super) struct Together<'a, 'r> {
    jobs: Vec<Mutex<Option<Job<'r>>>>,
    outcomes: Mutex<Vec<Option<Result<RunOutcome, RunError>>>>,
    pool: &'a Pool,
    estimates: &'a Estimates,
    exporter: &'a Exporter,
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
    ) -> Self {
        let outcomes = Mutex::new(runs.iter().map(|_| None).collect());
        let job = |run| Mutex::new(Some(Job { run, cost: 0.0, is_begun: false }));
        Self { jobs: runs.into_iter().map(job).collect(), outcomes, pool, estimates, exporter }
    }

    /// Whether a sink has been told anything, or a statement may have run.
    pub(super) fn is_begun(&self) -> bool {
        let is_begun = |job: &Mutex<Option<Job<'_>>>| locked(job).as_ref().is_none_or(|job| job.is_begun);
        self.jobs.iter().any(is_begun)
    }

    /// What has become of the statements. One that was not ended was past the time of all of them.
    pub(super) fn into_outcomes(self, time: Duration) -> Vec<Result<RunOutcome, RunError>> {
        let outcomes = self.outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcomes.into_iter().map(|outcome| outcome.unwrap_or(Err(RunError::TimedOut { limit: time }))).collect()
    }

    /// Runs what has no outcome yet, beginning with this connection.
    pub(super) async fn attempt(&mut self, mut lease: Lease, time: Duration) -> Result<(), RunError> {
        // Where the time is up, the connections are dropped while their statements run, which stops them.
        timeout(time, self.run(&mut lease)).await.unwrap_or(Ok(()))
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
            begin(connection, None).await?;
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

    /// Runs the cheap statements, then dear ones for as long as there are any, and ends the transaction.
    async fn work(
        &self,
        connection: &mut Connection,
        cheap: &[usize],
        dear: &Mutex<VecDeque<usize>>,
    ) -> Result<(), RunError> {
        let mut again = self.run_cheap(connection, cheap).await?;
        while let Some(index) = again.pop().or_else(|| locked(dear).pop_front()) {
            self.run_one(connection, index).await?;
        }
        let session = &mut connection.session;
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

    /// Runs statements in one round trip. Answers with those that have to be run again, by themselves.
    async fn run_cheap(&self, connection: &mut Connection, cheap: &[usize]) -> Result<Vec<usize>, RunError> {
        let mut sent: VecDeque<(usize, Job<'r>, Arc<Plan>)> = VecDeque::new();
        for index in cheap {
            let Some(job) = self.take(*index) else { continue };
            // It was prepared a moment ago; one of very many may have been forgotten since.
            let Some(plan) = connection.plan(job.run.statement.text()) else {
                self.put_back(*index, job);
                continue;
            };
            let asked = connection.session.ask_prepared(&[BACK], &plan.name, job.run.statement.texts());
            sent.push_back((*index, job, plan));
            asked.map_err(lost)?;
        }
        let mut again: Vec<_> = cheap.iter().copied().filter(|index| self.is_open(*index)).collect();
        let mut is_cancelled = false;
        while let Some((index, mut job, plan)) = sent.pop_front() {
            if is_cancelled {
                // It may have been stopped in the place of the one before.
                self.put_back(index, job);
                again.push(index);
                if let Err(error @ SessionError::Lost(_)) = connection.session.finish().await {
                    return Err(lost(error));
                }
                continue;
            }
            match self.read(connection, &mut job, &plan, Rest::PassedOver).await {
                Err(error @ RunError::Unavailable(_)) => {
                    self.put_back(index, job);
                    sent.drain(..).for_each(|(index, job, _)| self.put_back(index, job));
                    return Err(error);
                }
                Err(error) if !job.is_begun && is_stale_plan(&error) => {
                    self.put_back(index, job);
                    again.push(index);
                }
                outcome => {
                    is_cancelled = matches!(outcome, Err(RunError::TimedOut { .. }));
                    self.conclude(index, outcome);
                }
            }
        }
        Ok(again)
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

    /// Reads a statement's answer, within the statement's own time.
    async fn read(
        &self,
        connection: &mut Connection,
        job: &mut Job<'_>,
        plan: &Plan,
        rest: Rest,
    ) -> Result<RunOutcome, RunError> {
        let BatchRun { statement, limits, sink } = &mut job.run;
        let limits = *limits;
        let mut run = Run { statement, limits, sink: &mut **sink, is_begun: &mut job.is_begun, rest };
        let ended = timeout(limits.time, run.read(&mut connection.session, plan)).await;
        if let Ok(outcome) = ended {
            return outcome;
        }
        job.is_begun = true;
        stop(&mut connection.session).await;
        if connection.session.is_lost() {
            return Err(RunError::Unavailable("the connection was lost".to_owned()));
        }
        Err(RunError::TimedOut { limit: limits.time })
    }

    fn take(&self, index: usize) -> Option<Job<'r>> {
        self.jobs.get(index).and_then(|job| locked(job).take())
    }

    fn put_back(&self, index: usize, job: Job<'r>) {
        if let Some(place) = self.jobs.get(index) {
            *locked(place) = Some(job);
        }
    }

    fn is_open(&self, index: usize) -> bool {
        self.jobs.get(index).is_some_and(|job| locked(job).is_some())
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
