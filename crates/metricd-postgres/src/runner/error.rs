//! The driver's errors in the words of the port.

use std::error::Error;
use std::time::Duration;

use metricd_execution::RunError;
use tokio_postgres::error::SqlState;

use crate::connection::first_line;

/// Why a connection could not be opened.
pub(super) fn connect_error(error: &tokio_postgres::Error, waited: Duration) -> RunError {
    if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) {
        RunError::NoConnection { waited }
    } else {
        RunError::Unavailable(describe(error))
    }
}

/// Why a statement did not run. A statement that was cancelled has gone past the role's own limit: nobody else cancels it
/// while it is waited for.
pub(super) fn run_error(error: &tokio_postgres::Error, limit: Duration) -> RunError {
    let Some(answer) = error.as_db_error() else {
        return RunError::Unavailable(describe(error));
    };
    let code = answer.code();
    let is_gone = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW].contains(code);
    if *code == SqlState::QUERY_CANCELED {
        RunError::TimedOut { limit }
    } else if is_gone || code.code().starts_with("08") {
        RunError::Unavailable(answer.message().to_owned())
    } else {
        RunError::Failed { sqlstate: code.code().to_owned(), message: answer.message().to_owned() }
    }
}

/// Whether a prepared statement no longer fits the tables that it reads.
pub(super) fn is_stale_plan(error: &RunError) -> bool {
    match error {
        RunError::Failed { sqlstate, message } => {
            let changed = *sqlstate == *SqlState::FEATURE_NOT_SUPPORTED.code() && message.contains("cached plan");
            changed || *sqlstate == *SqlState::INVALID_SQL_STATEMENT_NAME.code()
        }
        _ => false,
    }
}

/// The driver's own words are few; its cause says more.
fn describe(error: &tokio_postgres::Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", first_line(&cause.to_string()))).unwrap_or_default();
    format!("{error}{cause}")
}
