//! The schema: the embedded migrations of the folder `migrations`.
//!
//! Diesel's table of applied migrations is in the schema `catalog`, so that metricd has nothing in a schema of the
//! operator's, and its owner needs no privilege to create there.

use std::error::Error;

use diesel::connection::SimpleConnection;
use diesel::migration::{CREATE_MIGRATIONS_TABLE, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::{Bool, Text};
use diesel::{Connection, OptionalExtension, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use metricd_database::quote_identifier;

use crate::connection::{ConnectError, connect_as_owner};
use metricd_database::DatabaseUrl;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// The search path by which Diesel finds its table.
const OWN_SEARCH_PATH: &str = "SET search_path = catalog";

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    answer: bool,
}

/// Why the schema could not be migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A migration failed; those before it stay applied, it left nothing.
    #[error("a migration failed: {0}")]
    Migration(String),
    /// The database has migrations that this program does not know: it was written by a later release.
    #[error("the database was migrated by a later release, with `{0}`: use that release")]
    Newer(String),
    /// The database has a schema with the name of one that metricd creates.
    #[error(
        "the database has a schema `{0}`, which metricd did not create: metricd needs the names `catalog`, `tenancy` and \
         `warehouse` for schemas of its own; rename that schema, or give metricd another database; nothing was changed"
    )]
    SchemaTaken(String),
    /// The owner may not create schemas in the database.
    #[error(
        "`{owner}` may not create schemas in the database `{database}`; nothing was changed: have an administrator run \
         GRANT CREATE ON DATABASE {} TO {};",
        quote_identifier(database),
        quote_identifier(owner)
    )]
    MayNotCreate {
        /// The owner.
        owner: String,
        /// The database.
        database: String,
    },
}

/// Applies pending migrations in order. Returns their names.
///
/// # Errors
///
/// [`MigrateError`]. Every migration is a transaction of its own.
pub fn migrate(owner: &DatabaseUrl) -> Result<Vec<String>, MigrateError> {
    let mut connection = connect_as_owner(owner)?;
    // A migration has no time limit. The lock keeps two programs from applying the same migrations; it ends with the
    // connection.
    let lock = "SET statement_timeout = 0; SET lock_timeout = '2min'; \
                SELECT pg_advisory_lock(hashtextextended('metricd.migrations', 0))";
    connection.batch_execute(lock).map_err(refused)?;
    create_table(&mut connection, owner)?;
    connection.batch_execute(OWN_SEARCH_PATH).map_err(refused)?;
    refuse_newer(&mut connection)?;
    let applied = connection.run_pending_migrations(MIGRATIONS).map_err(failed)?;
    Ok(applied.into_iter().map(|version| version.to_string()).collect())
}

/// The number of pending migrations.
///
/// # Errors
///
/// [`MigrateError`] if it cannot be determined.
pub fn pending_migrations(owner: &DatabaseUrl) -> Result<usize, MigrateError> {
    let mut connection = connect_as_owner(owner)?;
    pending(&mut connection).map_err(failed)
}

/// Refuses a database that [`migrate`] would refuse before it changes anything, except for the privilege to create
/// schemas. Changes nothing.
///
/// # Errors
///
/// [`MigrateError`].
pub fn check_migratable(owner: &DatabaseUrl) -> Result<(), MigrateError> {
    let mut connection = connect_as_owner(owner)?;
    if !has_table(&mut connection).map_err(refused)? {
        require_free_names(&mut connection, owner)?;
    }
    Ok(())
}

/// Reverts every migration, the latest first, with everything that is stored. For tests of the migrations.
///
/// # Errors
///
/// [`MigrateError`] if a migration cannot be reverted.
pub fn revert_all(owner: &DatabaseUrl) -> Result<(), MigrateError> {
    let mut connection = connect_as_owner(owner)?;
    connection.batch_execute(OWN_SEARCH_PATH).map_err(refused)?;
    connection.revert_all_migrations(MIGRATIONS).map_err(failed)?;
    connection.batch_execute("DROP TABLE catalog.__diesel_schema_migrations; DROP SCHEMA catalog").map_err(refused)
}

