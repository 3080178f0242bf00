//! The schema: the embedded migrations of the folder `migrations`.

use std::error::Error;

use diesel::connection::SimpleConnection;
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::sql_types::{Bool, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use metricd_database::quote_identifier;

use crate::connection::{ConnectError, connect_as_owner};
use metricd_database::DatabaseUrl;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

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

/// Reverts every migration, the latest first, with everything that is stored. For tests of the migrations.
///
/// # Errors
///
/// [`MigrateError`] if a migration cannot be reverted.
pub fn revert_all(owner: &DatabaseUrl) -> Result<(), MigrateError> {
    let mut connection = connect_as_owner(owner)?;
    connection.revert_all_migrations(MIGRATIONS).map_err(failed)?;
    Ok(())
}

pub(crate) fn pending(connection: &mut diesel::PgConnection) -> Result<usize, Box<dyn Error + Send + Sync>> {
    // Diesel creates its table when it reads it, and reading must not change anything.
    let looked = sql_query("SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS answer");
    if !looked.get_result::<Answer>(connection)?.answer {
        return Ok(MigrationSource::<Pg>::migrations(&MIGRATIONS)?.len());
    }
    Ok(connection.pending_migrations(MIGRATIONS)?.len())
}

/// Creates the database of the URL unless the server has it.
///
/// # Errors
///
/// [`MigrateError`] if the server is unreachable or refuses.
pub fn create_database(owner: &DatabaseUrl) -> Result<(), MigrateError> {
    let mut server = connect_as_owner(&owner.with_database("postgres"))?;
    let exists = |server: &mut diesel::PgConnection| {
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

fn refuse_newer(connection: &mut diesel::PgConnection) -> Result<(), MigrateError> {
    let known = MigrationSource::<Pg>::migrations(&MIGRATIONS).map_err(failed)?;
    let known: Vec<_> = known.iter().map(|migration| migration.name().version().to_string()).collect();
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
