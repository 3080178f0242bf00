//! When connections are closed: a session of PostgreSQL keeps what it has cached for as long as it lives.

use std::hash::BuildHasher;
use std::sync::{Arc, MutexGuard, Weak};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::{Connection, PoolInner, PoolState, RunnerConfig};

/// By which part of its lifetime a connection is closed earlier at most, so that not all of them are opened again at once.
const JITTER: u32 = 10;

/// How often it is looked for idle connections whose time is over; more often where they have less.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// A connection that nobody uses.
pub(super) struct IdleConnection {
    pub(super) connection: Connection,
    pub(super) since: Instant,
}

/// How long connections live.
pub(super) struct Expiry {
    max_lifetime: Duration,
    idle_timeout: Duration,
    hasher: RandomState,
}

impl Expiry {
    pub(super) fn new(config: RunnerConfig) -> Self {
        let RunnerConfig { max_lifetime, idle_timeout, .. } = config;
        Self { max_lifetime, idle_timeout, hasher: RandomState::default() }
    }

    /// Whether the connection is to be closed instead of being used again.
    pub(super) fn is_expired(&self, connection: &Connection) -> bool {
        let spread = self.max_lifetime / JITTER;
        // Another part of it for each connection, and for one always the same.
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
    /// Has a task close idle connections when their time is over, unless there is one already.
    pub(super) fn ensure_sweeper(self: &Arc<Self>, mut state: MutexGuard<'_, PoolState>) {
        if state.has_sweeper {
            return;
        }
        // Without a runtime, that has to wait for one.
        let Ok(runtime) = Handle::try_current() else { return };
        state.has_sweeper = true;
        drop(state);
        let sweep = IdleSweep { pool: Arc::downgrade(self), has_ended: false };
        runtime.spawn(sweep.run(self.expiry.sweep_interval()));
    }
}

/// The task that closes idle connections, for as long as there are any.
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
            // Each takes leave of PostgreSQL as it is dropped.
            drop(over);
        }
    }
}

impl Drop for IdleSweep {
    fn drop(&mut self) {
        // Its runtime has ended, and another one may sweep.
        if !self.has_ended
            && let Some(pool) = self.pool.upgrade()
        {
            pool.state().has_sweeper = false;
        }
    }
}
