//! The registry of a server's connections, which enforces their limits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};

use super::connection::Connection;
use super::socket::Socket;

/// The longest time between two sweeps.
const MAX_SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The limits of a server's connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The number of connections. One more closes the one without progress for the longest time.
    pub max_connections: usize,
    /// The number of connections of one address, likewise.
    pub max_connections_per_address: usize,
    /// The minimum rate, in bytes per second, at which a client must read a response.
    pub min_bytes_per_second: u64,
    /// The window over which the rate is measured.
    pub rate_window: Duration,
    /// The memory, in bytes, of all responses that clients have not read. One caller's may use half of it.
    pub max_unread_bytes: usize,
    /// How long a client may read nothing of its response once half of that memory, or half of the caller's share, is
    /// used.
    pub stall_timeout: Duration,
}

impl ConnectionLimits {
    fn max_unread_bytes_of_caller(&self) -> usize {
        self.max_unread_bytes / 2
    }
}

impl Default for ConnectionLimits {
    /// 10 000 connections, 512 from one address, 16 KiB/s over 20 s, 256 MiB, 2 s.
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_address: 512,
            min_bytes_per_second: 16 << 10,
            rate_window: Duration::from_secs(20),
            max_unread_bytes: 256 << 20,
            stall_timeout: Duration::from_secs(2),
        }
    }
}

/// The connections of a server.
#[derive(Debug)]
pub(crate) struct Registry {
    limits: ConnectionLimits,
    max_idle: Duration,
    clock: Instant,
    entries: Mutex<Vec<TrackedConnection>>,
    unread: Mutex<UnreadBytes>,
}

/// The bytes of unread responses: in total, and of each caller.
#[derive(Debug, Clone, Default)]
struct UnreadBytes {
    bytes: usize,
    by_caller: HashMap<u64, usize>,
}

/// Why a response cannot be buffered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseMemoryFull {
    /// The responses of all callers use the server's memory.
    Server,
    /// The caller's responses use the caller's share.
    Caller,
}

impl UnreadBytes {
    fn of(&self, caller: u64) -> usize {
        self.by_caller.get(&caller).copied().unwrap_or_default()
    }

    fn release(&mut self, caller: u64, size_bytes: usize) {
        self.bytes = self.bytes.saturating_sub(size_bytes);
        if let Some(unread) = self.by_caller.get_mut(&caller) {
            *unread = unread.saturating_sub(size_bytes);
            if *unread == 0 {
                self.by_caller.remove(&caller);
            }
        }
    }
}

/// A connection, and the start of its rate window.
#[derive(Debug)]
struct TrackedConnection {
    connection: Arc<Connection>,
    since: u64,
    written_bytes: u64,
}

impl Registry {
    /// An empty registry. A connection is closed when it has been idle for `max_idle`.
    pub(crate) fn new(limits: ConnectionLimits, max_idle: Duration) -> Arc<Self> {
        Arc::new(Self { limits, max_idle, clock: Instant::now(), entries: Mutex::default(), unread: Mutex::default() })
    }

    /// Registers a connection; `None` if there are too many and each of them makes progress.
    pub(crate) fn accept(self: &Arc<Self>, stream: TcpStream) -> Option<Socket> {
        let address = stream.peer_addr().ok().map(|address| address.ip().to_canonical());
        let connection = Arc::new(Connection::new(address, self.clock));
        let mut entries = self.entries();
        let of_address = |entry: &&TrackedConnection| entry.connection.address == address;
        if entries.iter().filter(of_address).count() >= self.limits.max_connections_per_address {
            close_most_stalled(entries.iter().filter(of_address))?;
        } else if entries.len() >= self.limits.max_connections {
            let address = busiest_address(&entries);
            let of_busiest = entries.iter().filter(|entry| entry.connection.address == address);
            close_most_stalled(of_busiest).or_else(|| close_most_stalled(entries.iter()))?;
        }
        entries.push(TrackedConnection {
            connection: Arc::clone(&connection),
            since: connection.now(),
            written_bytes: 0,
        });
        drop(entries);
        Some(Socket::new(stream, connection, Arc::clone(self)))
    }

    pub(super) fn remove(&self, connection: &Arc<Connection>) {
        let mut entries = self.entries();
        if let Some(index) = entries.iter().position(|entry| Arc::ptr_eq(&entry.connection, connection)) {
            entries.swap_remove(index);
        }
    }

