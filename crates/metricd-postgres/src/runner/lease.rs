//! A connection for the length of a run.

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::CLEAN;
use super::connection::Connection;
use super::pool::Pooled;
use super::session::{CANCEL_AGAIN, CANCEL_TIMEOUT, SessionError};

/// A connection for the length of a run. One that is dropped while a statement may still run on it, as when the client has
/// gone away, goes back to the pool only after the statement was stopped.
#[derive(Debug)]
pub(super) struct Lease {
    /// `None` only once this is dropped.
    place: Option<Pooled>,
}

impl Lease {
    pub(super) fn new(place: Pooled) -> Self {
        Self { place: Some(place) }
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        match &mut self.place {
            Some(place) => place.connection(),
            None => unreachable!("a lease has its connection until it is dropped"),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut place) = self.place.take() else { return };
        let session = &place.connection().session;
        if session.is_idle() || session.is_lost() {
            return;
        }
        // Without a runtime nothing can be waited for; closing the connection is all that is left.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(clean_up(place));
        } else {
            place.close();
        }
    }
}

/// Stops what runs on the connection and gives it back to the pool, or closes it where that does not work.
async fn clean_up(mut place: Pooled) {
    let stopped = timeout(2 * CANCEL_TIMEOUT, stop(place.connection())).await;
    if !matches!(stopped, Ok(Ok(()))) {
        log::warn!("a connection is closed, since its statement could not be stopped: {stopped:?}");
        place.close();
    }
}

async fn stop(connection: &mut Connection) -> Result<(), SessionError> {
    let session = &mut connection.session;
    if !session.is_sent() {
        return Err(SessionError::Lost("it was not asked to its end".to_owned()));
    }
    // Of statements that were sent together, each is stopped when it is its turn; a request that comes between two stops none.
    while !session.is_answered() {
        session.cancel().await?;
        if let Ok(Err(error @ SessionError::Lost(_))) = timeout(CANCEL_AGAIN, session.finish()).await {
            return Err(error);
        }
    }
    session.ask(CLEAN)?;
    match session.finish().await {
        // The last cancelling may have come too late for what it was about.
        Err(SessionError::Refused { .. }) => {
            session.ask(CLEAN)?;
            session.finish().await
        }
        ended => ended,
    }
}
