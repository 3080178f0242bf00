//! PostgreSQL's own account of a statement: prepared for the types of its parameters, made a view for everything else, and
//! all of it rolled back.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Array, Jsonb, Nullable, Text};
use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query};
use metricd_domain::{ContractColumn, ContractTable};
use metricd_execution::{Allowed, Resolution, Resolvable, ResolveError, ResolvedFunction, Resolver};
use serde::Deserialize;

use crate::DatabaseUrl;
use crate::connection::connect;

/// How long PostgreSQL may take for one of the steps.
const STEP_TIMEOUT: &str = "3s";

/// What the statement is prepared as; the name is the session's own.
const PREPARE: &str = "PREPARE metricd_judged AS ";

const WAREHOUSE: &str = include_str!("resolver/warehouse.sql");
const FINGERPRINT: &str = include_str!("fingerprint.sql");
const ACCOUNT: &str = include_str!("resolver/account.sql");

/// What each transaction is told: the names and settings that stored SQL is run with, and how the account is planned. It looks
/// up a few rows by their oid, for which PostgreSQL would rather read the whole of `pg_proc`.
const SETTINGS: &str = "SET LOCAL search_path = warehouse; SET LOCAL timezone = 'UTC'; \
                        SET LOCAL standard_conforming_strings = on; SET LOCAL plan_cache_mode = force_generic_plan; \
                        SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";

/// Asks PostgreSQL as the owner role, on connections of its own: as many as there are threads at once that ask. Each is made
/// when it is first needed.
pub struct PgResolver {
    owner: DatabaseUrl,
    /// Those that nobody uses at the moment: one for each of the most that were ever at work at once.
    idle: Mutex<Vec<Session>>,
}

/// A connection, and whether the account is prepared in it: planning it costs more than all else.
struct Session {
    connection: PgConnection,
    has_account: bool,
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
        Self { owner: owner.clone(), idle: Mutex::default() }
    }

    /// Runs the operation in a transaction that is rolled back.
    fn ask<T>(&self, operation: impl Fn(&mut Session) -> Result<T, ResolveError>) -> Result<T, ResolveError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The database may have closed the connection since it was last used: once more with a new one, then.
        for is_retry in [false, true] {
            let kept = idle().pop();
            let mut session = match kept {
                Some(session) if !is_retry => session,
                _ => Session::open(&self.owner)?,
            };
            let answer = session.begin().and_then(|()| operation(&mut session));
            if session.end(answer.is_err()).is_ok() {
                idle().push(session);
                return answer;
            }
        }
        Err(ResolveError::Unavailable("the connection was lost".to_owned()))
    }
}

impl Session {
    fn open(owner: &DatabaseUrl) -> Result<Self, ResolveError> {
        let connection = connect(owner).map_err(|error| ResolveError::Unavailable(error.to_string()))?;
        Ok(Self { connection, has_account: false })
    }

    fn begin(&mut self) -> Result<(), ResolveError> {
        let limits =
            format!("SET LOCAL statement_timeout = '{STEP_TIMEOUT}'; SET LOCAL lock_timeout = '{STEP_TIMEOUT}'");
        self.connection.batch_execute(&format!("BEGIN; {limits}; {SETTINGS}")).map_err(refused)
    }

    /// Takes everything back. A prepared statement outlives a transaction that is rolled back, so that one which failed may
    /// have left its own.
    fn end(&mut self, has_failed: bool) -> QueryResult<()> {
        self.connection.batch_execute("ROLLBACK")?;
        if has_failed {
            self.has_account = false;
            self.connection.batch_execute("DEALLOCATE ALL")?;
        }
        Ok(())
    }

    /// The types of the parameters. The statement is not kept prepared.
    fn prepare(&mut self, text: &str) -> Result<Vec<String>, ResolveError> {
        #[derive(QueryableByName)]
        struct Types {
            #[diesel(sql_type = Array<Text>)]
            types: Vec<String>,
        }
        sql_query(format!("{PREPARE}{text}")).execute(&mut self.connection).map_err(refused)?;
        let types = "SELECT parameter_types::text[] AS types FROM pg_prepared_statements WHERE name = 'metricd_judged'";
        let types: Types = sql_query(types).get_result(&mut self.connection).map_err(refused)?;
        self.connection.batch_execute("DEALLOCATE metricd_judged").map_err(refused)?;
        Ok(types.types)
    }

    /// What the catalogs say of the view.
    fn account(&mut self) -> QueryResult<Resolution> {
        #[derive(QueryableByName)]
        struct Document {
            #[diesel(sql_type = Jsonb)]
            account: serde_json::Value,
        }
        if !self.has_account {
            self.connection.batch_execute(&format!("PREPARE metricd_account (regclass) AS {ACCOUNT}"))?;
            self.has_account = true;
        }
        let execute = "EXECUTE metricd_account ('catalog.metricd_judged')";
        let document: Document = sql_query(execute).get_result(&mut self.connection)?;
        let account: Account =
            serde_json::from_value(document.account).map_err(|error| Error::DeserializationError(Box::new(error)))?;
        let fingerprint = if account.is_repeatable { self.fingerprint(&account.tables)? } else { None };
        Ok(Resolution {
            fingerprint,
            columns: account.columns,
            parameter_types: Vec::new(),
            tables: account.tables,
            functions: account.functions.into_iter().map(ResolvedFunction::from).collect(),
            session_words: account.session_words,
        })
    }
}

impl Session {
    fn fingerprint(&mut self, tables: &[ContractTable]) -> QueryResult<Option<String>> {
        #[derive(QueryableByName)]
        struct Fingerprint {
            #[diesel(sql_type = Nullable<Text>)]
            fingerprint: Option<String>,
        }
        let tables = serde_json::to_value(tables).map_err(|error| Error::SerializationError(Box::new(error)))?;
        let found: Fingerprint = sql_query(FINGERPRINT).bind::<Jsonb, _>(tables).get_result(&mut self.connection)?;
        Ok(found.fingerprint)
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
        self.ask(|session| {
            let Names { functions, types } =
                sql_query(WAREHOUSE).get_result(&mut session.connection).map_err(refused)?;
            Ok(Allowed {
                warehouse_functions: functions.into_iter().collect(),
                warehouse_types: types.into_iter().collect(),
                ..Allowed::default()
            })
        })
    }

    fn resolve(&self, statement: &Resolvable) -> Result<Resolution, ResolveError> {
        self.ask(|session| {
            let parameter_types = session.prepare(&statement.text)?;
            let value = |index: usize| {
                let type_name = parameter_types.get(index).map_or("text", String::as_str);
                format!("CAST(NULL AS {type_name})")
            };
            let body = statement.with_values(value);
            // The name is seen by nobody else, and the transaction is never kept.
            sql_query(format!("CREATE VIEW catalog.metricd_judged AS\n{body}\n"))
                .execute(&mut session.connection)
                .map_err(|error| without_place(refused(error)))?;
            let account = session.account().map_err(refused)?;
            Ok(Resolution { parameter_types, ..account })
        })
    }

    fn check(&self, text: &str) -> Result<(), ResolveError> {
        self.ask(|session| session.prepare(text).map(|_| ()))
    }
}

#[derive(Debug, Deserialize)]
struct Account {
    columns: Vec<ContractColumn>,
    tables: Vec<ContractTable>,
    functions: Vec<FunctionRow>,
    session_words: Vec<String>,
    /// Whether nothing but the rows of the tables and the parameters decides the result.
    is_repeatable: bool,
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
