//! Maps PostgreSQL's errors to errors of the repository port.

use diesel::r2d2::HandleError;
use diesel::result::{DatabaseErrorKind, Error};
use metricd_database::{Fault, fault_of};
use metricd_repository::RepositoryError;

use crate::connection::{SessionManager, first_line};

/// Logs at debug level: r2d2 reports each failed attempt to connect, several a second; the waiting call reports the
/// failure once.
#[derive(Debug)]
pub(super) struct LogQuietly;

impl<E: std::error::Error> HandleError<E> for LogQuietly {
    fn handle_error(&self, error: E) {
        log::debug!("the pool of the catalog: {error}");
    }
}

/// Why the pool gave no connection: it has none, or all are in use.
pub(super) fn no_connection(pool: &r2d2::Pool<SessionManager>, cause: &r2d2::Error) -> RepositoryError {
    if pool.state().connections < pool.max_size() {
        RepositoryError::Unavailable(first_line(&cause.to_string()))
    } else {
        RepositoryError::NoConnection
    }
}

/// The error of a statement. The caller handles a missing row.
pub(super) fn failed(error: Error) -> RepositoryError {
    match error {
        Error::DatabaseError(kind, info) => match info.constraint_name() {
            Some(_) => RepositoryError::Inconsistent(info.message().to_owned()),
            None if is_own_fault(kind, info.statement_position()) => RepositoryError::Failed(info.message().to_owned()),
            None if matches!(kind, DatabaseErrorKind::ReadOnlyTransaction) => {
                RepositoryError::ReadOnly(first_line(info.message()))
            }
            None => RepositoryError::Unavailable(first_line(info.message())),
        },
        // What a statement before has broken is told by the statement's own error; what is left here is the connection.
        Error::BrokenTransactionManager => RepositoryError::Unavailable("the connection was lost".to_owned()),
        other => RepositoryError::Failed(other.to_string()),
    }
}

/// Whether the statement violated this constraint.
pub(super) fn violates(error: &Error, constraint: &str) -> bool {
    matches!(error, Error::DatabaseError(_, info) if info.constraint_name() == Some(constraint))
}

/// The same for an error of Diesel's migrations.
pub(super) fn migrations_failed(error: Box<dyn std::error::Error + Send + Sync>) -> RepositoryError {
    match error.downcast::<Error>() {
        Ok(error) => failed(*error),
        Err(other) => RepositoryError::Failed(other.to_string()),
    }
}

/// Whether the error lies in the statement, which is part of this program, or in a schema that was changed.
///
/// Diesel reports few SQLSTATEs, as kinds. Of the others only those about the text of a statement (class 42) have a
/// position in it; the rest are operational: a full disk, a lock, a timeout, an operator.
fn is_own_fault(kind: DatabaseErrorKind, position: Option<i32>) -> bool {
    let sqlstate = match kind {
        DatabaseErrorKind::UniqueViolation => "23505",
        DatabaseErrorKind::ForeignKeyViolation => "23503",
        DatabaseErrorKind::NotNullViolation => "23502",
        DatabaseErrorKind::CheckViolation => "23514",
        DatabaseErrorKind::RestrictViolation => "23001",
        DatabaseErrorKind::ExclusionViolation => "23P01",
        DatabaseErrorKind::SerializationFailure => "40001",
        DatabaseErrorKind::ReadOnlyTransaction => "25006",
        DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => "08006",
        _ => return position.is_some(),
    };
    match fault_of(sqlstate) {
        Fault::Statement | Fault::Value | Fault::Constraint => true,
        Fault::ReadOnly | Fault::Cancelled | Fault::Unavailable(_) => false,
    }
}

/// The error for a stored value that violates a rule of the domain. The schema's checks should prevent it.
pub(super) fn corrupt(error: impl std::fmt::Display) -> RepositoryError {
    RepositoryError::Failed(format!("a stored value breaks its rule: {error}"))
}
