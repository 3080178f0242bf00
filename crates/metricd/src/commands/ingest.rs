//! `metricd ingest`

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use metricd_domain::{IngestionMode, IngestionReport};
use metricd_execution::Judge;
use metricd_ingestion::{Inputs, Options, Progress, ingest as ingest_files, render};
use metricd_postgres::{PgRepository, PgResolver, RepositoryConfig};

use crate::arguments::{DatabaseArguments, Format, GuardArguments, IngestArguments};
use crate::database::Database;
use crate::output;
use crate::progress::Bar;

/// The exit code where strict mode has refused something.
const REFUSED: u8 = 2;

/// Judges and stores files, and prints the report.
pub(crate) async fn ingest(
    arguments: &DatabaseArguments,
    guard: &GuardArguments,
    call: IngestArguments,
) -> Result<ExitCode> {
    // A path that leads nowhere is said before a database is started for it.
    let inputs = Inputs::find(&call.paths)?;
    let database = Database::open_or_join(arguments)?;
    let mode = if call.strict { IngestionMode::Strict } else { IngestionMode::Lenient };
    let options = Options { mode, dry_run: call.dry_run, ..Options::default() };
    let report = store(&database, guard, inputs, options, Arc::new(Bar::new())).await?;
    database.close()?;
    output::print(&match call.format {
        Format::Text => render(&report),
        Format::Json => serde_json::to_string_pretty(&report)? + "\n",
    });
    let refused = call.strict && report.refusal_count > 0;
    Ok(if refused { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

/// Judges and stores files in the database.
pub(super) async fn store(
    database: &Database,
    guard: &GuardArguments,
    inputs: Inputs,
    options: Options,
    progress: Arc<dyn Progress>,
) -> Result<IngestionReport> {
    let repository = PgRepository::new(&database.owner, RepositoryConfig { max_connections: 1, ..Default::default() })?;
    let judge = judge(database, guard).await?;
    Ok(ingest_files(&repository, judge, inputs, options, progress).await?)
}

/// Who judges SQL before it is stored in the database.
pub(super) async fn judge(database: &Database, guard: &GuardArguments) -> Result<Judge> {
    let resolver = Arc::new(PgResolver::new(&database.owner));
    let added = guard.allow_functions.iter().cloned().collect();
    Ok(tokio::task::spawn_blocking(move || Judge::new(resolver, &added)).await??)
}
