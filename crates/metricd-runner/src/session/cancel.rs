//! Stopping what runs in a session, also for somebody who does not have the session.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::{CancelToken, NoTls};

use super::address::Peer;

/// Stops the statement that runs in a session.
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

    /// Stops it. Once this is through, PostgreSQL has told the session's process. Where it does not come to its end, the
    /// request may still be on its way, and would stop a later statement.
    pub(crate) async fn cancel(&self) -> io::Result<()> {
        self.is_pending.store(true, Ordering::Relaxed);
        self.peer.cancel(&self.token).await?;
        self.is_pending.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a request has been begun, here or by a clone, that has not come to its end.
    pub(super) fn is_pending(&self) -> bool {
        self.is_pending.load(Ordering::Relaxed)
    }
}

/// The process that the login has named, as a request to cancel would name it: the driver does not tell it otherwise.
pub(super) async fn process_of(token: &CancelToken) -> Option<i32> {
    let mut request = tokio::io::join(tokio::io::empty(), Vec::new());
    token.cancel_query_raw(&mut request, NoTls).await.ok()?;
    // Its length and a code precede the process.
    let (_, pid) = request.writer().split_first_chunk::<8>()?;
    pid.first_chunk().map(|pid| i32::from_be_bytes(*pid))
}
