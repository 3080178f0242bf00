//! Cheap statements of several runs, sent as one question.
//!
//! Much of what a cheap statement costs is that PostgreSQL's process and this one wake each other. So each thread has one
//! question with cheap statements under way, and those that come meanwhile are sent together when it is answered. Where
//! nothing is under way, nobody waits.
//!
//! PostgreSQL holds the answers back until all statements of a question have run, and nobody can tell which of them takes its
//! time. So a question that is not answered soon is stopped. Its runs then go on alone, as they do wherever anything else goes
//! wrong: statements only read, so that they can be run once more.

mod batch;
mod worker;

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use metricd_execution::{BoundStatement, Permit, RowSink, RunError, RunLimits, RunOutcome};
use tokio::sync::oneshot;

use self::batch::BatchedResponse;
use self::worker::BatchWorker;
use crate::connection::Connection;
use crate::cost::Estimates;
use crate::pool::Pool;
use crate::timing::Clock;

/// What a statement costs at most that is sent with others, in the planner's unit: some tenths of a millisecond.
const MAX_BATCHED_COST: f64 = 1_000.0;

/// How long a question may take, be it that its statements have to be prepared.
const BATCH_TIMEOUT: Duration = Duration::from_millis(20);

/// The runs that wait to be sent with others.
#[derive(Clone)]
pub(crate) struct StatementBatcher(Arc<BatcherInner>);

struct BatcherInner {
    pool: Pool,
    estimates: Estimates,
    /// Whether no statement can act on one behind it in its transaction, as of the connection that was used last.
    batching_safe: AtomicBool,
    threads: Mutex<HashMap<ThreadId, ThreadQueue, RandomState>>,
}

/// The runs of a thread.
#[derive(Default)]
struct ThreadQueue {
    waiting: VecDeque<PendingRun>,
    /// Whether there is a driver, who takes from them for as long as there are any.
    has_worker: bool,
}

/// A run that waits.
struct PendingRun {
    since: Instant,
    statement: BoundStatement,
    cost: f64,
    permit: Permit,
    reply: oneshot::Sender<Result<BatchedResponse, RunError>>,
}

impl StatementBatcher {
    pub(crate) fn new(pool: Pool, estimates: Estimates) -> Self {
        let (batching_safe, threads) = (AtomicBool::default(), Mutex::default());
        Self(Arc::new(BatcherInner { pool, estimates, batching_safe, threads }))
    }

    /// Takes note of what is known of the connections.
    pub(crate) fn observe(&self, connection: &Connection) {
        self.0.batching_safe.store(connection.batching_safe(), Ordering::Relaxed);
    }

    /// Runs the statement with others; `None` where it has to be run alone, be it that this was tried.
    pub(crate) async fn run(
        &self,
        statement: &BoundStatement,
        limits: RunLimits,
        permit: &Permit,
        sink: &mut dyn RowSink,
        clock: &mut Clock,
    ) -> Option<Result<RunOutcome, RunError>> {
        let cost = self.batchable_cost(statement, limits)?;
        sink.sent();
        let sent = Instant::now();
        let (reply, answered) = oneshot::channel();
        self.add(PendingRun { since: sent, statement: statement.clone(), cost, permit: permit.clone(), reply });
        let Ok(answered) = answered.await else {
            clock.queue += sent.elapsed();
            return None;
        };
        Some(match answered {
            Ok(answered) => {
                clock.queue += answered.sent.saturating_duration_since(sent);
                sink.timed(clock.timing());
                let began = Instant::now();
                let outcome = answered.replay(limits, sink).await;
                clock.encode += began.elapsed();
                outcome
            }
            Err(error) => Err(error),
        })
    }

    /// What the statement costs, where it can be sent with others.
    fn batchable_cost(&self, statement: &BoundStatement, limits: RunLimits) -> Option<f64> {
        // One whose sink makes it wait has a transaction of its own; one with less time would be stopped too late.
        let is_plain = limits.write_timeout.is_zero() && limits.time > BATCH_TIMEOUT;
        // One that has not stopped lately would keep others from their answers.
        let is_suspect = self.0.pool.quarantine().suspects(statement.text());
        if !is_plain || is_suspect || !self.0.batching_safe.load(Ordering::Relaxed) {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate is not that precise")]
        let most = MAX_BATCHED_COST.min(limits.cost as f64);
        self.0.estimates.batchable_cost(statement.text()).filter(|cost| *cost <= most)
    }

    fn add(&self, run: PendingRun) {
        let thread = thread::current().id();
        let mut threads = self.threads();
        let queue = threads.entry(thread).or_default();
        queue.waiting.push_back(run);
        if !mem::replace(&mut queue.has_worker, true) {
            drop(threads);
            // It begins when all that this thread has to do now is done, so that others may have come.
            tokio::spawn(BatchWorker::new(self.clone(), thread).run());
        }
    }

    fn threads(&self) -> MutexGuard<'_, HashMap<ThreadId, ThreadQueue, RandomState>> {
        self.0.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