pub(crate) fn pending(connection: &mut PgConnection) -> Result<usize, Box<dyn Error + Send + Sync>> {
    let known = known_versions()?;
    // Diesel creates its table when it reads it, and reading must not change anything.
    if !has_table(connection)? {
        return Ok(known.len());
    }
    let applied = sql_query("SELECT version::text AS name FROM catalog.__diesel_schema_migrations");
    let applied: Vec<Name> = applied.load(connection)?;
    Ok(known.iter().filter(|version| !applied.iter().any(|applied| applied.name == **version)).count())
}

/// Creates the schema `catalog` with Diesel's table of applied migrations. Earlier releases had the table in the first
/// schema of the owner's search path, which is moved.
fn create_table(connection: &mut PgConnection, owner: &DatabaseUrl) -> Result<(), MigrateError> {
    if has_table(connection).map_err(refused)? {
        return Ok(());
    }
    if let Some(schema) = require_free_names(connection, owner)? {
        let schema = quote_identifier(&schema);
        let moved = format!("ALTER TABLE {schema}.__diesel_schema_migrations SET SCHEMA catalog");
        return connection.batch_execute(&moved).map_err(refused);
    }
    let may_create = sql_query("SELECT has_database_privilege(current_database(), 'CREATE') AS answer");
    if !may_create.get_result::<Answer>(connection).map_err(refused)?.answer {
        let (owner, database) = (owner.user().to_owned(), owner.database().to_owned());
        return Err(MigrateError::MayNotCreate { owner, database });
    }
    let create = |connection: &mut PgConnection| {
        connection.batch_execute(&format!("CREATE SCHEMA catalog; {OWN_SEARCH_PATH}; {CREATE_MIGRATIONS_TABLE}"))
    };
    connection.transaction(create).map_err(refused)
}

/// Refuses a database in which the names of metricd's schemas are those of another program. Returns the schema in which an
/// earlier release of metricd has its table of applied migrations.
fn require_free_names(connection: &mut PgConnection, owner: &DatabaseUrl) -> Result<Option<String>, MigrateError> {
    let known = known_versions().map_err(failed)?;
    for schema in [owner.user(), "public"] {
        if is_own_table(connection, schema, &known)? {
            return Ok(Some(schema.to_owned()));
        }
    }
    match taken_schema(connection).map_err(refused)? {
        Some(Name { name }) => Err(MigrateError::SchemaTaken(name)),
        None => Ok(None),
    }
}

/// Whether `catalog` is metricd's, and has the table of applied migrations.
fn has_table(connection: &mut PgConnection) -> diesel::QueryResult<bool> {
    let query = sql_query(
        "SELECT EXISTS (
             SELECT FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner
             WHERE n.nspname = 'catalog' AND (r.rolsuper OR pg_has_role(r.oid, 'USAGE'))
         ) AS answer",
    );
    Ok(query.get_result::<Answer>(connection)?.answer && is_safe_table(connection, "catalog")?)
}

/// Whether the schema has a table of applied migrations, of this program or another one, that can be read and written
/// safely. Another role may have made it, also one whose privileges the owner has: a view, a policy, a cast of its columns,
/// a trigger, a rule, a default, a condition or an index with an expression would run functions of that role with the
/// privileges of the owner.
fn is_safe_table(connection: &mut PgConnection, schema: &str) -> diesel::QueryResult<bool> {
    let query = sql_query(
        "SELECT EXISTS (
             SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner
             WHERE n.nspname = $1 AND c.relname = '__diesel_schema_migrations' AND c.relkind = 'r'
             AND NOT c.relrowsecurity AND NOT c.relhastriggers AND NOT c.relhasrules AND c.relchecks = 0
             AND NOT EXISTS (
                 SELECT FROM pg_catalog.pg_attribute AS a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                 AND a.atttypid NOT IN ('varchar'::regtype, 'timestamp'::regtype)
             )
             AND NOT EXISTS (
                 SELECT FROM pg_catalog.pg_attrdef AS d
                 WHERE d.adrelid = c.oid AND pg_get_expr(d.adbin, d.adrelid) <> 'CURRENT_TIMESTAMP'
             )
             AND NOT EXISTS (
                 SELECT FROM pg_catalog.pg_index AS i
                 WHERE i.indrelid = c.oid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
             )
             AND (r.rolsuper OR pg_has_role(r.oid, 'USAGE'))
             AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
         ) AS answer",
    );
    Ok(query.bind::<Text, _>(schema).get_result::<Answer>(connection)?.answer)
}

