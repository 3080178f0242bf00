//! The reader: the role that runs stored SQL. It may read the data schemas, for a limited time, and nothing else.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::sql_types::{Array, Bool, Nullable, Text};
use diesel::{OptionalExtension, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use metricd_database::{DataSchemas, DatabaseUrl, quote_identifier};
use postgres_protocol::password::scram_sha_256;
use secrecy::ExposeSecret;

use crate::connection::{ConnectError, connect_as_owner, connect_as_reader};
use crate::hardening::LOCK;

/// The query for faults, run as the reader.
const FAULTS: &str = include_str!("reader/faults.sql");

/// On a private server: the limit of temporary files of a statement in KiB, and which messages of the reader's
/// sessions go to the server's log. Not its errors, which quote values of any size: the runner reports those.
const PRIVATE_SETTINGS: [(&str, &str); 2] = [("temp_file_limit", "524288"), ("log_min_messages", "fatal")];

/// The limits of the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderLimits {
    /// How long one of its statements may run.
    pub statement_timeout: Duration,
    /// How many connections it may have at once.
    pub connections: u32,
    /// Whether the server is a private one, where the owner is a superuser: then its temporary files are bounded, and its
    /// errors stay out of the server's log.
    pub on_private_server: bool,
}

impl Default for ReaderLimits {
    /// 5 s and 50 connections, on a server of the operator.
    fn default() -> Self {
        Self { statement_timeout: Duration::from_secs(5), connections: 50, on_private_server: false }
    }
}

