//! Maps errors of a session to errors of the runner port.

use std::time::Duration;

use metricd_database::{Fault, Trouble, fault_of};
use metricd_execution::RunError;
use tokio_postgres::error::SqlState;

use crate::session::SessionError;

/// How `PgBouncer`, whose SQLSTATE for it is a general one, says that it has reached its `max_client_conn`.
const POOLER_IS_FULL: &str = "no more connections allowed";

/// Whether PostgreSQL, the database, the role or a pooler has reached its connection limit.
pub(crate) fn is_full(error: &SessionError) -> bool {
    matches!(error, SessionError::Refused { sqlstate, message }
        if *sqlstate == *SqlState::TOO_MANY_CONNECTIONS.code()
            || *sqlstate == *SqlState::PROTOCOL_VIOLATION.code() && message.starts_with(POOLER_IS_FULL))
}

/// The error of a connection that could not be opened.
pub(crate) fn connect_error(error: SessionError, waited: Duration) -> RunError {
    match error {
        error if is_full(&error) => RunError::NoConnection { waited },
        SessionError::Refused { message, .. } | SessionError::Lost(message) => RunError::Unavailable(message),
    }
}

/// The error of a statement. A cancelled statement has exceeded the role's own timeout: while a run waits for it,
/// nothing else cancels it.
pub(crate) fn run_error(error: SessionError, limit: Duration) -> RunError {
    let (sqlstate, message) = match error {
        SessionError::Lost(message) => return RunError::Unavailable(message),
        SessionError::Refused { sqlstate, message } => (sqlstate, message),
    };
    match fault_of(&sqlstate) {
        Fault::Cancelled => RunError::TimedOut { limit },
        Fault::Unavailable(Trouble::Locked) => RunError::TableLocked,
        Fault::Statement | Fault::Value | Fault::Constraint | Fault::ReadOnly | Fault::Unavailable(_) => {
            RunError::Failed { sqlstate, message }
        }
    }
}

/// The SQLSTATEs that a statement may get because an object has changed since it was prepared, even while it
/// executes. Each has other causes as well, which only the message distinguishes, in the language of the server.
const GONE: [&SqlState; 3] = [
    // "cached plan must not change result type".
    &SqlState::FEATURE_NOT_SUPPORTED,
    // "cache lookup failed": a type, a relation or a function was dropped, and perhaps created again.
    &SqlState::INTERNAL_ERROR,
    // A function has changed on whose former result type other statements were prepared.
    &SqlState::DATATYPE_MISMATCH,
];

/// The SQLSTATEs for a prepared statement that does not exist in the session, or exists already.
const NAMES: [&SqlState; 2] = [&SqlState::INVALID_SQL_STATEMENT_NAME, &SqlState::DUPLICATE_PSTATEMENT];

/// Whether to prepare a statement again and run it once more.
///
/// Any error before a prepared statement starts to execute may be due to a change since: a parameter's type was
/// dropped (XX000), an operator for a column's former type (42883), a value invalid in the new type (22P02), another
/// number of columns (08P01). Preparing it again shows the real error.
pub(crate) fn is_stale(error: &RunError, is_prepared: bool, is_executing: bool) -> bool {
    let RunError::Failed { sqlstate, .. } = error else { return false };
    let is_one = |codes: &[&SqlState]| codes.iter().any(|code| code.code() == sqlstate);
    is_one(&NAMES) || is_prepared && (!is_executing || is_one(&GONE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(sqlstate: &str) -> RunError {
        RunError::Failed { sqlstate: sqlstate.to_owned(), message: String::new() }
    }

    #[test]
    fn a_connection_limit_is_recognised() {
        for (sqlstate, message, expected) in [
            ("53300", "sorry, too many clients already", true),
            ("08P01", "no more connections allowed (max_client_conn)", true),
            ("08P01", "unsupported startup parameter: options", false),
        ] {
            let error = SessionError::Refused { sqlstate: sqlstate.to_owned(), message: message.to_owned() };
            assert_eq!(is_full(&error), expected, "{message}");
        }
    }

    #[test]
    fn a_statement_is_prepared_again_if_an_object_may_have_changed() {
        for (sqlstate, before, while_running) in [
            ("0A000", true, true),
            ("XX000", true, true),
            ("42804", true, true),
            ("26000", true, true),
            ("42P05", true, true),
            ("08P01", true, false),
            ("42883", true, false),
            ("42P01", true, false),
            ("22P02", true, false),
            ("22012", true, false),
        ] {
            let error = failed(sqlstate);
            assert_eq!(is_stale(&error, true, false), before, "{sqlstate}");
            assert_eq!(is_stale(&error, true, true), while_running, "{sqlstate}");
            // A statement that cannot be prepared is not prepared again, unless its name is taken.
            assert_eq!(is_stale(&error, false, false), ["26000", "42P05"].contains(&sqlstate), "{sqlstate}");
        }
        assert!(!is_stale(&RunError::TimedOut { limit: Duration::ZERO }, true, false));
        assert!(!is_stale(&RunError::Unavailable(String::new()), true, false));
    }
}
