//! Limits the connections of statements that wait for a lock.
//!
//! `ALTER TABLE`, `TRUNCATE`, `VACUUM FULL` and similar commands wait for statements that read the table, such as a
//! slow stream, and every later statement on that table queues behind them, with its connection. So the lock timeout
//! is short, and statements that have exceeded it recently share a quarter of the connections for their next
//! attempts. So do checks of contracts.

use std::sync::Arc;
use std::time::Duration;

use metricd_execution::{Permit, RunError, RunOutcome};
use moka::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a statement waits for a lock. It is shorter than the acquire timeout, so that a connection taken by such
/// a statement is released in time for others.
const LOCK_TIMEOUT: Duration = Duration::from_millis(LOCK_TIMEOUT_MS);
const LOCK_TIMEOUT_MS: u64 = 500;

/// The same, in the syntax of a setting.
pub(crate) const LOCK_TIMEOUT_SETTING: &str = "500";

/// How long a statement counts as waiting for a lock after it has exceeded the timeout.
const SUSPECT_LIFETIME: Duration = Duration::from_secs(5);

/// The maximum number of such statements.
const MAX_SUSPECTS: u64 = 10_000;

/// The statements that recently exceeded the lock timeout, and the connections that they may use.
#[derive(Debug, Clone)]
pub(crate) struct Locks {
    suspects: Cache<Arc<str>, ()>,
    connections: Arc<Semaphore>,
}

impl Locks {
    pub(crate) fn new(max_connections: usize) -> Self {
        let suspects = Cache::builder().max_capacity(MAX_SUSPECTS).time_to_live(SUSPECT_LIFETIME);
        let suspects = suspects.build();
        Self { suspects, connections: Arc::new(Semaphore::new((max_connections / 4).max(1))) }
    }

    /// Whether the statement recently exceeded the lock timeout.
    pub(crate) fn suspects(&self, statement: &str) -> bool {
        self.suspects.contains_key(statement)
    }

    /// A permit for such a statement. Waits for it as long as for the lock.
    pub(crate) async fn permit(&self) -> Result<Permit, RunError> {
        let permit = timeout(LOCK_TIMEOUT, Arc::clone(&self.connections).acquire_owned()).await;
        permit.ok().and_then(Result::ok).map(Permit::new).ok_or(RunError::TableLocked)
    }

    /// The same without waiting.
    pub(crate) fn free_permit(&self) -> Result<Permit, RunError> {
        let permit = Arc::clone(&self.connections).try_acquire_owned();
        permit.map(Permit::new).map_err(|_| RunError::TableLocked)
    }

    /// Records a run that exceeded the lock timeout.
    pub(crate) fn note(&self, outcome: &Result<RunOutcome, RunError>, statement: &str) {
        if matches!(outcome, Err(RunError::TableLocked)) {
            self.suspects.insert(statement.into(), ());
        }
    }

    /// Records that the statement does not wait any more.
    pub(crate) fn forget(&self, statement: &str) {
        self.suspects.invalidate(statement);
    }
}
