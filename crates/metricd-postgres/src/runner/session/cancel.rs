//! Stopping what runs in a session, also for somebody who does not have the session.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::CancelToken;

use super::address::Peer;

/// Stops the statement that runs in a session.
#[derive(Clone)]
pub(in crate::runner) struct Canceller {
    peer: Peer,
    token: CancelToken,
    is_under_way: Arc<AtomicBool>,
}

impl Canceller {
    pub(super) fn new(peer: Peer, token: CancelToken) -> Self {
        Self { peer, token, is_under_way: Arc::default() }
    }

    /// Stops it. Once this is through, PostgreSQL has told the session's process. Where it does not come to its end, the
    /// request may still be on its way, and would stop a later statement.
    pub(in crate::runner) async fn cancel(&self) -> io::Result<()> {
        self.is_under_way.store(true, Ordering::Relaxed);
        self.peer.cancel(&self.token).await?;
        self.is_under_way.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a request has been begun, here or by a clone, that has not come to its end.
    pub(super) fn is_under_way(&self) -> bool {
        self.is_under_way.load(Ordering::Relaxed)
    }
}
