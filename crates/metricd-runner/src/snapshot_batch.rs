//! Runs several statements on one snapshot of the data.
//!
//! Cheap statements are pipelined in one round trip; each expensive one runs alone. If there is much work, further
//! connections that are free at that moment import the snapshot and share it. On each connection all statements start
//! at the same savepoint, so a failed one does not affect the others.

pub(crate) mod exporter;
mod queue;
pub(crate) mod work;

use std::collections::VecDeque;
use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use metricd_execution::{Permit, RunError, RunOutcome, SnapshotBatchOutcome, SnapshotRun};
use tokio::time::timeout_at;

use self::exporter::ExportedSnapshot;
use self::queue::{EstimatedStatement, Unit, units, useful_connections};
use self::work::{WorkerRole, end};
use crate::connection::Connection;
use crate::cost::Estimate;
use crate::pool::AcquiredConnection;
use crate::pool::stopping::Stopped;
use crate::run::{estimate, prepare};
use crate::runner::PgRunner;
use crate::session::{CANCEL_TIMEOUT, SessionError};
use crate::tenancy::Tenancy;
use crate::timing::Clock;

/// Statements that run on one snapshot, and their outcomes.
pub(crate) struct SnapshotBatch<'a, 'r> {
    jobs: Vec<Mutex<Option<Job<'r>>>>,
    outcomes: Mutex<Vec<Option<Result<RunOutcome, RunError>>>>,
    queue: Mutex<VecDeque<Unit>>,
    is_begun: AtomicBool,
    /// The time that the sinks took. No two of them run at once: one task reads all connections.
    encode: Mutex<Duration>,
    runner: &'a PgRunner,
    /// The tenant of all of them.
    tenancy: Option<Tenancy<'a>>,
    /// The time limit of all of them, and their deadline.
    time: Duration,
    deadline: Instant,
    /// One for each further connection that they may use.
    permits: Mutex<Vec<Permit>>,
    /// Whether one of them has a time zone of its own. If so, each sets its own or that of the runner.
    has_time_zones: bool,
}

/// A statement without an outcome.
struct Job<'a> {
    run: SnapshotRun<'a>,
    is_begun: bool,
}

impl<'a, 'r> SnapshotBatch<'a, 'r> {
    pub(crate) fn new(
        runs: Vec<SnapshotRun<'r>>,
        runner: &'a PgRunner,
        tenancy: Option<Tenancy<'a>>,
        time: Duration,
        mut permits: Vec<Permit>,
    ) -> Self {
        if permits.is_empty() {
            permits.push(Permit::default());
        }
        let permits = Mutex::new(permits);
        let outcomes = Mutex::new(runs.iter().map(|_| None).collect());
        let has_time_zones = runs.iter().any(|run| run.statement.time_zone().is_some());
        let jobs = runs.into_iter().map(|run| Mutex::new(Some(Job { run, is_begun: false }))).collect();
        let (queue, encode) = (Mutex::default(), Mutex::default());
        let (is_begun, deadline) = (AtomicBool::default(), Instant::now() + time);
        Self { jobs, outcomes, queue, is_begun, encode, runner, tenancy, time, deadline, permits, has_time_zones }
    }

    /// Whether a sink has received anything or a statement has run.
    pub(crate) fn is_begun(&self) -> bool {
        self.is_begun.load(Ordering::Relaxed)
    }

