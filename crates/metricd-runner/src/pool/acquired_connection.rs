//! A connection that a run has acquired.

use std::sync::Arc;

use metricd_execution::Permit;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::PoolSlot;
use super::stopping::{Stopped, Stopping};
use crate::connection::Connection;

/// A connection that a run has acquired. If it is dropped while a statement may still run on it, as after a client
/// has disconnected, it and its permits are released only when the backend is free.
#[derive(Debug)]
pub(crate) struct AcquiredConnection {
    /// `None` only after it was stopped or dropped.
    slot: Option<PoolSlot>,
    /// The statements that may be running on it.
    statements: Vec<(Arc<str>, Permit)>,
    /// The permits held for it, whatever runs.
    permits: Vec<Permit>,
}

impl AcquiredConnection {
    /// Holds the permits for as long as anything runs on the connection.
    pub(crate) fn new(slot: PoolSlot, permits: Vec<Permit>) -> Self {
        Self { slot: Some(slot), statements: Vec::new(), permits }
    }

    /// Records which statements run on the connection from now on.
    pub(crate) fn set_running(&mut self, statements: impl IntoIterator<Item = Arc<str>>) {
        self.statements = statements.into_iter().map(|statement| (statement, Permit::default())).collect();
    }

    /// The same for statements of several callers, each with a permit.
    pub(crate) fn set_running_of_callers(&mut self, statements: impl IntoIterator<Item = (Arc<str>, Permit)>) {
        self.statements = statements.into_iter().collect();
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        match &mut self.slot {
            Some(slot) => slot.connection(),
            None => unreachable!("it has its slot until it is stopped or dropped"),
        }
    }

    /// Cancels the running statement and reports within a bound whether it has stopped. The connection cannot be used
    /// afterwards.
    pub(crate) async fn stop(&mut self) -> Stopped {
        let (reply, stopped) = oneshot::channel();
        match self.give_back(Some(reply)) {
            Some(permits) => Stopped::Ended(permits),
            None => stopped.await.unwrap_or(Stopped::Ended(Vec::new())),
        }
    }

    /// Releases the connection, and its permits unless something still runs on it.
    pub(crate) fn release(mut self) -> Vec<Permit> {
        self.give_back(None).unwrap_or_default()
    }

    fn give_back(&mut self, reply: Option<oneshot::Sender<Stopped>>) -> Option<Vec<Permit>> {
        let mut slot = self.slot.take()?;
        let (statements, permits) = (std::mem::take(&mut self.statements), std::mem::take(&mut self.permits));
        let session = &slot.connection().session;
        // Nothing runs in a session that has ended.
        if session.is_idle() || session.has_ended() {
            drop(slot);
            return Some(permits);
        }
        // Without a runtime nothing can be awaited: the connection can only be closed.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(Stopping { slot, statements, permits }.run(reply))),
            Err(_) => slot.close(),
        }
        None
    }
}

impl Drop for AcquiredConnection {
    fn drop(&mut self) {
        drop(self.give_back(None));
    }
}
