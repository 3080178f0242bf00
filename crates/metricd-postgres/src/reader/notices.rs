//! What an operator wants to know about the reader, and what it may read besides the data schemas.

use diesel::sql_types::{Array, Bool, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use metricd_database::{DataSchemas, DatabaseUrl, quote_identifier};

use super::remote::remote_notices;
use super::{OWN_SCHEMA, ReaderError, refused};
use crate::connection::{connect_as_owner, connect_as_reader};

/// The maximum number of names in a message.
const MAX_NAMES: usize = 5;

/// What looks different to metrics than to the owner of the tables, one sentence each: tables that the reader may not
/// read, tables whose row security shows it nothing, other servers that have some of the rows, and tables of files that
/// no metric can read.
///
/// # Errors
///
/// [`ReaderError::Connect`] if the owner cannot connect, [`ReaderError::Refused`] if the state cannot be read.
pub fn reader_notices(owner: &DatabaseUrl, role: &str, schemas: &DataSchemas) -> Result<Vec<String>, ReaderError> {
    let mut connection = connect_as_owner(owner)?;
    let failed = |error: diesel::result::Error| refused(role, &error, "Run `metricd migrate` first");
    let mut notices = notices(&mut connection, role, schemas).map_err(failed)?;
    if !schemas.contains(OWN_SCHEMA) && has_tables(&mut connection).map_err(failed)? {
        notices.push(UNREAD_TABLES.to_owned());
    }
    Ok(notices)
}

/// The same about a database that is not the catalog's, as the reader.
///
/// # Errors
///
/// [`ReaderError::Connect`] if the reader cannot connect, [`ReaderError::Refused`] if the state cannot be read.
pub fn reader_notices_elsewhere(reader: &DatabaseUrl, schemas: &DataSchemas) -> Result<Vec<String>, ReaderError> {
    let mut connection = connect_as_reader(reader)?;
    let role = reader.user();
    let found = notices(&mut connection, role, schemas);
    found.map_err(|error| refused(role, &error, "Have an administrator run what `metricd connect` prints"))
}

fn notices(connection: &mut PgConnection, role: &str, schemas: &DataSchemas) -> diesel::QueryResult<Vec<String>> {
    let query = sql_query(include_str!("notices.sql")).bind::<Text, _>(role);
    let found: Vec<Notice> = query.bind::<Array<Text>, _>(schemas.names()).load(connection)?;
    let remote = remote_notices(connection, role)?;
    Ok(found.into_iter().map(|notice| notice.sentence(role)).chain(remote).collect())
}

/// Tables are stored, and no metric can read them.
const UNREAD_TABLES: &str = "no metric can read the tables that files have made, which are in the schema `warehouse`: it is \
    not one of the data schemas (--data-schema)";

fn has_tables(connection: &mut PgConnection) -> diesel::QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Bool)]
        answer: bool,
    }
    // The reader is prepared before the migrations, too.
    let exists = sql_query("SELECT to_regclass('catalog.tables') IS NOT NULL AS answer");
    let tables = sql_query("SELECT EXISTS (SELECT FROM catalog.tables WHERE deleted_at IS NULL) AS answer");
    Ok(exists.get_result::<Answer>(connection)?.answer && tables.get_result::<Answer>(connection)?.answer)
}

/// Relations of a schema with one fault.
#[derive(QueryableByName)]
struct Notice {
    #[diesel(sql_type = Text)]
    schema: String,
    #[diesel(sql_type = Array<Text>)]
    names: Vec<String>,
    /// `closed` or `empty`.
    #[diesel(sql_type = Text)]
    fault: String,
}

impl Notice {
    fn sentence(&self, role: &str) -> String {
        let shown = self.names.iter().take(MAX_NAMES).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let more = match self.names.len().saturating_sub(MAX_NAMES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let (schema, quoted) = (quote_identifier(&self.schema), quote_identifier(role));
        let first = self.names.first().map(|name| quote_identifier(name)).unwrap_or_default();
        match self.fault.as_str() {
            "closed" => format!(
                "in the schema `{}`, the reader `{role}` may not read {shown}{more}: to open one, run GRANT SELECT ON \
                 {schema}.{first} TO {quoted}",
                self.schema
            ),
            _ => format!(
                "in the schema `{}`, {shown}{more} look empty to metrics: row-level security is on, and no policy shows the \
                 reader `{role}` a row; to show it all rows, run CREATE POLICY metrics ON {schema}.{first} FOR SELECT TO \
                 {quoted} USING (true)",
                self.schema
            ),
        }
    }
}

/// The schemas besides the data schemas in which the reader may read something or has been granted something, each as
/// one sentence with the SQL that revokes it. Stored SQL may not name these schemas; a view or function of a data
/// schema may.
///
/// # Errors
///
/// [`ReaderError::Connect`] if the owner cannot connect, [`ReaderError::Refused`] if the state cannot be read.
pub fn schemas_besides(owner: &DatabaseUrl, role: &str, schemas: &DataSchemas) -> Result<Vec<String>, ReaderError> {
    let mut connection = connect_as_owner(owner)?;
    let query = sql_query(include_str!("elsewhere.sql")).bind::<Text, _>(role);
    let query = query.bind::<Array<Text>, _>(schemas.names());
    let failed = |error: diesel::result::Error| refused(role, &error, "Run `metricd migrate` first");
    let found: Vec<OtherSchema> = query.load(&mut connection).map_err(failed)?;
    Ok(found.into_iter().map(|schema| schema.sentence(role)).collect())
}

#[derive(QueryableByName)]
struct OtherSchema {
    #[diesel(sql_type = Text)]
    schema: String,
    /// Whether the reader has been granted anything there by name.
    #[diesel(sql_type = Bool)]
    has_grants: bool,
    /// The roles whose default privileges name the reader.
    #[diesel(sql_type = Array<Text>)]
    creators: Vec<String>,
}

impl OtherSchema {
    fn sentence(&self, role: &str) -> String {
        let (schema, quoted) = (quote_identifier(&self.schema), quote_identifier(role));
        if !self.has_grants {
            return format!(
                "`{role}` may also read tables of the schema `{}`, which PUBLIC may read; stored SQL may not name them",
                self.schema
            );
        }
        let defaults = self.creators.iter().map(|creator| {
            let creator = quote_identifier(creator);
            format!(
                " ALTER DEFAULT PRIVILEGES FOR ROLE {creator} IN SCHEMA {schema} REVOKE ALL ON TABLES FROM {quoted};"
            )
        });
        format!(
            "`{role}` keeps its rights in the schema `{}`, which is not a data schema; stored SQL may not name its tables; \
             to revoke them, run REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {quoted}; REVOKE ALL ON SCHEMA \
             {schema} FROM {quoted};{}",
            self.schema,
            defaults.collect::<String>()
        )
    }
}
