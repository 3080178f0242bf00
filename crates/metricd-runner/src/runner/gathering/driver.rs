//! Who sends what waits in a thread.

use std::thread::ThreadId;
use std::time::Instant;

use metricd_execution::RunError;
use tokio::time::timeout;

use super::question::Question;
use super::{Gathered, Gathering, PATIENCE, Waiting};
use crate::runner::lease::Lease;

/// What the statements of a question cost at most together, in the planner's unit: about a millisecond.
const MAX_COST: f64 = 4_000.0;

/// How many statements a question has at most.
const MAX_STATEMENTS: usize = 32;

/// Takes from those that wait in a thread for as long as there are any.
pub(super) struct Driver {
    gathering: Gathering,
    home: ThreadId,
    has_ended: bool,
}

impl Driver {
    pub(super) fn new(gathering: Gathering, home: ThreadId) -> Self {
        Self { gathering, home, has_ended: false }
    }

    /// Sends all that waits.
    pub(super) async fn drive(mut self) {
        let gathering = self.gathering.clone();
        let pool = &gathering.0.pool;
        while let Some(deadline) = self.deadline() {
            let mut lease = match pool.get_until(deadline).await {
                Ok(place) => Lease::new(place, Vec::new()),
                // Each of the others has its own time still, unless that is not what it is about.
                Err(error) if self.refuse(&error) => continue,
                Err(_) => return,
            };
            gathering.note(lease.connection());
            if !lease.connection().is_inert() {
                return;
            }
            while let Some(runs) = self.next() {
                lease.expect_permitted(runs.iter().map(|run| (run.statement.text().into(), run.permit.clone())));
                let mut question = Question::new(gathering.0.estimates.clone(), runs);
                match timeout(PATIENCE, question.put(lease.connection())).await {
                    // One that others wait for is passed on to them.
                    Ok(Ok(())) if !pool.is_waited_for() => lease.expect([]),
                    Ok(_) => break,
                    Err(_too_long) => {
                        // Nobody waits for such a thing twice.
                        self.release();
                        // Its runs go on alone once it has stopped, so that none of them is run twice at once.
                        tokio::spawn(async move {
                            lease.stop().await;
                            drop(question);
                        });
                        break;
                    }
                }
            }
        }
    }

    /// Until when those wait for a connection that wait for the longest. Where nothing waits, the driver has ended.
    fn deadline(&mut self) -> Option<Instant> {
        let mut threads = self.gathering.threads();
        let Gathered { waiting, is_driven } = threads.get_mut(&self.home)?;
        let deadline = waiting.front().map(|first| first.since + self.gathering.0.pool.acquire_timeout());
        if deadline.is_none() {
            self.has_ended = true;
            *is_driven = false;
        }
        deadline
    }

    /// What is sent next.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut threads = self.gathering.threads();
        let Gathered { waiting, .. } = threads.get_mut(&self.home)?;
        let mut cost = 0.0;
        let fits = |run: &&Waiting| {
            cost += run.cost;
            cost <= MAX_COST
        };
        // A single one is never too much.
        let count = waiting.iter().take(MAX_STATEMENTS).take_while(fits).count().max(1).min(waiting.len());
        (count > 0).then(|| waiting.drain(..count).collect())
    }

    /// Tells those that have waited for as long as they may why they cannot be run, and says whether there are any.
    fn refuse(&self, error: &RunError) -> bool {
        let acquire_timeout = self.gathering.0.pool.acquire_timeout();
        let mut has_refused = false;
        if let Some(Gathered { waiting, .. }) = self.gathering.threads().get_mut(&self.home) {
            while waiting.front().is_some_and(|run| run.since.elapsed() >= acquire_timeout)
                && let Some(run) = waiting.pop_front()
            {
                // Who has gone need not be told.
                let _ = run.told.send(Err(error.clone()));
                has_refused = true;
            }
        }
        has_refused
    }

    /// Has all that waits go on alone.
    fn release(&self) {
        if let Some(Gathered { waiting, .. }) = self.gathering.threads().get_mut(&self.home) {
            waiting.clear();
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.has_ended
            && let Some(gathered) = self.gathering.threads().get_mut(&self.home)
        {
            // Who still waits goes on alone.
            *gathered = Gathered::default();
        }
    }
}
