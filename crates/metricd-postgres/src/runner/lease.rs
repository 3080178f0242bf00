//! A connection for the length of a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::config::Config;

use super::CLEAN;
use super::cancel::{CANCEL_TIMEOUT, cancel};
use super::connection::Connection;
use super::pool::Pooled;

/// A connection for the length of a run. One that is dropped while a statement may still run on it, as when the client has
/// gone away, goes back to the pool only after the statement was stopped.
#[derive(Debug)]
pub(super) struct Lease {
    /// `None` only once this is dropped.
    place: Option<Pooled>,
    config: Arc<Config>,
    is_busy: bool,
    is_unfit: AtomicBool,
}

impl Lease {
    pub(super) fn new(place: Pooled, config: Arc<Config>) -> Self {
        Self { place: Some(place), config, is_busy: false, is_unfit: AtomicBool::new(false) }
    }

    pub(super) fn client(&self) -> &Connection {
        match &self.place {
            Some(place) => place.connection(),
            None => unreachable!("a lease has its connection until it is dropped"),
        }
    }

    /// Says whether a statement may be running.
    pub(super) fn set_busy(&mut self, is_busy: bool) {
        self.is_busy = is_busy;
    }

    /// Says that the connection is to be closed afterwards: because it is broken, or because a row was so large that its
    /// memory is worth giving back, which the driver otherwise keeps.
    pub(super) fn set_unfit(&self) {
        self.is_unfit.store(true, Ordering::Relaxed);
    }

    /// Stops the statement that runs.
    pub(super) async fn cancel(&self) {
        if let Err(error) = cancel(&self.client().cancel_token(), &self.config).await {
            // The role's time limit stops it then.
            log::warn!("a statement could not be cancelled: {error}");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        match Handle::try_current() {
            _ if !self.is_busy => {
                if self.is_unfit.load(Ordering::Relaxed) {
                    place.close();
                }
            }
            Ok(runtime) => {
                runtime.spawn(clean_up(place, Arc::clone(&self.config)));
            }
            // Without a runtime nothing can be waited for; closing the connection is all that is left.
            Err(_) => place.close(),
        }
    }
}

/// Stops what runs on the connection and gives it back to the pool, or closes it where that does not work.
async fn clean_up(place: Pooled, config: Arc<Config>) {
    let client = place.connection();
    let cancelled = cancel(&client.cancel_token(), &config).await;
    let cleaned = timeout(CANCEL_TIMEOUT, client.batch_execute(CLEAN)).await;
    if let (Ok(()), Ok(Ok(()))) = (&cancelled, &cleaned) {
        return;
    }
    log::warn!("a connection is closed, since its statement could not be stopped: {cancelled:?}, {cleaned:?}");
    place.close();
}
