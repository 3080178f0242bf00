//! The reader: the role that runs stored SQL. It may read the data schemas, for a limited time.

mod notices;
mod prepare;
mod remote;

use std::time::Duration;

use diesel::sql_types::{Array, Bool, Nullable, Text};
use diesel::{OptionalExtension, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use metricd_database::{DataSchemas, DatabaseUrl, quote_identifier};

pub use self::notices::{reader_notices, reader_notices_elsewhere, schemas_besides};
pub use self::prepare::{administrators_script, prepare_reader, script_elsewhere, script_for_new_reader};
use crate::connection::{ConnectError, connect_as_owner, connect_as_reader};
use crate::identity::are_on_one_server;

/// The schema that metricd creates for data. It may be missing before the first migration.
const OWN_SCHEMA: &str = "warehouse";

/// The schemas of metricd in the catalog's database besides that one.
const METRICD_SCHEMAS: [&str; 2] = ["catalog", "tenancy"];

/// The comment of the role by which another database of the server recognises the reader.
const COMMENT: &str = "reader of metricd";

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
    #[error("there is no schema `{schema}`: the database has {existing}")]
    NoSchema {
        /// The schema.
        schema: String,
        /// The schemas that it has, for messages.
        existing: String,
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
    /// The reader was prepared for other data schemas than the ones that were given.
    #[error(
        "the reader `{role}` reads the schemas `{search_path}`, and this command expects {schemas}: give every command \
         the same --data-schema"
    )]
    OtherSchemas {
        /// The role.
        role: String,
        /// The search path of the role.
        search_path: String,
        /// The schemas that were given.
        schemas: DataSchemas,
    },
    /// SQL was validated in another database.
    #[error(
        "stored SQL was validated in {recorded}, and this command would validate or run it in {found}: if the data is there \
         now, run `metricd migrate` and then `metricd check`"
    )]
    OtherData {
        /// The database that is recorded.
        recorded: String,
        /// The database of the command.
        found: String,
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

/// Refuses URLs of one role, a data schema that the database does not have, and an existing role
/// that [`prepare_reader`] would take from another use, or that could not become a reader: one with privileges in other
/// databases, one that reads other schemas there, or one with more privileges than a reader may have. Call it before the
/// first migration. Changes nothing.
///
/// # Errors
///
/// [`ReaderError::IsOwner`], [`ReaderError::NoSchema`], [`ReaderError::InUse`];
/// [`ReaderError::Connect`] if one of the roles cannot connect, [`ReaderError::Refused`] if the state cannot be read.
pub fn check_candidate(owner: &DatabaseUrl, reader: &DatabaseUrl, schemas: &DataSchemas) -> Result<(), ReaderError> {
    if owner.user() == reader.user() {
        return Err(ReaderError::IsOwner(reader.user().to_owned()));
    }
    let mut connection = connect_as_owner(owner)?;
    let role = reader.user().to_owned();
    let refused = |error: diesel::result::Error| refused(&role, &error, "Nothing was changed");
    let existing = existing_schemas(&mut connection).map_err(refused)?;
    require_schemas(&existing, schemas.names().iter().filter(|schema| *schema != OWN_SCHEMA))?;
    let known = sql_query(include_str!("reader/candidate.sql")).bind::<Text, _>(reader.user());
    let known = known.bind::<Text, _>(COMMENT).bind::<Array<Text>, _>(schemas.names());
    let candidate: Option<Candidate> = known.get_result(&mut connection).optional().map_err(refused)?;
    let fault = match candidate {
        Some(Candidate { is_reader: true, elsewhere: Some(database), other_schemas: Some(list) }) => Some(format!(
            "it reads the schemas `{list}` for metricd in the database `{database}`, and the list of a role holds in all \
             databases of the server"
        )),
        None | Some(Candidate { is_reader: true, .. }) => return Ok(()),
        Some(Candidate { elsewhere: Some(database), .. }) => Some(format!(
            "it has rights in the database `{database}` (if it is metricd's reader there, run \
             COMMENT ON ROLE {} IS '{COMMENT}')",
            quote_identifier(&role)
        )),
        // Only its own session shows its privileges here.
        Some(_) => faults_of(reader, schemas, &METRICD_SCHEMAS)?
            .into_iter()
            .find(|fault| fault.kind == "lasting")
            .map(|fault| fault.fault),
    };
    fault.map_or(Ok(()), |fault| Err(ReaderError::InUse { role, fault }))
}

/// Checks, as the reader, that the reader has the privileges and settings that it must have in the catalog's database, or
/// on a standby of it.
///
/// # Errors
///
/// [`ReaderError::Unsafe`] or [`ReaderError::OtherSchemas`] with the first fault, [`ReaderError::Connect`] if the reader
/// cannot connect.
pub fn check_reader(reader: &DatabaseUrl, schemas: &DataSchemas) -> Result<(), ReaderError> {
    check(reader, schemas, &METRICD_SCHEMAS, "run `metricd migrate`, which mends that")
}

/// The same for a reader whose data is in another database than the catalog. metricd changes nothing there, and has no
/// schemas of its own there.
///
/// # Errors
///
/// As of [`check_reader`].
pub fn check_reader_elsewhere(
    owner: &DatabaseUrl,
    reader: &DatabaseUrl,
    schemas: &DataSchemas,
) -> Result<(), ReaderError> {
    if owner.user() == reader.user() && are_on_one_server(owner, reader)? {
        return Err(ReaderError::IsOwner(reader.user().to_owned()));
    }
    check(reader, schemas, &[], "have an administrator of that database run what `metricd connect` prints")
}

fn check(
    reader: &DatabaseUrl,
    schemas: &DataSchemas,
    metricd_schemas: &[&str],
    mending: &'static str,
) -> Result<(), ReaderError> {
    let Some(Fault { fault, kind }) = faults_of(reader, schemas, metricd_schemas)?.into_iter().next() else {
        return Ok(());
    };
    let role = reader.user().to_owned();
    let advice = match kind.as_str() {
        "other_schemas" => {
            return Err(ReaderError::OtherSchemas { role, search_path: fault, schemas: schemas.clone() });
        }
        "mended" => mending,
        _ => "have an administrator mend that, or give the reader another role",
    };
    Err(ReaderError::Unsafe { role, fault, advice })
}

/// Checks, as the owner, that the database has the data schemas, and that its reader was prepared for them. Without the
/// name of the reader, one of the readers of the database is enough. A database without a reader passes.
///
/// # Errors
///
/// [`ReaderError::IsOwner`], [`ReaderError::NoSchema`], [`ReaderError::OtherSchemas`], or [`ReaderError::Connect`] if the
/// owner cannot connect.
pub fn check_data_schemas(owner: &DatabaseUrl, role: Option<&str>, schemas: &DataSchemas) -> Result<(), ReaderError> {
    if let Some(role) = role.filter(|role| *role == owner.user()) {
        return Err(ReaderError::IsOwner(role.to_owned()));
    }
    let mut connection = connect_as_owner(owner)?;
    let refused = |error: diesel::result::Error| refused(role.unwrap_or(owner.user()), &error, "Nothing was changed");
    let existing = existing_schemas(&mut connection).map_err(refused)?;
    require_schemas(&existing, schemas.names().iter())?;
    let readers = sql_query(include_str!("reader/readers.sql")).bind::<Nullable<Text>, _>(role);
    let readers = readers.bind::<Array<Text>, _>(schemas.names());
    let readers: Vec<PreparedReader> = readers.load(&mut connection).map_err(refused)?;
    if readers.iter().any(|reader| reader.is_given) {
        return Ok(());
    }
    readers.into_iter().next().map_or(Ok(()), |PreparedReader { role, search_path, .. }| {
        Err(ReaderError::OtherSchemas { role, search_path, schemas: schemas.clone() })
    })
}

/// The schemas of the database that may hold data.
fn existing_schemas(connection: &mut PgConnection) -> diesel::QueryResult<Vec<String>> {
    let query = sql_query(
        "SELECT nspname::text AS name FROM pg_catalog.pg_namespace
         WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'catalog', 'tenancy') ORDER BY 1",
    );
    Ok(query.load::<Name>(connection)?.into_iter().map(|Name { name }| name).collect())
}

