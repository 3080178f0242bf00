//! Which problem each error of the layers below is. The matches have no wildcard, so that a new error does not compile
//! until somebody has chosen its status.

use metricd_execution::{Fault, RunError, fault_of};
use metricd_repository::RepositoryError;

use super::{Problem, ProblemCode};

impl From<RepositoryError> for Problem {
    fn from(error: RepositoryError) -> Self {
        let code = match &error {
            RepositoryError::MetricNotFound(_) => return Self::new(ProblemCode::MetricNotFound),
            RepositoryError::IngestionNotFound(_) => return Self::new(ProblemCode::IngestionNotFound),
            RepositoryError::MetricExists(_) => return Self::new(ProblemCode::MetricExists),
            RepositoryError::MetricDeleted(_) => return Self::new(ProblemCode::MetricDeleted),
            RepositoryError::VersionMismatch { .. } => return Self::new(ProblemCode::VersionMismatch),
            RepositoryError::IdempotencyKeyReused => return Self::new(ProblemCode::IdempotencyKeyReused),
            RepositoryError::DashboardNotFound(_) => return Self::new(ProblemCode::DashboardNotFound),
            RepositoryError::ChangedMeanwhile => return Self::new(ProblemCode::IngestionOutrun),
            RepositoryError::Unavailable(_) => ProblemCode::DatabaseUnavailable,
            RepositoryError::NoConnection => ProblemCode::NoConnection,
            // No route asks for these by an id of the client's, so that one which is absent is a fault of the server's.
            RepositoryError::QueryNotFound(_)
            | RepositoryError::Input(_)
            | RepositoryError::Constraint { .. }
            | RepositoryError::Failed(_) => ProblemCode::InternalError,
        };
        Self::new(code).caused_by(error)
    }
}

impl From<RunError> for Problem {
    fn from(error: RunError) -> Self {
        let code = match &error {
            // The tables have changed each time that the contract was renewed.
            RunError::Unavailable(_) | RunError::Drifted => ProblemCode::DatabaseUnavailable,
            RunError::NoConnection { .. } => ProblemCode::NoConnection,
            RunError::ConnectionsStuck => ProblemCode::ConnectionsStuck,
            RunError::TooManyStreams { .. } => ProblemCode::TooManyStreams,
            RunError::NotStopped { .. } => ProblemCode::QueryNotStopped,
            RunError::Quarantined => ProblemCode::StatementQuarantined,
            RunError::TooCostly { .. } => ProblemCode::QueryTooCostly,
            RunError::TimedOut { .. } | RunError::NotTaken { .. } => ProblemCode::QueryTimeout,
            RunError::Failed { sqlstate, .. } => match fault_of(sqlstate) {
                // Stored SQL runs in read-only transactions on purpose: one that writes is its author's.
                Fault::Statement | Fault::Value | Fault::Constraint | Fault::ReadOnly => ProblemCode::QueryFailed,
                Fault::Cancelled => ProblemCode::QueryTimeout,
                Fault::Unavailable => ProblemCode::DatabaseUnavailable,
            },
            RunError::Encode(_) => ProblemCode::InternalError,
        };
        Self::new(code).caused_by(error)
    }
}
