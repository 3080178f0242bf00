//! The beginning and the end of a transaction that leaves nothing behind.

use crate::session::{Session, SessionError};

/// Begins a run that may have something to leave behind.
pub(crate) const BEGIN_SQL: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY";

/// Ends a run without a trace: a rollback takes back settings, messages and large objects, but not the advisory locks of the
/// session, which a statement may take where the database is not hardened.
pub(crate) const CLEANUP_SQL: &str = "ROLLBACK; SELECT pg_catalog.pg_advisory_unlock_all()";

/// Takes back what was done in the session.
pub(crate) async fn clean_up(session: &mut Session) -> Result<(), SessionError> {
    session.send_simple(CLEANUP_SQL)?;
    finish_cleanup(session).await
}

/// The same where [`CLEAN`] was sent already. A statement that ends just as it is cancelled leaves the cancelling to the next one,
/// which is this.
pub(crate) async fn finish_cleanup(session: &mut Session) -> Result<(), SessionError> {
    match session.drain().await {
        Err(SessionError::Refused { .. }) => {
            session.send_simple(CLEANUP_SQL)?;
            session.drain().await
        }
        ended => ended,
    }
}
