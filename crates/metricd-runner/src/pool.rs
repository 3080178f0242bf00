//! The connection pool. A thread gets the connections that it opened, if it can.
//!
//! The runtime of the thread that opened a connection polls its socket. The web server has one runtime for each
//! thread, and a request on the connection of another thread is woken by that thread for each piece of the response.
//! So a thread takes its own idle connections first, then a new one if there is room, then one of another thread.

mod acquired_connection;
mod expiry;
pub(crate) mod locks;
pub(crate) mod quarantine;
mod slot;
pub(crate) mod stopping;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use metricd_connection::Connector;
use metricd_domain::TimeZone;
use metricd_execution::{Permit, RunError};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout_at;

pub(crate) use self::acquired_connection::AcquiredConnection;
use self::expiry::{Expiry, IdleConnection};
use self::locks::Locks;
use self::quarantine::Quarantine;
pub(crate) use self::slot::PoolSlot;
use crate::config::RunnerConfig;
use crate::connection::{Connection, max_plan_age};
use crate::error::{connect_error, is_full};
use crate::session::SessionError;

/// How long a run waits while connections are passed to runs of the threads that own them.
const AFFINITY_WINDOW: Duration = Duration::from_millis(20);

/// How long no further connection is opened after PostgreSQL has refused one because of a connection limit.
const FULL_BACKOFF: Duration = Duration::from_secs(1);

/// The open connections, and the runs that wait for one.
#[derive(Clone)]
pub(crate) struct Pool(Arc<PoolInner>);

struct PoolInner {
    session: Connector,
    config: RunnerConfig,
    expiry: Expiry,
    quarantine: Quarantine,
    locks: Locks,
    /// The role that may see what the sessions of the reader run, if it is not the reader.
    observer: OnceLock<Connector>,
    /// The connections that streams may use.
    streams: Arc<Semaphore>,
    state: Mutex<PoolState>,
}

#[derive(Default)]
struct PoolState {
    /// The number of connections that are open or being opened.
    open: usize,
    idle: Vec<IdleConnection>,
    /// Whether a task closes expired idle connections.
    has_sweeper: bool,
    waiting: VecDeque<Waiter>,
    /// When PostgreSQL last refused a connection because of a limit of its own, of the database or of the role.
    full_since: Option<Instant>,
}

struct Waiter {
    thread: ThreadId,
    since: Instant,
    slot: oneshot::Sender<PoolSlot>,
}

impl PoolInner {
    async fn open_connection(&self) -> Result<Connection, SessionError> {
        Connection::open(&self.session, &self.config.schemas, &self.config.time_zone).await
    }
}

impl Pool {
    pub(crate) fn new(session: Connector, config: RunnerConfig) -> Self {
        let streams = Arc::new(Semaphore::new(stream_connections(config.max_connections)));
        let (expiry, quarantine) = (Expiry::new(&config), Quarantine::default());
        let locks = Locks::new(config.max_connections);
        Self(Arc::new(PoolInner {
            session,
            config,
            expiry,
            quarantine,
            locks,
            observer: OnceLock::new(),
            streams,
            state: Mutex::default(),
        }))
    }

    /// The statements that do not stop.
    pub(crate) fn quarantine(&self) -> &Quarantine {
        &self.0.quarantine
    }

    /// The statements that wait for locks.
    pub(crate) fn locks(&self) -> &Locks {
        &self.0.locks
    }

    /// Asks this role what a session runs: in a hardened database no reader may see that.
    pub(crate) fn observe_as(&self, owner: Connector) {
        self.0.observer.get_or_init(|| owner);
    }

    /// Waits until a stream may use a connection. It may for as long as it holds the permit.
    pub(crate) async fn stream_permit(&self, deadline: Instant) -> Result<Permit, RunError> {
        let permit = timeout_at(deadline.into(), Arc::clone(&self.0.streams).acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok);
        permit.map(Permit::new).ok_or(RunError::TooManyStreams { waited: self.0.config.acquire_timeout })
    }

    /// The time zone in which sessions begin.
    pub(crate) fn time_zone(&self) -> &TimeZone {
        &self.0.config.time_zone
    }

    pub(crate) fn max_connections(&self) -> usize {
        self.0.config.max_connections
    }

    /// An idle connection or a new one, if nothing waits for one and none has to be waited for.
    pub(crate) async fn try_acquire(&self) -> Option<PoolSlot> {
        let mut slot = self.0.try_take()?;
        if slot.connection.as_mut().is_none_or(|connection| connection.session.is_closed()) {
            match self.0.open_connection().await {
                Ok(connection) => slot.connection = Some(connection),
                Err(error) => {
                    if is_full(&error) {
                        self.0.reject(slot);
                    }
                    return None;
                }
            }
        }
        Some(slot)
    }

    /// Whether any connection is open or being opened.
    pub(crate) fn is_open(&self) -> bool {
        self.0.state().open > 0
    }

    /// Whether a run waits for a connection.
    pub(crate) fn has_waiters(&self) -> bool {
        self.0.state().waiting.iter().any(|waiting| !waiting.slot.is_closed())
    }

    /// How old the plans of its connections may be, if that is bounded.
    pub(crate) fn max_plan_age(&self) -> Option<Duration> {
        max_plan_age(&self.0.config.schemas)
    }

    /// How long a run waits for a connection.
    pub(crate) fn acquire_timeout(&self) -> Duration {
        self.0.config.acquire_timeout
    }

