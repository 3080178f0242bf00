//! Cancels the running statement, also without access to its session.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metricd_connection::CancelRequest;
use tokio::time::timeout;

/// The time limit of a cancel request.
pub(crate) const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the connection of a request stays open if the server does not close it. `PgBouncer` 1.18 exits if it is closed
/// while the request is being forwarded.
const FORWARDING_TIMEOUT: Duration = Duration::from_secs(30);

/// The pause before a statement that still runs is cancelled again.
pub(crate) const CANCEL_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Cancels the running statement of a session.
#[derive(Clone)]
pub(crate) struct Canceller {
    request: CancelRequest,
    is_pending: Arc<AtomicBool>,
}

impl Canceller {
    pub(super) fn new(request: CancelRequest) -> Self {
        Self { request, is_pending: Arc::default() }
    }

    /// Sends a cancel request. Once it completes, PostgreSQL has signalled the backend. If it is dropped early, the
    /// request may still be on its way and hit a later statement.
    pub(crate) async fn cancel(&self) -> io::Result<()> {
        self.is_pending.store(true, Ordering::Relaxed);
        let request = self.request.clone();
        // A task of its own, which outlives this future.
        let sent = tokio::spawn(async move { timeout(FORWARDING_TIMEOUT, request.send()).await? });
        timeout(CANCEL_TIMEOUT, sent).await?.map_err(io::Error::other)??;
        self.is_pending.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a request of this canceller or a clone has not completed.
    pub(super) fn is_pending(&self) -> bool {
        self.is_pending.load(Ordering::Relaxed)
    }
}
