//! The beginning and the end of a transaction that leaves nothing behind.

use crate::session::{Session, SessionError};

/// Begins the read-only transaction of a statement that is not sent alone.
pub(crate) const BEGIN_SQL: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY";

/// Ends a transaction without a trace. The rollback undoes settings, notifications and large objects, but not the
/// session-level advisory locks, which a statement may take in an unhardened database.
pub(crate) const CLEANUP_SQL: &str = "ROLLBACK; SELECT pg_catalog.pg_advisory_unlock_all()";

/// Undoes what statements did in the session.
pub(crate) async fn clean_up(session: &mut Session) -> Result<(), SessionError> {
    session.send_simple(CLEANUP_SQL)?;
    finish_cleanup(session).await
}

/// Waits for a [`CLEANUP_SQL`] that was sent before. A cancel request that arrives just after its statement has ended
/// hits the cleanup instead; it is then sent again.
pub(crate) async fn finish_cleanup(session: &mut Session) -> Result<(), SessionError> {
    match session.drain().await {
        Err(SessionError::Refused { .. }) => {
            session.send_simple(CLEANUP_SQL)?;
            session.drain().await
        }
        ended => ended,
    }
}
