//! The schema: the embedded migrations of the folder `migrations`.

use std::error::Error;

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::{Bool, Text};
use diesel::{Connection, OptionalExtension, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use metricd_database::quote_identifier;

use crate::connection::{ConnectError, connect_as_owner};
use metricd_database::DatabaseUrl;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// Creates Diesel's table of the applied migrations. Diesel itself would search it, and anything that a migration names
/// without a schema, in schemas in which other roles may create.
const CREATE_APPLIED: &str = "CREATE TABLE IF NOT EXISTS public.__diesel_schema_migrations (
    version varchar(50) PRIMARY KEY NOT NULL, run_on timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP)";

type AnyError = Box<dyn Error + Send + Sync>;

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
    connection.batch_execute(lock).map_err(|error| MigrateError::Migration(error.to_string()))?;
    refuse_newer(&mut connection)?;
    connection.batch_execute(CREATE_APPLIED).map_err(|error| failed(error.into()))?;
    pending(&mut connection).map_err(failed)?.iter().map(|migration| apply(&mut connection, migration)).collect()
}

/// Applies a migration and records it. Returns its version.
fn apply(connection: &mut PgConnection, migration: &dyn Migration<Pg>) -> Result<String, MigrateError> {
    let version = migration.name().version().to_string();
    let applied = connection.transaction::<_, AnyError, _>(|connection| {
        migration.run(connection)?;
        let record = sql_query("INSERT INTO public.__diesel_schema_migrations (version) VALUES ($1)");
        record.bind::<Text, _>(&version).execute(connection)?;
        Ok(())
    });
    applied.map_err(failed)?;
    Ok(version)
}

/// The number of pending migrations.
///
/// # Errors
///
/// [`MigrateError`] if it cannot be determined.
pub fn pending_migrations(owner: &DatabaseUrl) -> Result<usize, MigrateError> {
    let mut connection = connect_as_owner(owner)?;
    Ok(pending(&mut connection).map_err(failed)?.len())
}

/// Reverts every migration, the latest first, with everything that is stored. For tests of the migrations.
///
/// # Errors
///
/// [`MigrateError`] if a migration cannot be reverted.
pub fn revert_all(owner: &DatabaseUrl) -> Result<(), MigrateError> {
    let mut connection = connect_as_owner(owner)?;
    let applied = applied(&mut connection).map_err(failed)?;
    for migration in all().map_err(failed)?.iter().rev() {
        let version = migration.name().version().to_string();
        if applied.contains(&version) {
            let reverted = connection.transaction::<_, AnyError, _>(|connection| {
                migration.revert(connection)?;
                let forget = sql_query("DELETE FROM public.__diesel_schema_migrations WHERE version = $1");
                forget.bind::<Text, _>(&version).execute(connection)?;
                Ok(())
            });
            reverted.map_err(failed)?;
        }
    }
    Ok(())
}

/// All migrations, in order.
fn all() -> Result<Vec<Box<dyn Migration<Pg>>>, AnyError> {
    let mut all = MigrationSource::<Pg>::migrations(&MIGRATIONS)?;
    all.sort_by_key(|migration| migration.name().version().as_owned());
    Ok(all)
}

/// The migrations that the database does not have yet, in order.
pub(crate) fn pending(connection: &mut PgConnection) -> Result<Vec<Box<dyn Migration<Pg>>>, AnyError> {
    let applied = applied(connection)?;
    let mut pending = all()?;
    pending.retain(|migration| !applied.contains(&migration.name().version().to_string()));
    Ok(pending)
}

/// The versions of the migrations that the database has.
fn applied(connection: &mut PgConnection) -> Result<Vec<String>, AnyError> {
    #[derive(QueryableByName)]
    struct AppliedTable {
        #[diesel(sql_type = Text)]
        owner: String,
        #[diesel(sql_type = Bool)]
        is_safe: bool,
    }
    #[derive(QueryableByName)]
    struct Applied {
        #[diesel(sql_type = Text)]
        version: String,
    }
    // A trigger on the table, or a view in its place, would run with the privileges of the owner role.
    let looked = sql_query(
        "SELECT r.rolname::text AS owner, c.relkind = 'r' AND (
             r.rolsuper OR r.rolname = current_user
             OR EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = 'catalog' AND n.nspowner = r.oid)
         ) AS is_safe
         FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner
         WHERE c.oid = to_regclass('public.__diesel_schema_migrations')",
    );
    match looked.get_result::<AppliedTable>(connection).optional()? {
        None => return Ok(Vec::new()),
        Some(AppliedTable { is_safe: true, .. }) => {}
        Some(AppliedTable { owner, .. }) => return Err(format!(
            "`public.__diesel_schema_migrations` belongs to the role `{owner}`, but it has to be a table of the owner role: drop it"
        ).into()),
    }
    let applied =
        sql_query("SELECT version::text FROM public.__diesel_schema_migrations").load::<Applied>(connection)?;
    Ok(applied.into_iter().map(|applied| applied.version).collect())
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
    let known: Vec<_> = all().map_err(failed)?.iter().map(|migration| migration.name().version().to_string()).collect();
    match applied(connection).map_err(failed)?.into_iter().find(|version| !known.contains(version)) {
        Some(newer) => Err(MigrateError::Newer(newer)),
        None => Ok(()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "taken as `map_err` gives it")]
fn failed(error: AnyError) -> MigrateError {
    MigrateError::Migration(error.to_string())
}