/// Whether the schema has a table of applied migrations that is metricd's: it has metricd's first migration, and none that
/// metricd does not know. It may also be that of another program that uses Diesel.
fn is_own_table(connection: &mut PgConnection, schema: &str, known: &[String]) -> Result<bool, MigrateError> {
    if !is_safe_table(connection, schema).map_err(refused)? {
        return Ok(false);
    }
    let schema = quote_identifier(schema);
    let applied = format!("SELECT version::text AS name FROM {schema}.__diesel_schema_migrations");
    let applied: Vec<Name> = sql_query(applied).load(connection).map_err(refused)?;
    let is_applied = |version: &String| applied.iter().any(|applied| applied.name == *version);
    if !known.first().is_some_and(is_applied) {
        return Ok(false);
    }
    match applied.into_iter().find(|applied| !known.contains(&applied.name)) {
        Some(newer) => Err(MigrateError::Newer(newer.name)),
        None => Ok(true),
    }
}

/// A schema of the database that has the name of one of metricd's.
fn taken_schema(connection: &mut PgConnection) -> diesel::QueryResult<Option<Name>> {
    let query = sql_query(
        "SELECT nspname::text AS name FROM pg_catalog.pg_namespace
         WHERE nspname IN ('catalog', 'tenancy', 'warehouse') ORDER BY 1 LIMIT 1",
    );
    query.get_result(connection).optional()
}

/// The versions of the migrations of this release, in their order.
fn known_versions() -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let mut known: Vec<_> = MigrationSource::<Pg>::migrations(&MIGRATIONS)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    known.sort();
    Ok(known)
}

/// Creates the database of the URL unless the server has it.
///
/// # Errors
///
/// [`MigrateError`] if the server is unreachable or refuses.
pub fn create_database(owner: &DatabaseUrl) -> Result<(), MigrateError> {
    let mut server = connect_as_owner(&owner.with_database("postgres"))?;
    let exists = |server: &mut PgConnection| {
        let query = sql_query("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1) AS answer");
        query.bind::<Text, _>(owner.database()).get_result::<Answer>(server).map(|row| row.answer)
    };
    let failed = |error: diesel::result::Error| MigrateError::Migration(error.to_string());
    if exists(&mut server).map_err(failed)? {
        return Ok(());
    }
    match server.batch_execute(&format!("CREATE DATABASE {}", quote_identifier(owner.database()))) {
        // Another program may have created it first.
        Err(error) if !exists(&mut server).map_err(failed)? => Err(failed(error)),
        _ => Ok(()),
    }
}

fn refuse_newer(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let known = known_versions().map_err(failed)?;
    let applied = connection.applied_migrations().map_err(failed)?;
    match applied.into_iter().map(|version| version.to_string()).find(|version| !known.contains(version)) {
        Some(newer) => Err(MigrateError::Newer(newer)),
        None => Ok(()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "taken as `map_err` gives it")]
fn failed(error: Box<dyn Error + Send + Sync>) -> MigrateError {
    MigrateError::Migration(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "taken as `map_err` gives it")]
fn refused(error: diesel::result::Error) -> MigrateError {
    MigrateError::Migration(error.to_string())
}