    /// Reserves memory for a response of the caller until it is sent. A caller's only response may exceed the caller's
    /// share.
    pub(super) fn reserve(&self, caller: u64, size_bytes: usize) -> Result<(), ResponseMemoryFull> {
        let mut unread = self.unread();
        let of_caller = unread.of(caller);
        if unread.bytes.saturating_add(size_bytes) > self.limits.max_unread_bytes {
            return Err(ResponseMemoryFull::Server);
        }
        if of_caller > 0 && of_caller.saturating_add(size_bytes) > self.limits.max_unread_bytes_of_caller() {
            return Err(ResponseMemoryFull::Caller);
        }
        unread.bytes += size_bytes;
        unread.by_caller.insert(caller, of_caller + size_bytes);
        Ok(())
    }

    pub(super) fn release(&self, caller: u64, size_bytes: usize) {
        self.unread().release(caller, size_bytes);
    }

    /// Closes overdue connections until the registry is dropped.
    pub(crate) async fn sweep(registry: Weak<Self>) {
        let Some(every) = registry.upgrade().map(|registry| registry.sweep_interval()) else { return };
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(registry) = registry.upgrade() else { return };
            registry.close_overdue();
        }
    }

    fn sweep_interval(&self) -> Duration {
        let shortest = self.max_idle.min(self.limits.rate_window).min(self.limits.stall_timeout) / 4;
        MAX_SWEEP_INTERVAL.min(shortest).max(Duration::from_millis(1))
    }

    fn close_overdue(&self) {
        let mut entries = self.entries();
        for entry in entries.iter_mut() {
            let is_idle = entry.connection.idle_ms().is_some_and(|idle| idle > milliseconds(self.max_idle));
            if is_idle || entry.is_too_slow(&self.limits) {
                entry.connection.close();
            }
        }
        let mut unread = self.unread().clone();
        let stall_ms = milliseconds(self.limits.stall_timeout);
        let mut stalled: Vec<_> = entries
            .iter()
            .map(|entry| &entry.connection)
            .filter(|connection| connection.unread_bytes() > 0 && connection.is_blocked() && !connection.is_closed())
            .filter_map(|connection| Some((connection.stalled_since()?, connection)))
            .filter(|(since, connection)| connection.now().saturating_sub(*since) >= stall_ms)
            .collect();
        stalled.sort_by_key(|(since, _)| *since);
        for (_, connection) in stalled {
            let caller = connection.last_caller();
            let is_pressed = unread.bytes > self.limits.max_unread_bytes / 2
                || unread.of(caller) > self.limits.max_unread_bytes_of_caller() / 2;
            if is_pressed {
                unread.release(caller, connection.unread_bytes());
                connection.close();
            }
        }
    }

    fn unread(&self) -> MutexGuard<'_, UnreadBytes> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entries(&self) -> MutexGuard<'_, Vec<TrackedConnection>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TrackedConnection {
    /// At the end of a window, whether the client has read less than the minimum. Starts the next window.
    fn is_too_slow(&mut self, limits: &ConnectionLimits) -> bool {
        let (now, written_bytes) = (self.connection.now(), self.connection.written_bytes());
        if !self.connection.is_paced() || !self.connection.is_blocked() {
            (self.since, self.written_bytes) = (now, written_bytes);
            return false;
        }
        let elapsed = now.saturating_sub(self.since);
        if elapsed < milliseconds(limits.rate_window) {
            return false;
        }
        let taken_bytes = written_bytes.saturating_sub(self.written_bytes);
        (self.since, self.written_bytes) = (now, written_bytes);
        taken_bytes.saturating_mul(1_000) < limits.min_bytes_per_second.saturating_mul(elapsed)
    }
}

/// Closes the connection without progress for the longest time; `None` if all make progress.
fn close_most_stalled<'a>(entries: impl Iterator<Item = &'a TrackedConnection>) -> Option<()> {
    let connections = entries.map(|entry| &entry.connection).filter(|connection| !connection.is_closed());
    let stalled = connections.filter_map(|connection| Some((connection.stalled_since()?, connection)));
    let (_, connection) = stalled.min_by_key(|(since, _)| *since)?;
    connection.close();
    Some(())
}

fn busiest_address(entries: &[TrackedConnection]) -> Option<IpAddr> {
    let mut counts: HashMap<Option<IpAddr>, usize> = HashMap::new();
    for entry in entries {
        *counts.entry(entry.connection.address).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).and_then(|(address, _)| address)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