/// Why the reader cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// The database cannot be reached as that role.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The reader and the owner are one role.
    #[error("the reader `{0}` is the owner: stored SQL needs a role of its own, which may only read")]
    IsOwner(String),
    /// The database lacks a data schema.
    #[error("the database has no schema `{schema}`: it has {existing}")]
    NoSchema {
        /// The schema.
        schema: String,
        /// The schemas that it has, for messages.
        existing: String,
    },
    /// Both have to be about one database.
    #[error("the owner is in {owner} and the reader in {reader}, which are two databases: give both URLs the same one")]
    OtherDatabase {
        /// The owner's database.
        owner: String,
        /// The reader's database.
        reader: String,
    },
    /// The role has rights that a reader must not have, or lacks what protects it.
    #[error("the role `{role}` is not a safe reader: {fault}; {advice}")]
    Unsafe {
        /// The role.
        role: String,
        /// What is wrong with it, in words.
        fault: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// The role exists, and is somebody else's: its settings would hold for whoever uses it now.
    #[error(
        "the role `{role}` cannot become the reader: {fault}. Nothing was changed: give the reader a role of its own"
    )]
    InUse {
        /// The role.
        role: String,
        /// Who uses it, or what it may do, in words.
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

/// Refuses an existing role that [`prepare_reader`] would take from another use, or that could not become a reader:
/// one with privileges in other databases, or with more privileges than a reader may have. Changes nothing.
///
/// # Errors
///
/// [`ReaderError::InUse`], or [`ReaderError::Connect`] if one of the roles cannot connect.
pub fn check_candidate(owner: &DatabaseUrl, reader: &DatabaseUrl, schemas: &DataSchemas) -> Result<(), ReaderError> {
    let mut connection = connect_as_owner(owner)?;
    let role = reader.user().to_owned();
    let refused = |error: diesel::result::Error| ReaderError::Refused {
        role: role.clone(),
        message: error.to_string(),
        advice: "Nothing was changed".to_owned(),
    };
    let known = sql_query(include_str!("reader/candidate.sql")).bind::<Text, _>(reader.user());
    let known = known.bind::<Array<Text>, _>(schemas.names());
    let candidate: Option<Candidate> = known.get_result(&mut connection).optional().map_err(refused)?;
    let fault = match candidate {
        None | Some(Candidate { is_reader: true, .. }) => return Ok(()),
        Some(Candidate { elsewhere: Some(database), .. }) => {
            Some(format!("it has rights in the database `{database}`"))
        }
        // Only its own session shows its privileges here.
        Some(_) => faults_of(reader, schemas)?.into_iter().find(|fault| !fault.is_mended).map(|fault| fault.fault),
    };
    fault.map_or(Ok(()), |fault| Err(ReaderError::InUse { role, fault }))
}

/// Creates the reader if it does not exist, sets its limits, and grants it the privilege to read the data schemas, and
/// tables that are created in them later, and nothing more. What is in order stays as it is; the password of an existing role is not changed. A role in another
/// use is refused, as by [`check_candidate`].
///
/// # Errors
///
/// [`ReaderError`]. If the owner lacks the privileges, the error says what an administrator has to do.
pub fn prepare_reader(
    owner: &DatabaseUrl,
    reader: &DatabaseUrl,
    schemas: &DataSchemas,
    limits: ReaderLimits,
) -> Result<(), ReaderError> {
    if owner.user() == reader.user() {
        return Err(ReaderError::IsOwner(reader.user().to_owned()));
    }
    if owner.database() != reader.database() {
        let (owner, reader) = (owner.to_string(), reader.to_string());
        return Err(ReaderError::OtherDatabase { owner, reader });
    }
    let mut connection = connect_as_owner(owner)?;
    let role = quote_identifier(reader.user());
    let settings = settings(&role, schemas, limits);
    let refused = |message: String| ReaderError::Refused {
        role: reader.user().to_owned(),
        message,
        advice: administrators_script(&role, owner, schemas, &settings),
    };
    check_schemas(&mut connection, schemas, |error| refused(error.to_string()))?;
    check_candidate(owner, reader, schemas)?;
    let mut prepare = || -> diesel::QueryResult<()> {
        connection.batch_execute("BEGIN")?;
        // In PostgreSQL, concurrent changes of a role or of the privileges of a database fail.
        connection.batch_execute(LOCK)?;
        if !role_exists(&mut connection, reader.user())? {
            connection.batch_execute(&create_role(&role, reader))?;
        }
        if !is_limited(&mut connection, reader.user(), schemas, limits)? {
            connection.batch_execute(&settings)?;
        }
        connection.batch_execute(&grants(&role, owner.database()))?;
        connection.batch_execute("COMMIT")
    };
    prepare().map_err(|error| refused(error.to_string()))?;
    schemas.names().iter().try_for_each(|schema| grant_schema(&mut connection, owner, reader, schema))
}

/// Checks that the database has the schemas.
fn check_schemas(
    connection: &mut PgConnection,
    schemas: &DataSchemas,
    refused: impl FnOnce(diesel::result::Error) -> ReaderError,
) -> Result<(), ReaderError> {
    let query = sql_query(
        "SELECT nspname::text AS name FROM pg_catalog.pg_namespace
         WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'catalog', 'tenancy') ORDER BY 1",
    );
    let existing = query.load::<Name>(connection).map_err(refused)?;
    let is_missing = |schema: &&String| !existing.iter().any(|existing| existing.name == **schema);
    let Some(schema) = schemas.names().iter().find(is_missing) else { return Ok(()) };
    let existing: Vec<_> = existing.iter().map(|existing| format!("`{}`", existing.name)).collect();
    Err(ReaderError::NoSchema { schema: schema.clone(), existing: existing.join(", ") })
}

