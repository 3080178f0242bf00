//! The reader: the role that stored SQL runs as. It may read the warehouse, for a limited time, and nothing else.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::sql_types::{Bool, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use crate::DatabaseUrl;
use crate::connection::{ConnectError, connect, connect_as_owner};
use crate::hardening::LOCK;

/// What the reader may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderLimits {
    /// How long one of its statements may run.
    pub statement_timeout: Duration,
    /// How many connections it may have at once.
    pub connections: u32,
}

impl Default for ReaderLimits {
    /// 5 s, and 50 connections.
    fn default() -> Self {
        Self { statement_timeout: Duration::from_secs(5), connections: 50 }
    }
}

/// Why the reader is not as it has to be.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// The database cannot be reached as that role.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The reader and the owner are one role.
    #[error("the reader `{0}` is the owner: stored SQL needs a role of its own, which may only read")]
    IsOwner(String),
    /// Both have to be about one database.
    #[error("the owner's database is `{owner}` and the reader's `{reader}`: expected one database")]
    OtherDatabase {
        /// The owner's database.
        owner: String,
        /// The reader's database.
        reader: String,
    },
    /// The role has rights that a reader must not have, or lacks what protects it.
    #[error(
        "the role `{role}` is no safe reader: {fault}; run `metricd migrate`, have an administrator mend that, or give the reader another role"
    )]
    Unsafe {
        /// The role.
        role: String,
        /// What is wrong with it, in words.
        fault: String,
    },
    /// The owner may not make the role or set its limits.
    #[error("PostgreSQL refused to prepare the reader `{role}`: {message}. {advice}")]
    Refused {
        /// The role.
        role: String,
        /// What PostgreSQL said.
        message: String,
        /// What an administrator would have to do.
        advice: String,
    },
}

/// Makes the reader where it is not there yet, sets its limits, and gives it the right to read `warehouse` and nothing more.
/// What is in order already stays as it is; the password of a role that is there is not changed.
///
/// # Errors
///
/// [`ReaderError`]; where the owner may not do this, the error says what an administrator would have to do.
pub fn prepare_reader(owner: &DatabaseUrl, reader: &DatabaseUrl, limits: ReaderLimits) -> Result<(), ReaderError> {
    if owner.user() == reader.user() {
        return Err(ReaderError::IsOwner(reader.user().to_owned()));
    }
    if owner.database() != reader.database() {
        let (owner, reader) = (owner.database().to_owned(), reader.database().to_owned());
        return Err(ReaderError::OtherDatabase { owner, reader });
    }
    let mut connection = connect_as_owner(owner)?;
    let role = quoted(reader.user());
    let settings = settings(&role, limits);
    let refused = |message: String| ReaderError::Refused {
        role: reader.user().to_owned(),
        message,
        advice: format!("Have an administrator run: CREATE ROLE {role} LOGIN PASSWORD '…'; {settings}"),
    };
    let mut prepare = || -> diesel::QueryResult<()> {
        connection.batch_execute("BEGIN")?;
        // Changing a role, or the rights of the database, twice at once is an error in PostgreSQL.
        connection.batch_execute(LOCK)?;
        if !role_exists(&mut connection, reader.user())? {
            connection.batch_execute(&create_role(&role, reader))?;
        }
        if !is_limited(&mut connection, reader.user(), limits)? {
            connection.batch_execute(&settings)?;
        }
        connection.batch_execute(&grants(&role, owner.database()))?;
        connection.batch_execute("COMMIT")
    };
    prepare().map_err(|error| refused(error.to_string()))
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn create_role(role: &str, reader: &DatabaseUrl) -> String {
    // PostgreSQL is given the verifier, not the password, which would otherwise stand in its log where it logs statements.
    let password = reader.password().map(postgres_protocol::password::scram_sha_256);
    let password = password.map(|verifier| format!(" PASSWORD '{verifier}'")).unwrap_or_default();
    format!(
        "CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS{password}"
    )
}

fn settings(role: &str, limits: ReaderLimits) -> String {
    let milliseconds = limits.statement_timeout.as_millis();
    // On one line, since an administrator is shown it.
    [
        format!("CONNECTION LIMIT {}", limits.connections),
        "SET default_transaction_read_only = on".to_owned(),
        format!("SET statement_timeout = '{milliseconds}ms'"),
        "SET idle_in_transaction_session_timeout = '60s'".to_owned(),
        "SET search_path = warehouse".to_owned(),
    ]
    .map(|setting| format!("ALTER ROLE {role} {setting};"))
    .join(" ")
}

fn grants(role: &str, database: &str) -> String {
    let database = quoted(database);
    format!(
        "GRANT CONNECT ON DATABASE {database} TO {role};
         GRANT USAGE ON SCHEMA warehouse TO {role};
         GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO {role};
         ALTER DEFAULT PRIVILEGES IN SCHEMA warehouse GRANT SELECT ON TABLES TO {role};
         GRANT USAGE ON SCHEMA tenancy TO {role};
         GRANT EXECUTE ON FUNCTION tenancy.enter(text), tenancy.current_tenant() TO {role};
         REVOKE ALL ON SCHEMA catalog FROM PUBLIC, {role};
         REVOKE ALL ON ALL TABLES IN SCHEMA catalog FROM PUBLIC, {role};
         REVOKE ALL ON ALL FUNCTIONS IN SCHEMA catalog FROM PUBLIC, {role};"
    )
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    answer: bool,
}

fn role_exists(connection: &mut PgConnection, role: &str) -> diesel::QueryResult<bool> {
    let query = sql_query("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS answer");
    Ok(query.bind::<Text, _>(role).get_result::<Answer>(connection)?.answer)
}

/// Whether the role has its settings, so that an owner who may not alter roles can use one that an administrator has made.
fn is_limited(connection: &mut PgConnection, role: &str, limits: ReaderLimits) -> diesel::QueryResult<bool> {
    let query = sql_query(
        "SELECT EXISTS (
             SELECT FROM pg_roles WHERE rolname = $1 AND rolconnlimit = $2::integer AND rolconfig @> ARRAY[
                 'default_transaction_read_only=on', 'statement_timeout=' || $3, 'search_path=warehouse'
             ]
         ) AS answer",
    );
    let timeout = format!("{}ms", limits.statement_timeout.as_millis());
    let query = query.bind::<Text, _>(role).bind::<Text, _>(limits.connections.to_string()).bind::<Text, _>(timeout);
    Ok(query.get_result::<Answer>(connection)?.answer)
}

