//! A connection for the length of a run.

use std::sync::Arc;

use metricd_execution::Permit;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::PoolSlot;
use super::stopping::{Stopped, Stopping};
use crate::connection::Connection;

/// A connection for the length of a run. One that is dropped while a statement may still run on it, as when the client has
/// gone away, is given back with its permits only when PostgreSQL has ended that.
#[derive(Debug)]
pub(crate) struct AcquiredConnection {
    /// `None` only once it was stopped or dropped.
    slot: Option<PoolSlot>,
    /// The statements that may be what runs on it.
    statements: Vec<(Arc<str>, Permit)>,
    /// What is held for it, whatever runs.
    permits: Vec<Permit>,
}

impl AcquiredConnection {
    /// Holds the permits for as long as anything runs on the connection.
    pub(crate) fn new(slot: PoolSlot, permits: Vec<Permit>) -> Self {
        Self { slot: Some(slot), statements: Vec::new(), permits }
    }

    /// Says what runs on the connection from now on, in place of what has run.
    pub(crate) fn set_running(&mut self, statements: impl IntoIterator<Item = Arc<str>>) {
        self.statements = statements.into_iter().map(|statement| (statement, Permit::default())).collect();
    }

    /// The same for statements of several callers, each of whom has a permit.
    pub(crate) fn set_running_of_callers(&mut self, statements: impl IntoIterator<Item = (Arc<str>, Permit)>) {
        self.statements = statements.into_iter().collect();
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        match &mut self.slot {
            Some(slot) => slot.connection(),
            None => unreachable!("a acquired has its connection until it is stopped or dropped"),
        }
    }

    /// Cancels what runs on the connection, and says within a bound whether PostgreSQL has stopped it. The connection is of no
    /// more use here.
    pub(crate) async fn stop(&mut self) -> Stopped {
        let (reply, stopped) = oneshot::channel();
        match self.give_back(Some(reply)) {
            Some(permits) => Stopped::Ended(permits),
            None => stopped.await.unwrap_or(Stopped::Ended(Vec::new())),
        }
    }

    /// Gives the connection back, and its permits unless something still runs on it.
    pub(crate) fn release(mut self) -> Vec<Permit> {
        self.give_back(None).unwrap_or_default()
    }

    fn give_back(&mut self, reply: Option<oneshot::Sender<Stopped>>) -> Option<Vec<Permit>> {
        let mut slot = self.slot.take()?;
        let (statements, permits) = (std::mem::take(&mut self.statements), std::mem::take(&mut self.permits));
        let session = &slot.connection().session;
        // A session that has ended runs nothing any more.
        if session.is_idle() || session.has_ended() {
            drop(slot);
            return Some(permits);
        }
        // Without a runtime nothing can be waited for; closing the connection is all that is left.
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
