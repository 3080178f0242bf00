//! The state of one connection, shared by the server's threads.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::task::AtomicWaker;

/// "Not blocked", as a time.
const NOT_BLOCKED: u64 = u64::MAX;

/// The state of an open connection. Times are milliseconds on the server's clock.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) address: Option<IpAddr>,
    clock: Instant,
    /// Requests that have arrived and are not answered.
    in_flight: AtomicUsize,
    /// Requests that were answered.
    answered: AtomicU64,
    /// When the connection was opened, or its last request was answered.
    active_at: AtomicU64,
    /// Responses in flight that the client must read at the minimum rate.
    paced: AtomicUsize,
    /// The bytes of these responses that are in memory.
    unread_bytes: AtomicUsize,
    /// The quota key of the caller of the last buffered response.
    last_caller: AtomicU64,
    written_bytes: AtomicU64,
    /// Since when the client has read nothing of pending output.
    blocked_since: AtomicU64,
    /// Whether bytes of a further request wait for the current response.
    has_waiting: AtomicBool,
    is_closed: AtomicBool,
    /// The connection's task, which must be polled to notice the end.
    pub(super) task: AtomicWaker,
}

impl Connection {
    pub(super) fn new(address: Option<IpAddr>, clock: Instant) -> Self {
        let connection = Self {
            address,
            clock,
            in_flight: AtomicUsize::new(0),
            answered: AtomicU64::new(0),
            active_at: AtomicU64::new(0),
            paced: AtomicUsize::new(0),
            unread_bytes: AtomicUsize::new(0),
            last_caller: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            blocked_since: AtomicU64::new(NOT_BLOCKED),
            has_waiting: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            task: AtomicWaker::new(),
        };
        connection.active_at.store(connection.now(), Ordering::Relaxed);
        connection
    }

    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(NOT_BLOCKED - 1)
    }

    pub(super) fn begin_request(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end_request(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.active_at.store(self.now(), Ordering::Relaxed);
        self.wake_waiting();
    }

    /// The number of requests that were answered.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(super) fn begin_paced(&self, caller: u64, unread_bytes: usize) {
        if unread_bytes > 0 {
            self.last_caller.store(caller, Ordering::Relaxed);
        }
        self.paced.fetch_add(1, Ordering::Relaxed);
        self.unread_bytes.fetch_add(unread_bytes, Ordering::Relaxed);
    }

    pub(super) fn end_paced(&self, unread_bytes: usize) {
        self.paced.fetch_sub(1, Ordering::Relaxed);
        self.unread_bytes.fetch_sub(unread_bytes, Ordering::Relaxed);
    }

    /// Whether a response with a minimum rate is in flight.
    pub(super) fn is_paced(&self) -> bool {
        self.paced.load(Ordering::Relaxed) > 0
    }

    pub(super) fn unread_bytes(&self) -> usize {
        self.unread_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn last_caller(&self) -> u64 {
        self.last_caller.load(Ordering::Relaxed)
    }

    pub(super) fn record_written(&self, count: usize) {
        self.written_bytes.fetch_add(count as u64, Ordering::Relaxed);
        if self.blocked_since.swap(NOT_BLOCKED, Ordering::Relaxed) != NOT_BLOCKED {
            self.wake_waiting();
        }
    }

    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn mark_blocked(&self) {
        if !self.is_blocked() {
            self.blocked_since.store(self.now(), Ordering::Relaxed);
        }
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_since.load(Ordering::Relaxed) != NOT_BLOCKED
    }

    /// Since when the client has made no progress; `None` while the server works for it.
    pub(super) fn stalled_since(&self) -> Option<u64> {
        let blocked_since = self.blocked_since.load(Ordering::Relaxed);
        if blocked_since != NOT_BLOCKED {
            return Some(blocked_since);
        }
        (self.in_flight.load(Ordering::Relaxed) == 0).then(|| self.active_at.load(Ordering::Relaxed))
    }

    /// Milliseconds since the last response; `None` while a request is in flight.
    pub(super) fn idle_ms(&self) -> Option<u64> {
        let is_idle = self.in_flight.load(Ordering::Relaxed) == 0;
        is_idle.then(|| self.now().saturating_sub(self.active_at.load(Ordering::Relaxed)))
    }

    pub(super) fn set_waiting(&self, has_waiting: bool) {
        self.has_waiting.store(has_waiting, Ordering::Relaxed);
    }

    fn wake_waiting(&self) {
        if self.has_waiting.load(Ordering::Relaxed) {
            self.task.wake();
        }
    }

    /// Closes the connection: its task notices at its next read or write.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.task.wake();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }
}
