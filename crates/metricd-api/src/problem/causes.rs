//! Maps errors of the layers below to problems. The matches have no wildcard, so that a new error does not compile
//! until it has a status.

use metricd_database::{Fault, Outage, Trouble, fault_of};
use metricd_execution::{EncodeError, Finding, FindingCode, RunError, SqlValidationError};
use metricd_repository::RepositoryError;

use super::{FieldError, FindingResponse, Problem, ProblemCode};

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
            RepositoryError::TableNotFound(_) => return Self::new(ProblemCode::TableNotFound),
            RepositoryError::TableInUse { .. } | RepositoryError::TableReferenced(_) => {
                let problem = Self::new(ProblemCode::TableInUse).with_detail(sentence(&error.to_string()));
                let RepositoryError::TableInUse { readers, .. } = error else { return problem };
                return problem.with_extension("metrics", readers.into_iter().map(String::from).collect::<Vec<_>>());
            }
            RepositoryError::ChangedMeanwhile => return Self::new(ProblemCode::IngestionOutrun),
            RepositoryError::Unavailable(_) => ProblemCode::DatabaseUnavailable,
            RepositoryError::ReadOnly(_) => return unavailable(Fault::ReadOnly).caused_by(error),
            RepositoryError::NoConnection => ProblemCode::NoConnection,
            // No route looks these up by an id of the client, so an absent one is a fault of the server.
            RepositoryError::QueryNotFound(_)
            | RepositoryError::Input(_)
            | RepositoryError::Inconsistent(_)
            | RepositoryError::Failed(_) => ProblemCode::InternalError,
        };
        Self::new(code).caused_by(error)
    }
}

impl From<RunError> for Problem {
    fn from(error: RunError) -> Self {
        let code = match &error {
            // The tables changed at each refresh of the contract.
            RunError::Unavailable(_) | RunError::Drifted => ProblemCode::DatabaseUnavailable,
            RunError::NoConnection { .. } => ProblemCode::NoConnection,
            RunError::ConnectionsStuck => ProblemCode::ConnectionsStuck,
            RunError::TooManyStreams { .. } => ProblemCode::TooManyStreams,
            RunError::TableLocked => ProblemCode::TableLocked,
            RunError::PositionNotReached => ProblemCode::PositionNotReached,
            RunError::NotStopped { .. } => ProblemCode::QueryNotStopped,
            RunError::Quarantined => ProblemCode::StatementQuarantined,
            // A server with tenants has no cost limit: the estimate would depend on the rows of all of them.
            RunError::TooCostly { cost, limit } => {
                let detail = format!(
                    "With these parameters, the estimated cost of the metric's SQL is {cost:.0}, and the limit is {limit}. Request \
                     less, such as a shorter period."
                );
                return Self::new(ProblemCode::QueryTooCostly).with_detail(detail).caused_by(error);
            }
            RunError::TimedOut { .. } | RunError::ClientTooSlow { .. } => ProblemCode::QueryTimeout,
            RunError::Failed { sqlstate, .. } => match fault_of(sqlstate) {
                // Stored SQL runs in read-only transactions, so writing is a fault of the SQL.
                Fault::Statement | Fault::Value | Fault::Constraint | Fault::ReadOnly => ProblemCode::QueryFailed,
                Fault::Cancelled => ProblemCode::QueryTimeout,
                Fault::Unavailable(_) => return unavailable(fault_of(sqlstate)).caused_by(error),
            },
            RunError::Encode(EncodeError::Malformed { .. } | EncodeError::Writer(_)) => ProblemCode::InternalError,
            // The caller may see the names of columns; the message quotes no value.
            RunError::Encode(encode @ (EncodeError::Unrepresentable { .. } | EncodeError::TooLarge(_))) => {
                let detail = sentence(&encode.to_string());
                return Self::new(ProblemCode::ResultUnrepresentable).with_detail(detail).caused_by(error);
            }
        };
        Self::new(code).caused_by(error)
    }
}

/// A message as a sentence.
fn sentence(message: &str) -> String {
    let mut characters = message.chars();
    characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).chain(['.']).collect()
}

impl From<SqlValidationError> for Problem {
    fn from(error: SqlValidationError) -> Self {
        match error {
            SqlValidationError::Refused(findings) => refused(&findings),
            SqlValidationError::Unavailable(outage) => outage.into(),
        }
    }
}

impl From<Outage> for Problem {
    fn from(outage: Outage) -> Self {
        unavailable(outage.fault).caused_by(outage)
    }
}

/// The problem of refused SQL, with every finding.
fn refused(findings: &[Finding]) -> Problem {
    let errors = findings.iter().map(|finding| FieldError {
        field: if finding.code == FindingCode::Period { "period" } else { "sql" }.to_owned(),
        message: format!("line {}, column {}: {}", finding.position.line, finding.position.column, finding.message),
    });
    let responses: Vec<_> = findings
        .iter()
        .map(|finding| FindingResponse {
            code: finding.code.code(),
            line: finding.position.line,
            column: finding.position.column,
            words: &finding.snippet,
            message: &finding.message,
        })
        .collect();
    let responses = serde_json::to_value(responses).unwrap_or_default();
    Problem::new(ProblemCode::SqlRefused).with_errors(errors.collect()).with_extension("findings", responses)
}

/// The problem of an unavailable database, with a detail for the fault.
fn unavailable(fault: Fault) -> Problem {
    let problem = Problem::new(ProblemCode::DatabaseUnavailable);
    let detail = match fault {
        Fault::ReadOnly => "The database is read-only at the moment. Try again.",
        Fault::Unavailable(trouble) => match trouble {
            Trouble::Unreachable => "The database cannot be reached at the moment. Try again.",
            Trouble::Locked => "A table is locked for a change at the moment. Try again.",
            Trouble::NotReady => "An object in the database is not ready, such as a materialized view without data.",
            Trouble::Conflict => {
                "The database has cancelled the statement because of a conflict with another transaction. Try again."
            }
            Trouble::DiskFull => "The database's disk is full. Try again when its operator has freed space.",
            Trouble::OutOfMemory => "The database has too little memory for the statement at the moment. Try again.",
            Trouble::Exhausted => "The database has run out of connections or another resource. Try again.",
            Trouble::Foreign => "Another server that the database reads from has failed. Try again.",
            Trouble::Internal => {
                "The database reports an internal error. The server's log has the cause under the request's id."
            }
        },
        // The code's detail applies.
        Fault::Statement | Fault::Value | Fault::Constraint | Fault::Cancelled => return problem,
    };
    problem.with_constant_detail(detail)
}
