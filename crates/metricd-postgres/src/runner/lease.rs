//! A connection for the length of a run.

use std::sync::Arc;

use metricd_execution::Permit;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::connection::Connection;
use super::pool::Pooled;
use super::stopping::{Stopped, Stopping};

/// A connection for the length of a run. One that is dropped while a statement may still run on it, as when the client has
/// gone away, is given back with its permits only when PostgreSQL has ended that.
#[derive(Debug)]
pub(super) struct Lease {
    /// `None` only once it was stopped or dropped.
    place: Option<Pooled>,
    /// The statements that may be what runs on it.
    statements: Vec<Arc<str>>,
    /// What is held for it.
    permits: Vec<Permit>,
}

impl Lease {
    pub(super) fn new(place: Pooled) -> Self {
        Self { place: Some(place), statements: Vec::new(), permits: Vec::new() }
    }

    /// Says what runs on the connection from now on, in place of what has run.
    pub(super) fn expect(&mut self, statements: impl IntoIterator<Item = Arc<str>>) {
        self.statements = statements.into_iter().collect();
    }

    /// Holds the permits for as long as that runs, in place of others.
    pub(super) fn hold(&mut self, permits: Vec<Permit>) {
        self.permits = permits;
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        match &mut self.place {
            Some(place) => place.connection(),
            None => unreachable!("a lease has its connection until it is stopped or dropped"),
        }
    }

    /// Cancels what runs on the connection, and says within a bound whether PostgreSQL has stopped it. The connection is of no
    /// more use here.
    pub(super) async fn stop(&mut self) -> Stopped {
        let (reply, stopped) = oneshot::channel();
        self.give_back(Some(reply));
        stopped.await.unwrap_or(Stopped::Ended)
    }

    fn give_back(&mut self, reply: Option<oneshot::Sender<Stopped>>) {
        let Some(mut place) = self.place.take() else { return };
        let (statements, permits) = (std::mem::take(&mut self.statements), std::mem::take(&mut self.permits));
        let session = &place.connection().session;
        // A session that has ended runs nothing any more.
        if session.is_idle() || session.has_ended() {
            drop(place);
            return;
        }
        // Without a runtime nothing can be waited for; closing the connection is all that is left.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(Stopping { place, statements, permits }.run(reply))),
            Err(_) => place.close(),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back(None);
    }
}
