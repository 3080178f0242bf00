//! Cancels the running statement, also without access to its session.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use metricd_connection::CancelRequest;
use tokio::sync::watch;
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
    requests: Arc<watch::Sender<Requests>>,
}

/// The cancel requests of a session that have not completed.
#[derive(Debug, Clone, Copy, Default)]
struct Requests {
    pending: usize,
    /// Whether one has failed. It may have reached PostgreSQL all the same.
    has_failed: bool,
}

impl Canceller {
    pub(super) fn new(request: CancelRequest) -> Self {
        Self { request, requests: Arc::default() }
    }

    /// Sends a cancel request. Once it completes, PostgreSQL has signalled the backend. If it is dropped early or takes too
    /// long, the request may still be on its way and hit a later statement: see [`Self::settled`].
    pub(crate) async fn cancel(&self) -> io::Result<()> {
        self.requests.send_modify(|requests| requests.pending += 1);
        let (request, requests) = (self.request.clone(), Arc::clone(&self.requests));
        // A task of its own, which outlives this future.
        let sent = tokio::spawn(async move {
            let sent = timeout(FORWARDING_TIMEOUT, request.send()).await.map_err(io::Error::from).flatten();
            requests.send_modify(|requests| {
                requests.pending -= 1;
                requests.has_failed |= sent.is_err();
            });
            sent
        });
        timeout(CANCEL_TIMEOUT, sent).await?.map_err(io::Error::other)?
    }

    /// Whether a request of this canceller or a clone may hit a later statement.
    pub(super) fn is_pending(&self) -> bool {
        let requests = *self.requests.borrow();
        requests.pending > 0 || requests.has_failed
    }

    /// Waits until no request is on its way. Returns whether all have completed, so that none hits a later statement.
    pub(crate) async fn settled(&self) -> bool {
        let mut requests = self.requests.subscribe();
        requests.wait_for(|requests| requests.pending == 0).await.is_ok_and(|requests| !requests.has_failed)
    }
}
