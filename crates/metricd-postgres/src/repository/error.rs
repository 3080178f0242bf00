//! PostgreSQL's errors in the words of the port.

use diesel::PgConnection;
use diesel::r2d2::{ConnectionManager, HandleError};
use diesel::result::{DatabaseErrorKind, Error};
use metricd_repository::RepositoryError;

use crate::connection::first_line;

/// r2d2 tells of each vain attempt to connect, several a second. The call that waits tells of it once.
#[derive(Debug)]
pub(super) struct LogQuietly;

impl<E: std::error::Error> HandleError<E> for LogQuietly {
    fn handle_error(&self, error: E) {
        log::debug!("the pool of the catalog: {error}");
    }
}

/// Why the pool gave no connection: because it has none, or because all are taken.
pub(super) fn no_connection(
    pool: &r2d2::Pool<ConnectionManager<PgConnection>>,
    cause: &r2d2::Error,
) -> RepositoryError {
    if pool.state().connections < pool.max_size() {
        RepositoryError::Unavailable(first_line(&cause.to_string()))
    } else {
        RepositoryError::NoConnection
    }
}

/// What an error of a statement is to the port. Absence is the caller's to name.
pub(super) fn failed(error: Error) -> RepositoryError {
    match error {
        Error::DatabaseError(DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection, info) => {
            RepositoryError::Unavailable(first_line(info.message()))
        }
        Error::DatabaseError(_, info) => match info.constraint_name() {
            Some(constraint) => {
                RepositoryError::Constraint { constraint: constraint.to_owned(), message: info.message().to_owned() }
            }
            None if is_connection_lost(info.message()) || is_past_its_time(info.message()) => {
                RepositoryError::Unavailable(first_line(info.message()))
            }
            None => RepositoryError::Failed(info.message().to_owned()),
        },
        // What a statement before has broken is told by the statement's own error; what is left here is the connection.
        Error::BrokenTransactionManager => RepositoryError::Unavailable("the connection was lost".to_owned()),
        other => RepositoryError::Failed(other.to_string()),
    }
}

/// Diesel gives no SQLSTATE for these, only libpq's words.
fn is_connection_lost(message: &str) -> bool {
    [
        "server closed the connection",
        "terminating connection",
        "no connection to the server",
        "SSL connection has been closed",
    ]
    .iter()
    .any(|words| message.contains(words))
}

/// As where a table is locked for long, or two wait for each other. Diesel gives no SQLSTATE for this either.
fn is_past_its_time(message: &str) -> bool {
    message.starts_with("canceling statement due to") || message.starts_with("deadlock detected")
}

/// A stored value that breaks a rule of the domain, which the schema's checks should have kept out.
pub(super) fn corrupt(error: impl std::fmt::Display) -> RepositoryError {
    RepositoryError::Failed(format!("a stored value breaks its rule: {error}"))
}
