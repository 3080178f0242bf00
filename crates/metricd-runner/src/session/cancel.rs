//! Cancels the running statement, also without access to its session.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::{CancelToken, NoTls};

use super::address::Peer;

/// Cancels the running statement of a session.
#[derive(Clone)]
pub(crate) struct Canceller {
    peer: Peer,
    token: CancelToken,
    is_pending: Arc<AtomicBool>,
}

impl Canceller {
    pub(super) fn new(peer: Peer, token: CancelToken) -> Self {
        Self { peer, token, is_pending: Arc::default() }
    }

    /// Sends a cancel request. Once it completes, PostgreSQL has signalled the backend. If it is dropped early, the
    /// request may still be on its way and hit a later statement.
    pub(crate) async fn cancel(&self) -> io::Result<()> {
        self.is_pending.store(true, Ordering::Relaxed);
        self.peer.cancel(&self.token).await?;
        self.is_pending.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a request of this canceller or a clone has not completed.
    pub(super) fn is_pending(&self) -> bool {
        self.is_pending.load(Ordering::Relaxed)
    }
}

/// The process id that the login reported, taken from a cancel request: the driver does not expose it otherwise.
pub(super) async fn process_of(token: &CancelToken) -> Option<i32> {
    let mut request = tokio::io::join(tokio::io::empty(), Vec::new());
    token.cancel_query_raw(&mut request, NoTls).await.ok()?;
    // The length and a code precede the process id.
    let (_, pid) = request.writer().split_first_chunk::<8>()?;
    pid.first_chunk().map(|pid| i32::from_be_bytes(*pid))
}
