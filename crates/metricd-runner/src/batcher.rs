//! Batches cheap statements of several runs.
//!
//! Most of the cost of a cheap statement is that PostgreSQL's process and this one wake each other. So each thread
//! has at most one batch in flight; statements that arrive meanwhile form the next batch. If no batch is in flight,
//! nothing waits.
//!
//! PostgreSQL buffers the responses of a batch until its last statement has run, so the slow statement cannot be told
//! from the others. A batch without a response within [`BATCH_TIMEOUT`] is therefore cancelled, and its runs continue
//! alone, as they do after any other failure. Statements only read, so running one twice is safe.

mod batch;
mod worker;

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use metricd_execution::{BoundStatement, Permit, RowSink, RunError, RunLimits, RunOutcome};
use tokio::sync::oneshot;

use self::batch::BatchedResponse;
use self::worker::BatchWorker;
use crate::connection::Connection;
use crate::cost::Estimates;
use crate::pool::Pool;
use crate::timing::Clock;

/// The maximum estimated cost of a statement in a batch, in the planner's unit: some tenths of a millisecond.
const MAX_BATCHED_COST: f64 = 1_000.0;

/// How long a batch may take, preparing its statements included.
const BATCH_TIMEOUT: Duration = Duration::from_millis(20);

/// Runs statements in batches, one queue for each thread.
#[derive(Clone)]
pub(crate) struct StatementBatcher(Arc<BatcherInner>);

struct BatcherInner {
    pool: Pool,
    estimates: Estimates,
    /// Whether the connection that was used last is batching-safe.
    batching_safe: AtomicBool,
    threads: Mutex<HashMap<ThreadId, ThreadQueue>>,
}

/// The runs of one thread that wait for a batch.
#[derive(Default)]
struct ThreadQueue {
    waiting: VecDeque<PendingRun>,
    /// Whether a worker exists. It takes from the queue until that is empty.
    has_worker: bool,
}

/// A run that waits for a batch.
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

    /// Records whether the connection is batching-safe.
    pub(crate) fn observe(&self, connection: &Connection) {
        self.0.batching_safe.store(connection.batching_safe(), Ordering::Relaxed);
    }

    /// Runs the statement in a batch. `None` means that it has to run alone; a batch may have been tried.
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

    /// The estimated cost, if the statement can be batched.
    fn batchable_cost(&self, statement: &BoundStatement, limits: RunLimits) -> Option<f64> {
        // A sink with back-pressure needs a transaction of its own; with less time a run would be cancelled too late.
        // A time zone is that of a transaction, and a batch is one.
        let is_plain = limits.write_timeout.is_zero() && limits.time > BATCH_TIMEOUT && statement.time_zone().is_none();
        // A statement that recently did not stop would delay the others.
        let is_suspect = self.0.pool.quarantine().suspects(statement.origin());
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
            // The worker starts when this thread has finished its current tasks, so more runs may have arrived.
            tokio::spawn(BatchWorker::new(self.clone(), thread).run());
        }
    }

    fn threads(&self) -> MutexGuard<'_, HashMap<ThreadId, ThreadQueue>> {
        self.0.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
