//! `metricd ingest`

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use metricd_domain::{IngestionMode, IngestionReport, TABLE_SCHEMA};
use metricd_execution::{SqlValidationError, SqlValidator};
use metricd_formats::read_formats;
use metricd_ingestion::{IngestError, IngestOptions, Inputs, Progress, ingest as ingest_files, render};
use metricd_postgres::{DataPlace, PgRepository, ReaderError, RepositoryConfig};
use metricd_repository::RepositoryError;

use crate::arguments::{DatabaseArguments, Format, GuardArguments, IngestArguments, REFUSED};
use crate::database::Database;
use crate::output;
use crate::progress::Bar;

/// The maximum number of attempts at an ingestion whose database is stopped meanwhile.
const MAX_ATTEMPTS: u32 = 5;

/// Validates and stores files, and prints the report.
pub(crate) async fn ingest(
    arguments: &DatabaseArguments,
    guard: &GuardArguments,
    call: IngestArguments,
) -> Result<ExitCode> {
    // A missing path is reported before a database is started.
    let inputs = Inputs::find(&call.paths)?;
    let report = store_with_retries(arguments, guard, &inputs, &call).await?;
    output::print(&match call.format {
        Format::Text => render(&report),
        Format::Json => serde_json::to_string_pretty(&report)? + "\n",
    });
    Ok(if report.is_refused() { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

/// Stores in the database that the arguments name. If another program runs a private one and stops it meanwhile, retries on a
/// database that this program opens or joins. A retry is safe, because ingestion is idempotent.
async fn store_with_retries(
    arguments: &DatabaseArguments,
    guard: &GuardArguments,
    inputs: &Inputs,
    call: &IngestArguments,
) -> Result<IngestionReport> {
    let mode = if call.strict { IngestionMode::Strict } else { IngestionMode::Lenient };
    let mut attempt = 1;
    loop {
        let database = if call.dry_run {
            Database::open_or_join_to_validate(arguments)?
        } else {
            Database::open_or_join(arguments)?
        };
        // Each attempt has its own id: the previous one may have been committed although no response arrived.
        let (dry_run, overwrite_edits, allow_empty) = (call.dry_run, call.overwrite_edits, call.allow_empty);
        let (read, table) = (call.read_options(), call.table.clone());
        let options = IngestOptions {
            mode,
            dry_run,
            overwrite_edits,
            allow_empty,
            choose_types: call.choose_types,
            read,
            table,
            ..IngestOptions::default()
        };
        match store(&database, guard, inputs.clone(), options, Arc::new(Bar::new())).await {
            Err(error) if attempt < MAX_ATTEMPTS && is_unavailable(&error) && database.has_ended() => {
                log::info!("the program that ran the private PostgreSQL has stopped it; the ingestion is retried");
                attempt += 1;
            }
            report => {
                let report = report?;
                database.close()?;
                return Ok(report);
            }
        }
    }
}

fn is_unavailable(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(IngestError::Repository(RepositoryError::Unavailable(_))))
        || matches!(error.downcast_ref(), Some(SqlValidationError::Unavailable(_)))
        || matches!(error.downcast_ref(), Some(ReaderError::Connect(_) | ReaderError::Refused { .. }))
}

/// Validates files and stores them in the database.
pub(super) async fn store(
    database: &Database,
    guard: &GuardArguments,
    inputs: Inputs,
    options: IngestOptions,
    progress: Arc<dyn Progress>,
) -> Result<IngestionReport> {
    let repository = PgRepository::new(&database.owner, RepositoryConfig { max_connections: 1, ..Default::default() })?;
    let validator = validator(database, guard).await?;
    let options = IngestOptions {
        stores_tables: database.data()? != DataPlace::Elsewhere,
        binary_formats: read_formats(),
        ..options
    };
    let report = ingest_files(&repository, validator, inputs, options, progress).await?;
    if !report.tables.is_empty() && !database.schemas.contains(TABLE_SCHEMA) {
        log::warn!(
            "no metric can read the tables of these files: they are stored in the schema `{TABLE_SCHEMA}`, which is not one of \
             the data schemas (--data-schema)"
        );
    }
    Ok(report)
}

/// Returns the validator of the SQL to be stored in the database. Refuses a database whose reader was prepared for other
/// data schemas.
pub(super) async fn validator(database: &Database, guard: &GuardArguments) -> Result<SqlValidator> {
    database.require_data_schemas()?;
    let resolver = Arc::new(database.resolver()?);
    let functions = guard.allow_functions.iter().cloned().collect();
    let validator = SqlValidator::new(resolver, &functions).await?;
    Ok(validator.with_types(&guard.allow_types.iter().cloned().collect()))
}
