//! A session's errors in the words of the port.

use std::time::Duration;

use metricd_database::{Fault, Trouble, fault_of};
use metricd_execution::RunError;
use tokio_postgres::error::SqlState;

use crate::session::SessionError;

/// Whether PostgreSQL lets nobody in, since as many are there as it, the database or the role may have.
pub(crate) fn is_full(error: &SessionError) -> bool {
    matches!(error, SessionError::Refused { sqlstate, .. } if *sqlstate == *SqlState::TOO_MANY_CONNECTIONS.code())
}

/// Why a connection could not be opened.
pub(crate) fn connect_error(error: SessionError, waited: Duration) -> RunError {
    match error {
        error if is_full(&error) => RunError::NoConnection { waited },
        SessionError::Refused { message, .. } | SessionError::Lost(message) => RunError::Unavailable(message),
    }
}

/// Why a statement did not run. A statement that was cancelled has gone past the role's own limit: nobody else cancels it
/// while it is waited for.
pub(crate) fn run_error(error: SessionError, limit: Duration) -> RunError {
    let (sqlstate, message) = match error {
        SessionError::Lost(message) => return RunError::Unavailable(message),
        SessionError::Refused { sqlstate, message } => (sqlstate, message),
    };
    match fault_of(&sqlstate) {
        Fault::Cancelled => RunError::TimedOut { limit },
        Fault::Unavailable(Trouble::Locked) => RunError::TableLocked,
        _ => RunError::Failed { sqlstate, message },
    }
}

/// The SQLSTATEs by which PostgreSQL says that what a statement was prepared against has gone or changed, also while the
/// statement runs. Each has other reasons as well, which only messages tell apart, in the server's language.
const GONE: [&SqlState; 3] = [
    // "cached plan must not change result type".
    &SqlState::FEATURE_NOT_SUPPORTED,
    // "cache lookup failed": of a type, a relation or a function that was dropped, and perhaps made again.
    &SqlState::INTERNAL_ERROR,
    // A function that has changed, by whose former result others were prepared.
    &SqlState::DATATYPE_MISMATCH,
];

/// The SQLSTATEs by which PostgreSQL says that a session does not have what was prepared in it, or has it already.
const NAMES: [&SqlState; 2] = [&SqlState::INVALID_SQL_STATEMENT_NAME, &SqlState::DUPLICATE_PSTATEMENT];

/// Whether a statement is to be prepared anew, and run once more.
///
/// Whatever PostgreSQL objects to before it begins to run a statement that is prepared may be because of what has
/// changed since: a parameter's type that was dropped (XX000), an operator for a column's former type (42883), a value that
/// its new type would have (22P02), another number of columns (08P01). Preparing it anew tells.
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
    fn a_statement_is_prepared_anew_for_what_may_have_changed_since() {
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
            // One that cannot be prepared is not prepared anew, unless its name is taken.
            assert_eq!(is_stale(&error, false, false), ["26000", "42P05"].contains(&sqlstate), "{sqlstate}");
        }
        assert!(!is_stale(&RunError::TimedOut { limit: Duration::ZERO }, true, false));
        assert!(!is_stale(&RunError::Unavailable(String::new()), true, false));
    }
}
