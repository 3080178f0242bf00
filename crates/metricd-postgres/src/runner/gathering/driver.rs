//! Who sends what waits in a thread.

use std::mem;
use std::thread::ThreadId;

use metricd_execution::RunError;
use tokio::time::timeout;

use super::question::ask;
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
        loop {
            let mut lease = match pool.get().await {
                Ok(place) => Lease::new(place),
                Err(error) => return self.refuse(&error),
            };
            gathering.note(lease.connection());
            if !lease.connection().is_harmless() {
                return;
            }
            loop {
                let Some(runs) = self.next() else { return };
                let asked = timeout(PATIENCE, ask(lease.connection(), &gathering.0.estimates, runs)).await;
                // What is still asked is stopped as the lease is dropped; one that others wait for is passed on to them.
                if !matches!(asked, Ok(Ok(()))) || pool.is_waited_for() {
                    break;
                }
            }
        }
    }

    /// What is sent next. Where nothing waits, the driver has ended.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut threads = self.gathering.threads();
        let Gathered { waiting, is_driven } = threads.get_mut(&self.home)?;
        let mut cost = 0.0;
        let fits = |run: &&Waiting| {
            cost += run.cost;
            cost <= MAX_COST
        };
        // A single one is never too much.
        let count = waiting.iter().take(MAX_STATEMENTS).take_while(fits).count().max(1).min(waiting.len());
        if count == 0 {
            self.has_ended = true;
            *is_driven = false;
            return None;
        }
        Some(waiting.drain(..count).collect())
    }

    /// Tells all who wait why they cannot be run.
    fn refuse(&self, error: &RunError) {
        let waiting = self.gathering.threads().get_mut(&self.home).map(|gathered| mem::take(&mut gathered.waiting));
        for run in waiting.into_iter().flatten() {
            // Who has gone need not be told.
            let _ = run.told.send(Err(error.clone()));
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.has_ended
            && let Some(gathered) = self.gathering.threads().get_mut(&self.home)
        {
            // Who still waits goes on alone.
            drop(mem::take(gathered));
        }
    }
}