    /// An idle connection, a new one, or the next one that is released before the deadline.
    pub(crate) async fn acquire_until(&self, deadline: Instant) -> Result<PoolSlot, RunError> {
        let waited = self.0.config.acquire_timeout;
        let deadline = tokio::time::Instant::from_std(deadline);
        loop {
            let mut slot = match self.0.take() {
                Ok(slot) => slot,
                Err(slot) => {
                    let slot = timeout_at(deadline, slot).await.ok().and_then(Result::ok);
                    slot.ok_or_else(|| self.0.exhausted())?
                }
            };
            if slot.connection.as_mut().is_some_and(|connection| !connection.session.is_closed()) {
                return Ok(slot);
            }
            match self.0.open_connection().await {
                Ok(connection) => {
                    slot.connection = Some(connection);
                    return Ok(slot);
                }
                // Wait for an open one instead.
                Err(error) if is_full(&error) && self.0.reject(slot) => {}
                Err(error) => return Err(connect_error(error, waited)),
            }
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state();
        let mut shown = formatter.debug_struct("Pool");
        shown.field("open", &state.open).field("idle", &state.idle.len()).field("waiting", &state.waiting.len());
        shown.finish_non_exhaustive()
    }
}

impl PoolInner {
    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error of a run that got no connection in time.
    fn exhausted(&self) -> RunError {
        let open = self.state().open;
        if open > 0 && self.quarantine.connections() >= open {
            return RunError::ConnectionsStuck;
        }
        RunError::NoConnection { waited: self.config.acquire_timeout }
    }

    /// A slot, or a receiver for the next one that is released.
    fn take(self: &Arc<Self>) -> Result<PoolSlot, oneshot::Receiver<PoolSlot>> {
        let thread = thread::current().id();
        let mut state = self.state();
        let own = state.idle.iter().rposition(|idle| idle.connection.owner_thread() == thread);
        let connection = if let Some(index) = own {
            Some(state.idle.swap_remove(index).connection)
        } else if state.has_room(self.config.max_connections) {
            state.open += 1;
            None
        } else if let Some(idle) = state.idle.pop() {
            Some(idle.connection)
        } else {
            state.waiting.retain(|waiting| !waiting.slot.is_closed());
            let (slot, receiver) = oneshot::channel();
            state.waiting.push_back(Waiter { thread, since: Instant::now(), slot });
            return Err(receiver);
        };
        Ok(PoolSlot { connection, is_rejected: false, pool: Arc::clone(self) })
    }

    /// A slot, unless a run waits for one.
    fn try_take(self: &Arc<Self>) -> Option<PoolSlot> {
        let mut state = self.state();
        state.waiting.retain(|waiting| !waiting.slot.is_closed());
        if !state.waiting.is_empty() {
            return None;
        }
        let thread = thread::current().id();
        let own = state.idle.iter().rposition(|idle| idle.connection.owner_thread() == thread);
        let connection = match own {
            Some(index) => Some(state.idle.swap_remove(index).connection),
            None if state.has_room(self.config.max_connections) => {
                state.open += 1;
                None
            }
            None => Some(state.idle.pop()?.connection),
        };
        Some(PoolSlot { connection, is_rejected: false, pool: Arc::clone(self) })
    }

    /// Records that PostgreSQL accepts no further connection. Returns whether other connections exist to wait for.
    fn reject(&self, mut slot: PoolSlot) -> bool {
        (slot.connection, slot.is_rejected) = (None, true);
        drop(slot);
        self.state().open > 0
    }

    /// Passes a slot to a waiter, or keeps its connection idle.
    fn return_slot(self: &Arc<Self>, connection: Option<Connection>, is_rejected: bool) {
        let mut state = self.state();
        if is_rejected {
            state.open -= 1;
            state.full_since = Some(Instant::now());
            if state.open == 0 {
                // No connection is left to wait for.
                state.waiting.clear();
            }
            return;
        }
        state.waiting.retain(|waiting| !waiting.slot.is_closed());
        let prefers_owner = state.waiting.front().is_some_and(|first| first.since.elapsed() < AFFINITY_WINDOW);
        let thread = connection.as_ref().map(Connection::owner_thread).filter(|_| prefers_owner);
        let own = thread.and_then(|thread| state.waiting.iter().position(|waiting| waiting.thread == thread));
        match state.waiting.remove(own.unwrap_or_default()) {
            Some(waiting) => {
                drop(state);
                // A waiter that has given up drops the slot, which passes it on.
                drop(waiting.slot.send(PoolSlot { connection, is_rejected: false, pool: Arc::clone(self) }));
            }
            None => match connection {
                Some(connection) => {
                    state.idle.push(IdleConnection { connection, since: Instant::now() });
                    self.ensure_sweeper(state);
                }
                None => state.open -= 1,
            },
        }
    }
}

/// How many of these connections streams may use: half, since a slow client may hold one for minutes. Of a single
/// connection nothing can be reserved.
fn stream_connections(max_connections: usize) -> usize {
    (max_connections / 2).max(1)
}

impl PoolState {
    /// Whether a further connection may be opened.
    fn has_room(&self, max_connections: usize) -> bool {
        let is_full = self.full_since.is_some_and(|since| since.elapsed() < FULL_BACKOFF);
        self.open < if is_full { 1 } else { max_connections }
    }
}