#[derive(QueryableByName)]
struct Fault {
    #[diesel(sql_type = Text)]
    fault: String,
}

/// Asks PostgreSQL, as the reader, whether the reader is as it has to be.
///
/// # Errors
///
/// [`ReaderError::Unsafe`] with the first fault, [`ReaderError::Connect`] where the reader cannot connect.
pub fn check_reader(reader: &DatabaseUrl) -> Result<(), ReaderError> {
    let mut connection = connect(reader)?;
    let faults = sql_query(FAULTS).load::<Fault>(&mut connection).map_err(|error| ReaderError::Refused {
        role: reader.user().to_owned(),
        message: error.to_string(),
        advice: "Run `metricd migrate` first".to_owned(),
    })?;
    match faults.into_iter().next() {
        None => Ok(()),
        Some(Fault { fault }) => Err(ReaderError::Unsafe { role: reader.user().to_owned(), fault }),
    }
}

const FAULTS: &str = "
    SELECT 'it is a superuser' AS fault FROM pg_roles
    WHERE rolname = current_user AND rolsuper
    UNION ALL SELECT 'it may make roles or databases, replicate, or pass over row security' FROM pg_roles
    WHERE rolname = current_user AND (rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
    UNION ALL SELECT 'it is a member of `' || r.rolname || '`' FROM pg_roles r
    WHERE r.rolname <> current_user AND pg_has_role(current_user, r.oid, 'MEMBER')
    UNION ALL SELECT 'the schema `' || n.name || '` is missing' FROM (VALUES ('catalog'), ('tenancy'), ('warehouse')) AS n (name)
    WHERE to_regnamespace(n.name) IS NULL
    UNION ALL SELECT 'it may use the schema `catalog`'
    WHERE has_schema_privilege(to_regnamespace('catalog')::oid, 'USAGE')
    UNION ALL SELECT 'it may not use the schema `warehouse`'
    WHERE NOT has_schema_privilege(to_regnamespace('warehouse')::oid, 'USAGE')
    UNION ALL SELECT 'it may not use the schema `tenancy`'
    WHERE NOT has_schema_privilege(to_regnamespace('tenancy')::oid, 'USAGE')
    UNION ALL SELECT 'it may create in the schema `' || n.nspname || '`' FROM pg_namespace n
    WHERE has_schema_privilege(n.oid, 'CREATE') AND n.nspname !~ '^pg_(toast_)?temp_'
    UNION ALL SELECT 'it may write `' || c.oid::regclass || '`' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'warehouse' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
    UNION ALL SELECT 'its transactions are not read-only by default'
    WHERE current_setting('default_transaction_read_only') <> 'on'
    UNION ALL SELECT 'its statements have no time limit'
    WHERE current_setting('statement_timeout') = '0'
    UNION ALL SELECT 'its search_path is `' || current_setting('search_path') || '`, not `warehouse`'
    WHERE current_setting('search_path') <> 'warehouse'";
