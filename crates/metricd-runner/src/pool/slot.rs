//! One of the connections that the pool may have.

use std::fmt;
use std::sync::Arc;

use super::PoolInner;
use super::quarantine::Quarantine;
use crate::connection::Connection;
use crate::session::SessionConfig;

/// One of as many places as there may be connections. It has one, but for the moment in which that is opened.
pub(crate) struct PoolSlot {
    pub(super) connection: Option<Connection>,
    /// Whether PostgreSQL has none for it. It is not passed on then.
    pub(super) is_rejected: bool,
    pub(super) pool: Arc<PoolInner>,
}

impl PoolSlot {
    pub(crate) fn connection(&mut self) -> &mut Connection {
        match &mut self.connection {
            Some(connection) => connection,
            None => unreachable!("a slot is given away with its connection"),
        }
    }

    /// Who is asked what the session runs.
    pub(crate) fn observer(&self) -> &SessionConfig {
        self.pool.observer.get().unwrap_or(&self.pool.session)
    }

    /// The statements that do not stop.
    pub(crate) fn quarantine(&self) -> &Quarantine {
        &self.pool.quarantine
    }

    /// Closes the connection; the place is free for another one.
    pub(crate) fn close(mut self) {
        self.connection = None;
    }
}

impl fmt::Debug for PoolSlot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PoolSlot").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl Drop for PoolSlot {
    fn drop(&mut self) {
        let is_kept =
            |connection: &Connection| connection.session.is_idle() && !self.pool.expiry.is_expired(connection);
        let connection = self.connection.take().filter(is_kept);
        self.pool.return_slot(connection, self.is_rejected);
    }
}
