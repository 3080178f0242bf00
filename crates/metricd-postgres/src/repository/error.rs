//! PostgreSQL's errors in the words of the port.

use diesel::PgConnection;
use diesel::r2d2::{ConnectionManager, HandleError};
use diesel::result::{DatabaseErrorKind, Error};
use metricd_database::{Fault, fault_of};
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

/// Whether the statement failed because of this constraint.
pub(super) fn violates(error: &Error, constraint: &str) -> bool {
    matches!(error, Error::DatabaseError(_, info) if info.constraint_name() == Some(constraint))
}

/// The same where Diesel's migrations have asked.
pub(super) fn migrations_failed(error: Box<dyn std::error::Error + Send + Sync>) -> RepositoryError {
    match error.downcast::<Error>() {
        Ok(error) => failed(*error),
        Err(other) => RepositoryError::Failed(other.to_string()),
    }
}

/// Whether the statement is to blame, which is this program's own, or the schema, which somebody has changed.
///
/// Diesel tells few SQLSTATEs, as kinds. Of the others only those that are about a statement's text (class 42) come with a
/// position in it; what remains is the server's: a full disk, a lock, a time limit, an operator.
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

/// A stored value that breaks a rule of the domain, which the schema's checks should have kept out.
pub(super) fn corrupt(error: impl std::fmt::Display) -> RepositoryError {
    RepositoryError::Failed(format!("a stored value breaks its rule: {error}"))
}
