//! Sends the statements that wait in a thread's queue.

use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Instant;

use metricd_execution::RunError;
use tokio::time::timeout;

use super::batch::StatementBatch;
use super::{BATCH_TIMEOUT, PendingRun, StatementBatcher, ThreadQueue};
use crate::pool::AcquiredConnection;

/// The maximum total cost of a batch, in the planner's unit: about a millisecond.
const MAX_BATCH_COST: f64 = 4_000.0;

/// The maximum number of statements in a batch.
const MAX_BATCH_STATEMENTS: usize = 32;

/// Takes runs from the queue of a thread until it is empty.
pub(super) struct BatchWorker {
    batcher: StatementBatcher,
    thread: ThreadId,
    has_ended: bool,
}

impl BatchWorker {
    pub(super) fn new(batcher: StatementBatcher, thread: ThreadId) -> Self {
        Self { batcher, thread, has_ended: false }
    }

    /// Sends batches until the queue is empty or batching has failed.
    pub(super) async fn run(mut self) {
        let batcher = self.batcher.clone();
        let pool = &batcher.0.pool;
        while let Some(deadline) = self.deadline() {
            let mut acquired = match pool.acquire_until(deadline).await {
                Ok(slot) => AcquiredConnection::new(slot, Vec::new()),
                // Every other run still has time left to wait, unless the error was not about time.
                Err(error) if self.reject_expired(&error) => continue,
                Err(_) => return,
            };
            batcher.observe(acquired.connection());
            if !acquired.connection().batching_safe() {
                return;
            }
            while let Some(runs) = self.next_batch() {
                acquired.set_running_of_callers(
                    runs.iter().map(|run| (Arc::clone(run.statement.origin()), run.permit.clone())),
                );
                let mut batch = StatementBatch::new(batcher.0.estimates.clone(), runs);
                match timeout(BATCH_TIMEOUT, batch.execute(acquired.connection())).await {
                    // A connection that others wait for is passed on.
                    Ok(Ok(())) if !pool.has_waiters() => acquired.set_running([]),
                    Ok(_) => break,
                    Err(_too_long) => {
                        // The runs in the queue must not wait for a second batch like this.
                        self.release_all();
                        // The runs of the batch continue alone once it has stopped, so that no statement runs twice
                        // at a time.
                        tokio::spawn(async move {
                            acquired.stop().await;
                            drop(batch);
                        });
                        break;
                    }
                }
            }
        }
    }

    /// How long the oldest run may still wait for a connection. `None` ends the worker: the queue is empty.
    fn deadline(&mut self) -> Option<Instant> {
        let mut threads = self.batcher.threads();
        let ThreadQueue { waiting, has_worker } = threads.get_mut(&self.thread)?;
        let deadline = waiting.front().map(|first| first.since + self.batcher.0.pool.acquire_timeout());
        if deadline.is_none() {
            self.has_ended = true;
            *has_worker = false;
        }
        deadline
    }

    /// Takes the runs of the next batch from the queue.
    fn next_batch(&self) -> Option<Vec<PendingRun>> {
        let mut threads = self.batcher.threads();
        let ThreadQueue { waiting, .. } = threads.get_mut(&self.thread)?;
        let mut cost = 0.0;
        let fits = |run: &&PendingRun| {
            cost += run.cost;
            cost <= MAX_BATCH_COST
        };
        // A single statement always fits.
        let count = waiting.iter().take(MAX_BATCH_STATEMENTS).take_while(fits).count().max(1).min(waiting.len());
        (count > 0).then(|| waiting.drain(..count).collect())
    }

    /// Sends the error to the runs that have waited for the full acquire timeout. Returns whether there were any.
    fn reject_expired(&self, error: &RunError) -> bool {
        let acquire_timeout = self.batcher.0.pool.acquire_timeout();
        let mut has_rejected = false;
        if let Some(ThreadQueue { waiting, .. }) = self.batcher.threads().get_mut(&self.thread) {
            while waiting.front().is_some_and(|run| run.since.elapsed() >= acquire_timeout)
                && let Some(run) = waiting.pop_front()
            {
                // The receiver may be gone.
                let _ = run.reply.send(Err(error.clone()));
                has_rejected = true;
            }
        }
        has_rejected
    }

    /// Makes all runs in the queue continue alone.
    fn release_all(&self) {
        if let Some(ThreadQueue { waiting, .. }) = self.batcher.threads().get_mut(&self.thread) {
            waiting.clear();
        }
    }
}

impl Drop for BatchWorker {
    fn drop(&mut self) {
        if !self.has_ended
            && let Some(queue) = self.batcher.threads().get_mut(&self.thread)
        {
            // Runs that still wait continue alone.
            *queue = ThreadQueue::default();
        }
    }
}