/// Grants the reader the privilege to read a schema, unless it has that already: its tables may belong to others than
/// the owner role.
fn grant_schema(
    connection: &mut PgConnection,
    owner: &DatabaseUrl,
    reader: &DatabaseUrl,
    schema: &str,
) -> Result<(), ReaderError> {
    let (owner, role, name) =
        (quote_identifier(owner.user()), quote_identifier(reader.user()), quote_identifier(schema));
    let mut statements = Vec::from(schema_grants(&role, &name));
    let mut grant = || -> diesel::QueryResult<()> {
        let query = sql_query(include_str!("reader/schema.sql"));
        let query = query.bind::<Text, _>(reader.user()).bind::<Text, _>(schema);
        let SchemaPrivileges { has_access, is_usable, creators } = query.get_result(connection)?;
        let defaults = creators.iter().map(|creator| {
            let creator = quote_identifier(creator);
            format!("ALTER DEFAULT PRIVILEGES FOR ROLE {creator} IN SCHEMA {name} GRANT SELECT ON TABLES TO {role};")
        });
        if has_access {
            statements.clear();
        }
        if !is_usable {
            statements.push(format!("GRANT USAGE ON SCHEMA {name} TO {owner};"));
        }
        statements.extend(defaults);
        if statements.is_empty() { Ok(()) } else { connection.batch_execute(&statements.concat()) }
    };
    grant().map_err(|error| ReaderError::Refused {
        role: reader.user().to_owned(),
        message: error.to_string(),
        advice: format!("Have an administrator run: {}", statements.join(" ")),
    })
}

fn create_role(role: &str, reader: &DatabaseUrl) -> String {
    // The statement contains the verifier, not the password, which could otherwise appear in the log.
    let password = reader.password().map(|password| scram_sha_256(password.expose_secret().as_bytes()));
    let password = password.map(|verifier| format!(" PASSWORD '{verifier}'")).unwrap_or_default();
    format!(
        "CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS{password}"
    )
}

fn settings(role: &str, schemas: &DataSchemas, limits: ReaderLimits) -> String {
    // On one line, since an administrator is shown it.
    let connections = format!("CONNECTION LIMIT {}", limits.connections);
    let values = role_settings(limits).into_iter().map(|(name, value)| format!("SET {name} = {value}"));
    let search_path = format!("SET search_path = {}", schemas.search_path());
    let values = values.chain([search_path]);
    let all = std::iter::once(connections).chain(values);
    all.map(|setting| format!("ALTER ROLE {role} {setting};")).collect::<Vec<_>>().join(" ")
}

/// The settings of the role's sessions besides the search path, in the form in which PostgreSQL stores them.
fn role_settings(limits: ReaderLimits) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("default_transaction_read_only", "on".to_owned()),
        ("statement_timeout", format!("'{}ms'", limits.statement_timeout.as_millis())),
        ("idle_in_transaction_session_timeout", "'60s'".to_owned()),
    ];
    if limits.on_private_server {
        settings.extend(PRIVATE_SETTINGS.map(|(name, value)| (name, format!("'{value}'"))));
    }
    settings
}

/// What an administrator has to run instead of the owner.
fn administrators_script(role: &str, owner: &DatabaseUrl, schemas: &DataSchemas, settings: &str) -> String {
    let grants = grants(role, owner.database());
    let owner = quote_identifier(owner.user());
    let of_schema = |schema: &String| {
        let schema = quote_identifier(schema);
        [schema_grants(role, &schema).join(" "), format!("GRANT USAGE ON SCHEMA {schema} TO {owner};")]
    };
    let of_schemas: Vec<_> = schemas.names().iter().flat_map(of_schema).collect();
    let of_schemas = of_schemas.join(" ");
    format!(
        "Have an administrator run the following, without CREATE ROLE if the role exists: CREATE ROLE {role} LOGIN PASSWORD '…'; \
         {settings} {grants} {of_schemas}"
    )
}

fn schema_grants(role: &str, schema: &str) -> [String; 2] {
    [
        format!("GRANT USAGE ON SCHEMA {schema} TO {role};"),
        format!("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};"),
    ]
}

