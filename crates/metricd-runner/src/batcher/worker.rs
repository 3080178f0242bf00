//! Who sends what waits in a thread.

use std::thread::ThreadId;
use std::time::Instant;

use metricd_execution::RunError;
use tokio::time::timeout;

use super::batch::StatementBatch;
use super::{BATCH_TIMEOUT, PendingRun, StatementBatcher, ThreadQueue};
use crate::pool::AcquiredConnection;

/// What the statements of a question cost at most together, in the planner's unit: about a millisecond.
const MAX_BATCH_COST: f64 = 4_000.0;

/// How many statements a question has at most.
const MAX_BATCH_STATEMENTS: usize = 32;

/// Takes from those that wait in a thread for as long as there are any.
pub(super) struct BatchWorker {
    batcher: StatementBatcher,
    thread: ThreadId,
    has_ended: bool,
}

impl BatchWorker {
    pub(super) fn new(batcher: StatementBatcher, thread: ThreadId) -> Self {
        Self { batcher, thread, has_ended: false }
    }

    /// Sends all that waits.
    pub(super) async fn run(mut self) {
        let batcher = self.batcher.clone();
        let pool = &batcher.0.pool;
        while let Some(deadline) = self.deadline() {
            let mut acquired = match pool.acquire_until(deadline).await {
                Ok(slot) => AcquiredConnection::new(slot, Vec::new()),
                // Each of the others has its own time still, unless that is not what it is about.
                Err(error) if self.reject_expired(&error) => continue,
                Err(_) => return,
            };
            batcher.observe(acquired.connection());
            if !acquired.connection().batching_safe() {
                return;
            }
            while let Some(runs) = self.next_batch() {
                acquired
                    .set_running_of_callers(runs.iter().map(|run| (run.statement.text().into(), run.permit.clone())));
                let mut batch = StatementBatch::new(batcher.0.estimates.clone(), runs);
                match timeout(BATCH_TIMEOUT, batch.execute(acquired.connection())).await {
                    // One that others wait for is passed on to them.
                    Ok(Ok(())) if !pool.has_waiters() => acquired.set_running([]),
                    Ok(_) => break,
                    Err(_too_long) => {
                        // Nobody waits for such a thing twice.
                        self.release_all();
                        // Its runs go on alone once it has stopped, so that none of them is run twice at once.
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

    /// Until when those wait for a connection that wait for the longest. Where nothing waits, the driver has ended.
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

    /// What is sent next.
    fn next_batch(&self) -> Option<Vec<PendingRun>> {
        let mut threads = self.batcher.threads();
        let ThreadQueue { waiting, .. } = threads.get_mut(&self.thread)?;
        let mut cost = 0.0;
        let fits = |run: &&PendingRun| {
            cost += run.cost;
            cost <= MAX_BATCH_COST
        };
        // A single one is never too much.
        let count = waiting.iter().take(MAX_BATCH_STATEMENTS).take_while(fits).count().max(1).min(waiting.len());
        (count > 0).then(|| waiting.drain(..count).collect())
    }

    /// Tells those that have waited for as long as they may why they cannot be run, and says whether there are any.
    fn reject_expired(&self, error: &RunError) -> bool {
        let acquire_timeout = self.batcher.0.pool.acquire_timeout();
        let mut has_rejected = false;
        if let Some(ThreadQueue { waiting, .. }) = self.batcher.threads().get_mut(&self.thread) {
            while waiting.front().is_some_and(|run| run.since.elapsed() >= acquire_timeout)
                && let Some(run) = waiting.pop_front()
            {
                // Who has gone need not be told.
                let _ = run.reply.send(Err(error.clone()));
                has_rejected = true;
            }
        }
        has_rejected
    }

    /// Has all that waits go on alone.
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
            // Who still waits goes on alone.
            *queue = ThreadQueue::default();
        }
    }
}