    /// The outcomes, given how the last attempt ended. A statement without an outcome exceeded the time limit of the
    /// batch, unless its connection was lost.
    ///
    /// # Errors
    ///
    /// That of the attempt, if no statement has an outcome.
    pub(crate) fn into_outcome(
        self,
        ended: Result<(), RunError>,
        mut clock: Clock,
    ) -> Result<SnapshotBatchOutcome, RunError> {
        clock.encode = *locked(&self.encode);
        let has_time = self.has_time();
        let outcomes = self.outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let missing = match ended {
            // The statement that did not stop has that as its outcome. Statements pipelined with it have exceeded the
            // time limit of the batch.
            Err(RunError::NotStopped { .. }) if has_time => {
                RunError::Unavailable("another statement of the call has not stopped".to_owned())
            }
            Ok(()) | Err(RunError::NotStopped { .. }) => RunError::TimedOut { limit: self.time },
            Err(error) if outcomes.iter().any(Option::is_some) => error,
            Err(error) => return Err(error),
        };
        let outcomes = outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Err(missing.clone()))).collect();
        Ok(SnapshotBatchOutcome { outcomes, timing: clock.timing() })
    }

    /// A permit for a further connection, if one is left.
    pub(crate) fn take_permit(&self) -> Option<Permit> {
        locked(&self.permits).pop()
    }

    /// Runs all statements without an outcome, beginning on this connection.
    pub(crate) async fn attempt(&self, mut acquired: AcquiredConnection) -> Result<(), RunError> {
        acquired.set_running(self.statements());
        // Reads stop by themselves at the deadline. If that fails, the connections are dropped while their statements
        // run.
        let deadline = self.deadline + 4 * CANCEL_TIMEOUT;
        let working = timeout_at(deadline.into(), async {
            let ended = self.run(&mut acquired).await;
            self.after_work(&mut acquired, ended).await
        });
        let ended = working.await.unwrap_or(Ok(()));
        locked(&self.permits).extend(acquired.release());
        ended
    }

    /// Identifies the statement that has not stopped, so that this becomes its outcome even if several were
    /// pipelined. It may stop meanwhile.
    async fn after_work(&self, acquired: &mut AcquiredConnection, ended: Result<(), RunError>) -> Result<(), RunError> {
        if !matches!(ended, Err(RunError::NotStopped { .. })) {
            return ended;
        }
        let statements = match acquired.stop().await {
            Stopped::Ended(permits) => {
                locked(&self.permits).extend(permits);
                return ended;
            }
            Stopped::StillRuns(statements) => statements,
        };
        let is_candidate = |job: &Job<'_>| statements.iter().any(|statement| **statement == *job.run.statement.text());
        for (index, job) in self.jobs.iter().enumerate() {
            if let Some(job) = locked(job).take_if(|job| is_candidate(job)) {
                self.set_outcome(index, Err(RunError::NotStopped { limit: job.run.limits.time }));
            }
        }
        ended
    }

    /// The statements without an outcome.
    fn statements(&self) -> Vec<Arc<str>> {
        let jobs = self.jobs.iter().map(|job| locked(job).as_ref().map(|job| job.run.statement.shared_text()));
        jobs.flatten().collect()
    }

    async fn run(&self, acquired: &mut AcquiredConnection) -> Result<(), RunError> {
        let mut estimated = Vec::new();
        for index in 0..self.jobs.len() {
            estimated.extend(self.estimate(index, acquired.connection()).await?);
        }
        let units = units(estimated.clone());
        let useful = useful_connections(&estimated, units.len()).clamp(1, locked(&self.permits).len() + 1);
        // The number of backends behind a pooler is unknown: one transaction must not wait for another.
        let useful = if acquired.connection().is_behind_pooler() { 1 } else { useful };
        *locked(&self.queue) = units;
        let Some((mut helpers, snapshot)) = self.helpers(useful - 1).await else {
            return self.work(acquired.connection(), WorkerRole::Sole).await;
        };
        let id = Some(snapshot.id.as_str());
        let connections = iter::once(&mut *acquired).chain(&mut helpers);
        let begun = join_all(connections.map(|acquired| async { self.begin(acquired.connection(), id).await })).await;
        snapshot.release().await;
        let mut begun = begun.into_iter();
        if let Err(error) = begun.next().unwrap_or(Ok(())) {
            if matches!(error, SessionError::Lost(_)) {
                return Err(unavailable(error));
            }
            self.runner.exporter.back_off(&error);
            drop(helpers);
            end(acquired.connection()).await?;
            return self.work(acquired.connection(), WorkerRole::Sole).await;
        }
        let helpers = helpers.into_iter().zip(begun).filter(|(_, begun)| begun.is_ok());
        // Each helper connection is released as soon as it has no more work.
        let helpers = helpers.map(|(mut acquired, _)| async move {
            let ended = self.work(acquired.connection(), WorkerRole::Helper).await;
            self.after_work(&mut acquired, ended).await
        });
        let (leader, helpers) = join(self.work(acquired.connection(), WorkerRole::Leader), join_all(helpers)).await;
        helpers.into_iter().fold(leader, Result::and)
    }

    /// Prepares the statement and estimates its cost. `None` if it has an outcome, or no time is left.
    async fn estimate(
        &self,
        index: usize,
        connection: &mut Connection,
    ) -> Result<Option<EstimatedStatement>, RunError> {
        let Some(job) = self.take(index).filter(|_| self.has_time()) else { return Ok(None) };
        let (statement, limits) = (job.run.statement, job.run.limits);
        if let Err(error) = self.runner.pool.quarantine().check(statement.text()) {
            self.end_job(index, job, Err(error))?;
            return Ok(None);
        }
        let locks = self.runner.pool.locks();
        let is_behind_lock = locks.suspects(statement.text());
        let held = if is_behind_lock { locks.free_permit() } else { Ok(Permit::default()) };
        let _held = match held {
            Ok(held) => held,
            Err(error) => {
                self.end_job(index, job, Err(error))?;
                return Ok(None);
            }
        };
        let canceller = connection.session.canceller();
        let estimating = async {
            prepare(connection, statement, limits).await?;
            estimate(connection, &self.runner.estimates, statement, limits).await
        };
        match self.limited(canceller, limits.time, estimating).await {
            Ok(Estimate { cost, is_large, .. }) => {
                self.put_back(index, job);
                if is_behind_lock {
                    locks.forget(statement.text());
                }
                if is_large {
                    connection.retire();
                }
                // A statement that recently did not stop runs alone.
                let is_suspect = self.runner.pool.quarantine().suspects(statement.text());
                let cost = if is_suspect { f64::INFINITY } else { cost };
                Ok(Some(EstimatedStatement { index, cost, time: limits.time }))
            }
            Err(error) => {
                self.end_job(index, job, Err(error))?;
                // It may have been cancelled before the transaction of its estimate ended.
                end(connection).await?;
                Ok(None)
            }
        }
    }

    /// At most this many further connections, and a snapshot for all of them.
    async fn helpers(&self, wanted: usize) -> Option<(Vec<AcquiredConnection>, ExportedSnapshot)> {
        // Concurrently, since some of them may have to be opened.
        let slots =
            join_all((0..wanted.min(self.runner.pool.max_connections())).map(|_| self.runner.pool.try_acquire())).await;
        let permitted = slots.into_iter().flatten().map_while(|slot| Some((slot, self.take_permit()?)));
        let mut helpers: Vec<_> = permitted.map(|(slot, permit)| AcquiredConnection::new(slot, vec![permit])).collect();
        for acquired in &mut helpers {
            acquired.set_running(self.statements());
        }
        if helpers.is_empty() {
            return None;
        }
        Some((helpers, self.runner.exporter.export().await?))
    }

    fn has_time(&self) -> bool {
        Instant::now() < self.deadline
    }

    fn take(&self, index: usize) -> Option<Job<'r>> {
        self.jobs.get(index).and_then(|job| locked(job).take())
    }

    fn put_back(&self, index: usize, job: Job<'r>) {
        if let Some(slot) = self.jobs.get(index) {
            *locked(slot) = Some(job);
        }
    }

    /// Stores the outcome, unless the connection was lost. After that, or if the statement has not stopped, nothing
    /// else can run on the connection.
    fn end_job(&self, index: usize, job: Job<'r>, outcome: Result<RunOutcome, RunError>) -> Result<(), RunError> {
        match outcome {
            Err(error @ RunError::Unavailable(_)) => {
                self.put_back(index, job);
                Err(error)
            }
            Err(error @ RunError::NotStopped { .. }) => {
                self.set_outcome(index, Err(error.clone()));
                Err(error)
            }
            outcome => {
                self.runner.pool.locks().note(&outcome, job.run.statement.text());
                self.set_outcome(index, outcome);
                Ok(())
            }
        }
    }

    fn set_outcome(&self, index: usize, outcome: Result<RunOutcome, RunError>) {
        if let Some(slot) = locked(&self.outcomes).get_mut(index) {
            *slot = Some(outcome);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error of the runner's own statements is not the fault of a metric.
fn unavailable(error: SessionError) -> RunError {
    match error {
        SessionError::Lost(message) | SessionError::Refused { message, .. } => RunError::Unavailable(message),
    }
}

#[cfg(test)]
mod tests {
    use metricd_database::DatabaseUrl;
    use metricd_domain::SqlText;
    use metricd_execution::{BoundStatement, JsonRows, RunLimits, Statement};

    use super::*;
    use crate::config::RunnerConfig;

    const LIMIT: Duration = Duration::from_millis(7);

    /// The errors of two statements if a connection ended with [`RunError::NotStopped`] and its statement has stopped
    /// before it was identified.
    fn outcomes(time: Duration, run: impl Fn(&SnapshotBatch<'_, '_>)) -> Vec<String> {
        let url = DatabaseUrl::parse("postgres://nobody@127.0.0.1:1/none".to_owned()).unwrap();
        let runner = PgRunner::new(&url, RunnerConfig::default()).unwrap();
        let statement = Statement::parse(&SqlText::parse("SELECT 1").unwrap()).unwrap();
        let statement = BoundStatement::without_arguments(&statement);
        let mut sinks = [JsonRows::default(), JsonRows::default()];
        let limits = RunLimits { time: LIMIT, ..RunLimits::default() };
        let runs = sinks.iter_mut().map(|sink| SnapshotRun { statement: &statement, limits, sink }).collect();
        let batch = SnapshotBatch::new(runs, &runner, None, time, Vec::new());
        run(&batch);
        let ended = Err(RunError::NotStopped { limit: LIMIT });
        let outcome = batch.into_outcome(ended, Clock::start()).unwrap();
        outcome.outcomes.into_iter().map(|outcome| outcome.unwrap_err().to_string()).collect()
    }

    #[test]
    fn a_statement_that_stops_late_fails_alone() {
        let hour = Duration::from_secs(3_600);
        let found = outcomes(hour, |batch| {
            let job = batch.take(0).unwrap();
            let ended = batch.end_job(0, job, Err(RunError::NotStopped { limit: LIMIT }));
            assert!(matches!(ended, Err(RunError::NotStopped { .. })), "{ended:?}");
        });
        assert_eq!(found[0], RunError::NotStopped { limit: LIMIT }.to_string());
        assert!(found[1].contains("another statement of the call"), "{found:?}");
    }

    /// Neither has a timeout of its own except that of PostgreSQL, so both exceeded that of the batch.
    #[test]
    fn pipelined_statements_that_stop_late_exceed_the_time_of_the_batch() {
        let past = RunError::TimedOut { limit: Duration::ZERO }.to_string();
        assert_eq!(outcomes(Duration::ZERO, |_| {}), [past.clone(), past]);
    }
}
