//! A session's errors in the words of the port.

use std::time::Duration;

use metricd_execution::RunError;
use tokio_postgres::error::SqlState;

use super::session::SessionError;

/// Whether PostgreSQL lets nobody in, since as many are there as it, the database or the role may have.
pub(super) fn is_full(error: &SessionError) -> bool {
    matches!(error, SessionError::Refused { sqlstate, .. } if *sqlstate == *SqlState::TOO_MANY_CONNECTIONS.code())
}

/// Why a connection could not be opened.
pub(super) fn connect_error(error: SessionError, waited: Duration) -> RunError {
    match error {
        error if is_full(&error) => RunError::NoConnection { waited },
        SessionError::Refused { message, .. } | SessionError::Lost(message) => RunError::Unavailable(message),
    }
}

/// Why a statement did not run. A statement that was cancelled has gone past the role's own limit: nobody else cancels it
/// while it is waited for.
pub(super) fn run_error(error: SessionError, limit: Duration) -> RunError {
    let (sqlstate, message) = match error {
        SessionError::Lost(message) => return RunError::Unavailable(message),
        SessionError::Refused { sqlstate, message } => (sqlstate, message),
    };
    if sqlstate == *SqlState::QUERY_CANCELED.code() {
        RunError::TimedOut { limit }
    } else {
        RunError::Failed { sqlstate, message }
    }
}

/// Whether a prepared statement may no longer fit the tables that it reads.
pub(super) fn is_stale_plan(error: &RunError) -> bool {
    match error {
        // The first of them has other reasons as well, which only words tell apart, in the server's language.
        RunError::Failed { sqlstate, .. } => [SqlState::FEATURE_NOT_SUPPORTED, SqlState::INVALID_SQL_STATEMENT_NAME]
            .iter()
            .any(|code| code.code() == sqlstate),
        _ => false,
    }
}
