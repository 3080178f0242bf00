//! What a database is, for an operator who wants to use it. Reads only.

use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};
use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query};
use metricd_database::DatabaseUrl;

use crate::connection::{ConnectError, connect_as_owner, connect_as_reader};

/// A server, the database of a URL, and the role that it names.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, as the catalog has them")]
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
#[non_exhaustive]
pub struct ServerFacts {
    /// The version, as the server prints it: `16.4 (Debian 16.4-1)`.
    #[diesel(sql_type = Text)]
    pub version: String,
    /// The major version.
    #[diesel(sql_type = Integer)]
    pub major: i32,
    /// The name of the database.
    #[diesel(sql_type = Text)]
    pub database: String,
    /// The encoding of the database: `UTF8`.
    #[diesel(sql_type = Text)]
    pub encoding: String,
    /// Whether the server is a standby, which accepts no writes.
    #[diesel(sql_type = Bool)]
    pub is_standby: bool,
    /// The TLS version and cipher of the session: `TLSv1.3, TLS_AES_256_GCM_SHA384`. `None` if it has no TLS, or if the
    /// role may not see that.
    #[diesel(sql_type = Nullable<Text>)]
    pub tls: Option<String>,
    /// The managed service, if a role or function that only it creates is there.
    #[diesel(sql_type = Nullable<Text>)]
    pub service: Option<String>,
    /// The version of Citus, if the database has that extension.
    #[diesel(sql_type = Nullable<Text>)]
    pub citus: Option<String>,
    /// The role.
    #[diesel(sql_type = Text)]
    pub role: String,
    /// Whether metricd has made the role a reader.
    #[diesel(sql_type = Bool)]
    pub is_reader: bool,
    /// Whether the role is a superuser.
    #[diesel(sql_type = Bool)]
    pub is_superuser: bool,
    /// Whether the role may create roles.
    #[diesel(sql_type = Bool)]
    pub may_create_roles: bool,
    /// Whether the role may create schemas in the database.
    #[diesel(sql_type = Bool)]
    pub may_create_schemas: bool,
}

/// A schema that may hold data, with the number of its relations of each kind.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
#[non_exhaustive]
pub struct SchemaFacts {
    /// The name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Its tables. A partitioned table counts once.
    #[diesel(sql_type = BigInt)]
    pub tables: i64,
    /// Its views.
    #[diesel(sql_type = BigInt)]
    pub views: i64,
    /// Its materialized views.
    #[diesel(sql_type = BigInt)]
    pub materialized_views: i64,
    /// Its foreign tables.
    #[diesel(sql_type = BigInt)]
    pub foreign_tables: i64,
    /// How many of them the reader may read, at least a column. `None` if the reader does not exist.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub readable: Option<i64>,
}

/// What the server, the database and the role of a URL are.
///
/// # Errors
///
/// [`ConnectError`] if the server is unreachable or does not answer.
pub fn survey_server(owner: &DatabaseUrl) -> Result<ServerFacts, ConnectError> {
    server_facts(owner, connect_as_owner(owner)?)
}

/// The schemas of the database, and how much of each the role `reader` may read.
///
/// # Errors
///
/// [`ConnectError`] if the server is unreachable or does not answer.
pub fn survey_schemas(owner: &DatabaseUrl, reader: Option<&str>) -> Result<Vec<SchemaFacts>, ConnectError> {
    schema_facts(owner, connect_as_owner(owner)?, reader)
}

/// Both, of a database in which metricd has the reader alone, as that role.
///
/// # Errors
///
/// [`ConnectError`] if the server is unreachable or does not answer.
pub fn survey_as_reader(reader: &DatabaseUrl) -> Result<(ServerFacts, Vec<SchemaFacts>), ConnectError> {
    let server = server_facts(reader, connect_as_reader(reader)?)?;
    Ok((server, schema_facts(reader, connect_as_reader(reader)?, Some(reader.user()))?))
}

/// Whether PostgreSQL writes into its own log what it prints for the reader.
///
/// # Errors
///
/// [`ConnectError`] if the server is unreachable or does not answer.
pub fn logs_what_it_prints(reader: &DatabaseUrl) -> Result<bool, ConnectError> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Bool)]
        answer: bool,
    }
    let query = sql_query("SELECT current_setting('log_min_messages') NOT IN ('fatal', 'panic') AS answer");
    let answer: Answer = answered(reader, query.get_result(&mut connect_as_reader(reader)?))?;
    Ok(answer.answer)
}

fn server_facts(url: &DatabaseUrl, mut connection: PgConnection) -> Result<ServerFacts, ConnectError> {
    #[derive(QueryableByName)]
    struct Tls {
        #[diesel(sql_type = Text)]
        tls: String,
    }
    let facts: ServerFacts = answered(url, sql_query(include_str!("survey/server.sql")).get_result(&mut connection))?;
    // A hardened database refuses it to the reader.
    let tls = sql_query(
        "SELECT concat(s.version, ', ', s.cipher) AS tls FROM pg_catalog.pg_stat_ssl AS s
         WHERE s.pid = pg_backend_pid() AND s.ssl",
    );
    let tls = tls.get_result::<Tls>(&mut connection).ok();
    Ok(ServerFacts { tls: tls.map(|Tls { tls }| tls), ..facts })
}

fn schema_facts(
    url: &DatabaseUrl,
    mut connection: PgConnection,
    reader: Option<&str>,
) -> Result<Vec<SchemaFacts>, ConnectError> {
    let statement = sql_query(include_str!("survey/schemas.sql")).bind::<Nullable<Text>, _>(reader);
    answered(url, statement.load(&mut connection))
}

fn answered<T>(url: &DatabaseUrl, answer: QueryResult<T>) -> Result<T, ConnectError> {
    answer.map_err(|error| ConnectError::new(url, error.to_string()))
}
