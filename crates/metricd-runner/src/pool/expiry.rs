//! Closes connections that have expired: a backend keeps its caches for as long as its session lives.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, MutexGuard, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::sleep;

use super::{Connection, PoolInner, PoolState, RunnerConfig};

/// The lifetime of a connection is shortened by up to this fraction, so that not all of them are reopened at once.
const JITTER: u32 = 10;

/// The interval at which idle connections are checked; shorter if they expire sooner.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// A connection that is not in use.
pub(super) struct IdleConnection {
    pub(super) connection: Connection,
    pub(super) since: Instant,
}

/// The lifetimes of connections.
pub(super) struct Expiry {
    max_lifetime: Duration,
    idle_timeout: Duration,
    hasher: RandomState,
}

impl Expiry {
    pub(super) fn new(config: &RunnerConfig) -> Self {
        let RunnerConfig { max_lifetime, idle_timeout, .. } = *config;
        Self { max_lifetime, idle_timeout, hasher: RandomState::default() }
    }

    /// Whether to close the connection instead of using it again.
    pub(super) fn is_expired(&self, connection: &Connection) -> bool {
        let spread = self.max_lifetime / JITTER;
        // A fraction that differs between connections, and is constant for each.
        let share = u32::try_from(self.hasher.hash_one(connection.pid()) % 1_000).unwrap_or_default();
        connection.is_retired()
            || connection.opened().elapsed() >= self.max_lifetime.saturating_sub(spread / 1_000 * share)
    }

    fn sweep_interval(&self) -> Duration {
        SWEEP_INTERVAL.min(self.idle_timeout / 2).min(self.max_lifetime / 2).max(Duration::from_millis(10))
    }

    fn must_close(&self, idle: &IdleConnection) -> bool {
        idle.since.elapsed() >= self.idle_timeout || self.is_expired(&idle.connection)
    }
}

impl PoolInner {
    /// Starts a task that closes expired idle connections, unless one exists.
    pub(super) fn ensure_sweeper(self: &Arc<Self>, mut state: MutexGuard<'_, PoolState>) {
        if state.has_sweeper {
            return;
        }
        // Without a runtime the task is started later.
        let Ok(runtime) = Handle::try_current() else { return };
        state.has_sweeper = true;
        drop(state);
        let sweep = IdleSweep { pool: Arc::downgrade(self), has_ended: false };
        runtime.spawn(sweep.run(self.expiry.sweep_interval()));
    }
}

/// The task that closes expired idle connections. It ends with the last of them.
struct IdleSweep {
    pool: Weak<PoolInner>,
    has_ended: bool,
}

impl IdleSweep {
    async fn run(mut self, interval: Duration) {
        while !self.has_ended {
            sleep(interval).await;
            let Some(pool) = self.pool.upgrade() else { return };
            let mut state = pool.state();
            let is_expired = |idle: &IdleConnection| pool.expiry.must_close(idle);
            let (over, left): (Vec<_>, Vec<_>) = std::mem::take(&mut state.idle).into_iter().partition(is_expired);
            state.idle = left;
            state.open -= over.len();
            self.has_ended = state.idle.is_empty();
            state.has_sweeper = !self.has_ended;
            drop(state);
            // Dropping a connection sends Terminate.
            drop(over);
        }
    }
}

impl Drop for IdleSweep {
    fn drop(&mut self) {
        // Its runtime has ended: another one may start a new sweep.
        if !self.has_ended
            && let Some(pool) = self.pool.upgrade()
        {
            pool.state().has_sweeper = false;
        }
    }
}
