//! A slot of the pool.

use std::fmt;
use std::sync::Arc;

use super::PoolInner;
use super::quarantine::Quarantine;
use crate::connection::Connection;
use metricd_connection::Connector;

/// One of the slots of the pool. It has a connection, except while that is being opened.
pub(crate) struct PoolSlot {
    pub(super) connection: Option<Connection>,
    /// Whether PostgreSQL refused a connection for it. It is then not passed on.
    pub(super) is_rejected: bool,
    pub(super) pool: Arc<PoolInner>,
}

impl PoolSlot {
    pub(crate) fn connection(&mut self) -> &mut Connection {
        match &mut self.connection {
            Some(connection) => connection,
            None => unreachable!("an acquired slot has a connection"),
        }
    }

    /// The role to ask what the session runs.
    pub(crate) fn observer(&self) -> &Connector {
        self.pool.observer.get().unwrap_or(&self.pool.session)
    }

    /// The statements that do not stop.
    pub(crate) fn quarantine(&self) -> &Quarantine {
        &self.pool.quarantine
    }

    /// Closes the connection, which frees the slot for another one.
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
