//! Statements that wait for a lock.
//!
//! `ALTER TABLE`, `TRUNCATE`, `VACUUM FULL` and the like wait for the statements that read the table, such as a slow stream, and
//! every later statement that reads it waits behind them. Each that waits holds a connection. So it waits for little time, and
//! statements that have waited in vain lately share a quarter of the connections while they try again. So do those that are
//! only held to their contracts.

use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use metricd_execution::{Permit, RunError, RunOutcome};
use moka::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a statement waits for a lock. Shorter than a run waits for a connection, so that one which is taken by such a
/// statement is free in time for others.
const LOCK_TIMEOUT: Duration = Duration::from_millis(LOCK_TIMEOUT_MS);
const LOCK_TIMEOUT_MS: u64 = 500;

/// The same, as a setting of PostgreSQL's.
pub(crate) const LOCK_TIMEOUT_SETTING: &str = "500";

/// How long a statement that has waited in vain shares connections with others of that kind.
const SUSPECT_LIFETIME: Duration = Duration::from_secs(5);

/// Of how many statements that is remembered.
const MAX_SUSPECTS: u64 = 10_000;

/// The statements that have lately waited for a lock in vain, and the connections that they may have.
#[derive(Debug, Clone)]
pub(crate) struct Locks {
    suspects: Cache<Arc<str>, (), RandomState>,
    connections: Arc<Semaphore>,
}

impl Locks {
    pub(crate) fn new(max_connections: usize) -> Self {
        let suspects = Cache::builder().max_capacity(MAX_SUSPECTS).time_to_live(SUSPECT_LIFETIME);
        let suspects = suspects.build_with_hasher(RandomState::default());
        Self { suspects, connections: Arc::new(Semaphore::new((max_connections / 4).max(1))) }
    }

    /// Whether the statement has waited for a lock in vain lately.
    pub(crate) fn suspects(&self, statement: &str) -> bool {
        self.suspects.contains_key(statement)
    }

    /// What such a statement holds while it runs; waited for as long as for the lock.
    pub(crate) async fn permit(&self) -> Result<Permit, RunError> {
        let permit = timeout(LOCK_TIMEOUT, Arc::clone(&self.connections).acquire_owned()).await;
        permit.ok().and_then(Result::ok).map(Permit::new).ok_or(RunError::TableLocked)
    }

    /// The same, if it is free.
    pub(crate) fn free_permit(&self) -> Result<Permit, RunError> {
        let permit = Arc::clone(&self.connections).try_acquire_owned();
        permit.map(Permit::new).map_err(|_| RunError::TableLocked)
    }

    /// Takes note of a run that has waited in vain.
    pub(crate) fn note(&self, outcome: &Result<RunOutcome, RunError>, statement: &str) {
        if matches!(outcome, Err(RunError::TableLocked)) {
            self.suspects.insert(statement.into(), ());
        }
    }

    /// Takes note that the statement need not wait any more.
    pub(crate) fn forget(&self, statement: &str) {
        self.suspects.invalidate(statement);
    }
}
