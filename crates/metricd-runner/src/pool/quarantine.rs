//! Statements that PostgreSQL does not stop.
//!
//! Some functions of PostgreSQL compute without checking for interrupts: no cancel request, timeout or SIGTERM ends
//! them. Such a statement is refused while it runs, and not batched for a while afterwards.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metricd_execution::RunError;
use moka::sync::Cache;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How long a statement is not batched after its quarantine.
const SUSPECT_LIFETIME: Duration = Duration::from_secs(3_600);

/// The maximum number of such statements.
const MAX_SUSPECTS: u64 = 10_000;

/// The statements, by their text, that still run although they were cancelled.
#[derive(Clone)]
pub(crate) struct Quarantine(Arc<QuarantineInner>);

struct QuarantineInner {
    state: Mutex<QuarantineState>,
    released: Notify,
    suspects: Cache<Arc<str>, ()>,
}

#[derive(Default)]
struct QuarantineState {
    /// The number of connections on which each of them runs.
    statements: HashMap<Arc<str>, usize>,
    connections: usize,
}

/// A connection whose statement does not stop. Dropping this releases its statements.
#[derive(Debug)]
pub(crate) struct Quarantined {
    quarantine: Quarantine,
    statements: Vec<Arc<str>>,
}

impl Default for Quarantine {
    fn default() -> Self {
        let suspects = Cache::builder().max_capacity(MAX_SUSPECTS).time_to_live(SUSPECT_LIFETIME);
        let suspects = suspects.build();
        Self(Arc::new(QuarantineInner { state: Mutex::default(), released: Notify::new(), suspects }))
    }
}

impl fmt::Debug for Quarantine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Quarantine").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

impl Quarantine {
    /// Refuses a statement that is in quarantine.
    pub(crate) fn check(&self, statement: &str) -> Result<(), RunError> {
        if self.holds(statement) { Err(RunError::Quarantined) } else { Ok(()) }
    }

    /// Whether the statement was recently in quarantine: it should run alone.
    pub(crate) fn suspects(&self, statement: &str) -> bool {
        self.0.suspects.contains_key(statement)
    }

    /// The number of connections that run such statements.
    pub(crate) fn connections(&self) -> usize {
        self.state().connections
    }

    /// Quarantines the statements, any of which may be running on a connection.
    pub(crate) fn hold(&self, statements: Vec<Arc<str>>) -> Quarantined {
        let mut state = self.state();
        state.connections += 1;
        for statement in &statements {
            *state.statements.entry(Arc::clone(statement)).or_default() += 1;
            self.0.suspects.insert(Arc::clone(statement), ());
        }
        drop(state);
        Quarantined { quarantine: self.clone(), statements }
    }

    /// Waits until the statement has ended on every connection. Returns whether it has.
    pub(crate) async fn wait_until_released(&self, statement: &str, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let released = self.0.released.notified();
            if !self.holds(statement) {
                return true;
            }
            if timeout_at(deadline, released).await.is_err() {
                return false;
            }
        }
    }

    fn holds(&self, statement: &str) -> bool {
        self.state().statements.contains_key(statement)
    }

    fn state(&self) -> MutexGuard<'_, QuarantineState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Quarantined {
    fn drop(&mut self) {
        let mut state = self.quarantine.state();
        state.connections -= 1;
        for statement in &self.statements {
            // Its lifetime counts from the end of the quarantine.
            self.quarantine.0.suspects.insert(Arc::clone(statement), ());
            if let Some(count) = state.statements.get_mut(statement) {
                *count -= 1;
                if *count == 0 {
                    state.statements.remove(statement);
                }
            }
        }
        drop(state);
        self.quarantine.0.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_statement_is_refused_until_it_has_ended_on_every_connection() {
        let quarantine = Quarantine::default();
        let held = [quarantine.hold(vec!["a".into(), "b".into()]), quarantine.hold(vec!["a".into()])];
        assert_eq!(quarantine.connections(), 2);
        assert!(matches!(quarantine.check("a"), Err(RunError::Quarantined)));
        assert!(!quarantine.wait_until_released("b", Duration::from_secs(1)).await);
        let [first, second] = held;
        let waiting = tokio::spawn({
            let quarantine = quarantine.clone();
            async move { quarantine.wait_until_released("a", Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(quarantine.check("b").is_ok() && quarantine.check("a").is_err());
        drop(second);
        assert!(waiting.await.unwrap());
        assert!(quarantine.check("a").is_ok() && quarantine.suspects("a") && !quarantine.suspects("c"));
        assert_eq!(quarantine.connections(), 0);
    }

    #[test]
    fn a_statement_is_suspect_from_the_end_of_a_quarantine_that_lasted_longer() {
        let quarantine = Quarantine::default();
        let held = quarantine.hold(vec!["a".into()]);
        // As after the lifetime: the cache has a clock of its own, which a test cannot advance.
        quarantine.0.suspects.invalidate("a");
        drop(held);
        assert!(quarantine.suspects("a"));
    }
}