fn grants(role: &str, database: &str) -> String {
    let database = quote_identifier(database);
    // On one line, since an administrator is shown it.
    format!(
        "GRANT CONNECT ON DATABASE {database} TO {role}; \
         GRANT USAGE ON SCHEMA tenancy TO {role}; \
         GRANT EXECUTE ON FUNCTION tenancy.enter(text), tenancy.current_tenant() TO {role}; \
         REVOKE ALL ON SCHEMA catalog FROM PUBLIC, {role}; \
         REVOKE ALL ON ALL TABLES IN SCHEMA catalog FROM PUBLIC, {role}; \
         REVOKE ALL ON ALL FUNCTIONS IN SCHEMA catalog FROM PUBLIC, {role};"
    )
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct SchemaPrivileges {
    /// Whether the reader needs no grants on its tables.
    #[diesel(sql_type = Bool)]
    has_access: bool,
    /// Whether the owner may name its tables.
    #[diesel(sql_type = Bool)]
    is_usable: bool,
    /// The roles that create tables there, and whose tables the reader may not read by default.
    #[diesel(sql_type = Array<Text>)]
    creators: Vec<String>,
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

/// Whether the role has its settings, so that an owner who may not alter roles can use one that an administrator
/// created.
fn is_limited(
    connection: &mut PgConnection,
    role: &str,
    schemas: &DataSchemas,
    limits: ReaderLimits,
) -> diesel::QueryResult<bool> {
    let query = sql_query(
        "SELECT EXISTS (
             SELECT FROM pg_roles WHERE rolname = $1 AND rolconnlimit = $2::integer AND rolconfig @> $3
             AND ('search_path=' || (
                 SELECT string_agg(quote_ident(name), ', ' ORDER BY number)
                 FROM unnest($4) WITH ORDINALITY AS searched (name, number)
             )) = ANY (rolconfig)
         ) AS answer",
    );
    let settings = role_settings(limits).into_iter();
    // An administrator may have chosen another one.
    let settings = settings.filter(|(name, _)| *name != "idle_in_transaction_session_timeout");
    let settings: Vec<_> = settings.map(|(name, value)| format!("{name}={}", value.trim_matches('\''))).collect();
    let query = query.bind::<Text, _>(role).bind::<Text, _>(limits.connections.to_string());
    let query = query.bind::<Array<Text>, _>(settings).bind::<Array<Text>, _>(schemas.names());
    Ok(query.get_result::<Answer>(connection)?.answer)
}

/// An existing role.
#[derive(QueryableByName)]
struct Candidate {
    /// Whether it has the settings of a reader.
    #[diesel(sql_type = Bool)]
    is_reader: bool,
    /// Another database in which it owns something or has rights.
    #[diesel(sql_type = Nullable<Text>)]
    elsewhere: Option<String>,
}

#[derive(QueryableByName)]
struct Fault {
    #[diesel(sql_type = Text)]
    fault: String,
    /// Whether [`prepare_reader`] mends it.
    #[diesel(sql_type = Bool)]
    is_mended: bool,
}

/// The faults that PostgreSQL finds in the reader, queried as that role.
fn faults_of(reader: &DatabaseUrl, schemas: &DataSchemas) -> Result<Vec<Fault>, ReaderError> {
    let mut connection = connect_as_reader(reader)?;
    let refused = |error: diesel::result::Error| ReaderError::Refused {
        role: reader.user().to_owned(),
        message: error.to_string(),
        advice: "Run `metricd migrate` first".to_owned(),
    };
    sql_query(FAULTS).bind::<Array<Text>, _>(schemas.names()).load::<Fault>(&mut connection).map_err(refused)
}

/// Checks, as the reader, that the reader has the privileges and settings that it must have.
///
/// # Errors
///
/// [`ReaderError::Unsafe`] with the first fault, [`ReaderError::Connect`] if the reader cannot connect.
pub fn check_reader(reader: &DatabaseUrl, schemas: &DataSchemas) -> Result<(), ReaderError> {
    let Some(Fault { fault, is_mended }) = faults_of(reader, schemas)?.into_iter().next() else { return Ok(()) };
    let advice = if is_mended {
        "run `metricd migrate`, which mends that"
    } else {
        "have an administrator mend that, or give the reader another role"
    };
    Err(ReaderError::Unsafe { role: reader.user().to_owned(), fault, advice })
}