/// Refuses the first schema that the database does not have.
fn require_schemas<'a>(existing: &[String], mut schemas: impl Iterator<Item = &'a String>) -> Result<(), ReaderError> {
    let Some(schema) = schemas.find(|schema| !existing.contains(schema)) else { return Ok(()) };
    let existing: Vec<_> = existing.iter().map(|existing| format!("`{existing}`")).collect();
    Err(ReaderError::NoSchema { schema: schema.clone(), existing: existing.join(", ") })
}

/// The faults that PostgreSQL finds in the reader, queried as that role. `metricd_schemas` are those of
/// [`METRICD_SCHEMAS`] that the database has to have.
fn faults_of(reader: &DatabaseUrl, schemas: &DataSchemas, metricd_schemas: &[&str]) -> Result<Vec<Fault>, ReaderError> {
    let mut connection = connect_as_reader(reader)?;
    let faults = sql_query(include_str!("reader/faults.sql")).bind::<Array<Text>, _>(schemas.names());
    let faults = faults.bind::<Array<Text>, _>(metricd_schemas);
    faults.load(&mut connection).map_err(|error| refused(reader.user(), &error, "Run `metricd migrate` first"))
}

pub(crate) fn refused(role: &str, error: &diesel::result::Error, advice: &str) -> ReaderError {
    ReaderError::Refused { role: role.to_owned(), message: error.to_string(), advice: advice.to_owned() }
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// An existing role.
#[derive(QueryableByName)]
struct Candidate {
    /// Whether it is a reader of metricd.
    #[diesel(sql_type = Bool)]
    is_reader: bool,
    /// Another database in which it owns something or has rights.
    #[diesel(sql_type = Nullable<Text>)]
    elsewhere: Option<String>,
    /// The search path of the role, if it is not that of the data schemas.
    #[diesel(sql_type = Nullable<Text>)]
    other_schemas: Option<String>,
}

#[derive(QueryableByName)]
struct PreparedReader {
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Text)]
    search_path: String,
    /// Whether it is that of the given schemas.
    #[diesel(sql_type = Bool)]
    is_given: bool,
}

#[derive(QueryableByName)]
struct Fault {
    #[diesel(sql_type = Text)]
    fault: String,
    /// `mended` by [`prepare_reader`], `lasting`, or `other_schemas`.
    #[diesel(sql_type = Text)]
    kind: String,
}
