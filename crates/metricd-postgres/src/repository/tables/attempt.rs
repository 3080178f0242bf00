//! Statements that fail if others have changed a table, or made something that depends on it.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{PgConnection, sql_query};
use metricd_database::{Fault, fault_of};
use metricd_repository::{RepositoryError, TableRefusal, TableRefusalCause};

use crate::connection::first_line;
use crate::repository::error::failed;

/// The maximum number of characters of a message of PostgreSQL. A detail may have the values of a whole row.
const MAX_MESSAGE_CHARS: usize = 500;

/// Why a step of a table failed.
#[derive(Debug)]
pub(super) enum TableError {
    /// The same step would fail again.
    Refused(RefusedStatement),
    /// A COPY failed, and Diesel does not report its SQLSTATE.
    Unclassified(RepositoryError),
    /// The store failed.
    Store(RepositoryError),
}

/// A statement that PostgreSQL refuses because of the table.
#[derive(Debug)]
pub(super) struct RefusedStatement {
    pub(super) cause: TableRefusalCause,
    pub(super) sqlstate: String,
    /// The table that PostgreSQL names.
    pub(super) table: Option<String>,
    pub(super) column: Option<String>,
    pub(super) message: String,
}

impl RefusedStatement {
    fn new(sqlstate: &str, message: &str, detail: Option<&str>) -> Self {
        let detail = detail.filter(|detail| !detail.is_empty()).map(|detail| format!(": {detail}")).unwrap_or_default();
        let message = metricd_domain::shortened(&format!("{message}{detail}"), MAX_MESSAGE_CHARS);
        Self { cause: TableRefusalCause::Database, sqlstate: sqlstate.to_owned(), table: None, column: None, message }
    }

    pub(super) fn refusal(self) -> TableRefusal {
        let refusal = TableRefusal::new(self.cause, self.message);
        match self.column {
            Some(column) => refusal.of_column(column),
            None => refusal,
        }
    }
}

impl From<RepositoryError> for TableError {
    fn from(error: RepositoryError) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for TableError {
    fn from(error: Error) -> Self {
        Self::Store(failed(error))
    }
}

#[derive(QueryableByName)]
struct Attempt {
    #[diesel(sql_type = Nullable<BigInt>)]
    row_count: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    error_code: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    message: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    detail: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    of_table: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    of_column: Option<String>,
}

/// Runs a statement, and returns the number of its rows.
pub(super) fn execute(connection: &mut PgConnection, statement: &str) -> Result<u64, TableError> {
    let attempt: Attempt =
        sql_query("SELECT * FROM catalog.try_statement($1)").bind::<Text, _>(statement).get_result(connection)?;
    let Some(sqlstate) = attempt.error_code else {
        return Ok(attempt.row_count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default());
    };
    let message = attempt.message.unwrap_or_default();
    match fault_of(&sqlstate) {
        Fault::Statement | Fault::Value | Fault::Constraint => {
            let named = |name: Option<String>| name.filter(|name| !name.is_empty());
            Err(TableError::Refused(RefusedStatement {
                table: named(attempt.of_table),
                column: named(attempt.of_column),
                ..RefusedStatement::new(&sqlstate, &message, attempt.detail.as_deref())
            }))
        }
        Fault::ReadOnly => Err(RepositoryError::ReadOnly(first_line(&message)).into()),
        Fault::Cancelled | Fault::Unavailable(_) => Err(RepositoryError::Unavailable(first_line(&message)).into()),
    }
}

/// The error of a COPY.
pub(super) fn copy_failed(error: Error) -> TableError {
    match &error {
        Error::DatabaseError(kind, info) => match sqlstate_of(*kind) {
            Some(sqlstate) => TableError::Refused(RefusedStatement {
                table: info.table_name().map(ToOwned::to_owned),
                column: info.column_name().map(ToOwned::to_owned),
                ..RefusedStatement::new(sqlstate, info.message(), info.details())
            }),
            None if matches!(kind, DatabaseErrorKind::Unknown) => TableError::Unclassified(failed(error)),
            None => TableError::Store(failed(error)),
        },
        _ => TableError::Store(failed(error)),
    }
}

/// The SQLSTATE of the violations of constraints, which Diesel reports.
fn sqlstate_of(kind: DatabaseErrorKind) -> Option<&'static str> {
    match kind {
        DatabaseErrorKind::UniqueViolation => Some("23505"),
        DatabaseErrorKind::ForeignKeyViolation => Some("23503"),
        DatabaseErrorKind::NotNullViolation => Some("23502"),
        DatabaseErrorKind::CheckViolation => Some("23514"),
        DatabaseErrorKind::RestrictViolation => Some("23001"),
        DatabaseErrorKind::ExclusionViolation => Some("23P01"),
        _ => None,
    }
}
