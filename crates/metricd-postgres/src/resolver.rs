//! PostgreSQL's own account of a statement: prepared for the types of its parameters, made a view for everything else, and
//! all of it rolled back.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Array, Jsonb, Text};
use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query};
use metricd_domain::{ContractColumn, ContractTable};
use metricd_execution::{Allowed, Resolution, Resolvable, ResolveError, ResolvedFunction, Resolver};
use serde::Deserialize;

use crate::DatabaseUrl;
use crate::connection::connect;

/// How long PostgreSQL may take for one of the steps.
const STEP_TIMEOUT: &str = "10s";

/// What the statement is prepared as; the name is the session's own.
const PREPARE: &str = "PREPARE metricd_judged AS ";

const WAREHOUSE: &str = include_str!("resolver/warehouse.sql");
const ACCOUNT: &str = include_str!("resolver/account.sql");

/// Asks PostgreSQL as the owner role, on a connection of its own, which is made when it is first needed.
pub struct PgResolver {
    owner: DatabaseUrl,
    connection: Mutex<Option<PgConnection>>,
}

impl fmt::Debug for PgResolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PgResolver").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl PgResolver {
    /// A resolver as the owner role. Does not connect yet.
    #[must_use]
    pub fn new(owner: &DatabaseUrl) -> Self {
        Self { owner: owner.clone(), connection: Mutex::new(None) }
    }

    /// Runs the operation in a transaction that is rolled back, with the names that stored SQL is run with.
    fn ask<T>(&self, operation: impl Fn(&mut PgConnection) -> Result<T, ResolveError>) -> Result<T, ResolveError> {
        let mut kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        // The database may have closed the connection since it was last used: once more with a new one, then.
        for is_retry in [false, true] {
            let mut connection = match kept.take() {
                Some(connection) if !is_retry => connection,
                _ => connect(&self.owner).map_err(|error| ResolveError::Unavailable(error.to_string()))?,
            };
            let begin = format!(
                "BEGIN; SET LOCAL search_path = warehouse; SET LOCAL statement_timeout = '{STEP_TIMEOUT}'; \
                 SET LOCAL lock_timeout = '{STEP_TIMEOUT}'; SET LOCAL timezone = 'UTC'; \
                 SET LOCAL standard_conforming_strings = on"
            );
            let answer = connection.batch_execute(&begin).map_err(refused).and_then(|()| operation(&mut connection));
            let is_over = connection.batch_execute("ROLLBACK").is_ok();
            if is_over {
                *kept = Some(connection);
                return answer;
            }
            if is_retry {
                return Err(ResolveError::Unavailable("the connection was lost".to_owned()));
            }
        }
        Err(ResolveError::Unavailable("the connection was lost".to_owned()))
    }
}

impl Resolver for PgResolver {
    fn warehouse(&self) -> Result<Allowed, ResolveError> {
        #[derive(QueryableByName)]
        struct Names {
            #[diesel(sql_type = Array<Text>)]
            functions: Vec<String>,
            #[diesel(sql_type = Array<Text>)]
            types: Vec<String>,
        }
        self.ask(|connection| {
            let Names { functions, types } = sql_query(WAREHOUSE).get_result(connection).map_err(refused)?;
            Ok(Allowed {
                warehouse_functions: functions.into_iter().collect(),
                warehouse_types: types.into_iter().collect(),
                ..Allowed::default()
            })
        })
    }

    fn resolve(&self, statement: &Resolvable) -> Result<Resolution, ResolveError> {
        self.ask(|connection| {
            let parameter_types = prepare(connection, &statement.text)?;
            let value = |index: usize| {
                let type_name = parameter_types.get(index).map_or("text", String::as_str);
                format!("CAST(NULL AS {type_name})")
            };
            let body = statement.with_values(value);
            // The name is seen by nobody else, and the transaction is never kept.
            sql_query(format!("CREATE VIEW catalog.metricd_judged AS\n{body}\n"))
                .execute(connection)
                .map_err(|error| without_place(refused(error)))?;
            let account = account(connection).map_err(refused)?;
            Ok(Resolution { parameter_types, ..account })
        })
    }

    fn check(&self, text: &str) -> Result<(), ResolveError> {
        self.ask(|connection| prepare(connection, text).map(|_| ()))
    }
}

/// The types of the parameters. The statement is not kept prepared.
fn prepare(connection: &mut PgConnection, text: &str) -> Result<Vec<String>, ResolveError> {
    #[derive(QueryableByName)]
    struct Types {
        #[diesel(sql_type = Array<Text>)]
        types: Vec<String>,
    }
    // A prepared statement outlives a transaction that is rolled back, as it does one that fails here.
    connection.batch_execute("DEALLOCATE ALL").map_err(refused)?;
    sql_query(format!("{PREPARE}{text}")).execute(connection).map_err(refused)?;
    let types = "SELECT parameter_types::text[] AS types FROM pg_prepared_statements WHERE name = 'metricd_judged'";
    let types: Types = sql_query(types).get_result(connection).map_err(refused)?;
    connection.batch_execute("DEALLOCATE metricd_judged").map_err(refused)?;
    Ok(types.types)
}

#[derive(Debug, Deserialize)]
struct Account {
    columns: Vec<ContractColumn>,
    tables: Vec<ContractTable>,
    functions: Vec<FunctionRow>,
    session_words: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct FunctionRow {
    schema: String,
    name: String,
    is_volatile: bool,
    is_security_definer: bool,
    is_named: bool,
}

impl From<FunctionRow> for ResolvedFunction {
    fn from(row: FunctionRow) -> Self {
        let FunctionRow { schema, name, is_volatile, is_security_definer, is_named } = row;
        Self { schema, name, is_volatile, is_security_definer, is_named }
    }
}

/// What the catalogs say of the view.
fn account(connection: &mut PgConnection) -> QueryResult<Resolution> {
    #[derive(QueryableByName)]
    struct Document {
        #[diesel(sql_type = Jsonb)]
        account: serde_json::Value,
    }
    let document: Document = sql_query(ACCOUNT).get_result(connection)?;
    let account: Account =
        serde_json::from_value(document.account).map_err(|error| Error::DeserializationError(Box::new(error)))?;
    Ok(Resolution {
        columns: account.columns,
        parameter_types: Vec::new(),
        tables: account.tables,
        functions: account.functions.into_iter().map(ResolvedFunction::from).collect(),
        session_words: account.session_words,
    })
}

/// What PostgreSQL's refusal means.
fn refused(error: Error) -> ResolveError {
    match error {
        Error::DatabaseError(DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand, info) => {
            ResolveError::Unavailable(info.message().to_owned())
        }
        // Diesel tells no SQLSTATE. Where the database had no time for it, the SQL is not to blame.
        Error::DatabaseError(_, info) if info.message().starts_with("canceling statement due to") => {
            ResolveError::Unavailable(info.message().to_owned())
        }
        Error::DatabaseError(_, info) if info.message().ends_with("specified more than once") => {
            ResolveError::ColumnRepeated(info.message().to_owned())
        }
        Error::DatabaseError(_, info) => ResolveError::Refused {
            message: info.message().to_owned(),
            hint: info.hint().map(str::to_owned),
            character: info
                .statement_position()
                .and_then(|position| usize::try_from(position).ok()?.checked_sub(1 + PREPARE.chars().count())),
        },
        other => ResolveError::Unavailable(other.to_string()),
    }
}

/// A place in the text of a view is none in the statement's.
fn without_place(error: ResolveError) -> ResolveError {
    match error {
        ResolveError::Refused { message, hint, .. } => ResolveError::Refused { message, hint, character: None },
        other => other,
    }
}
