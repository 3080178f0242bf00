//! `metricd check`

use std::process::ExitCode;

use anyhow::Result;
use metricd_ingestion::{CheckReport, check_definitions};
use metricd_postgres::{PgRepository, RepositoryConfig};
use metricd_repository::MetricRepository;
use metricd_runner::{PgRunner, RunnerConfig};

use super::ingest::validator;
use crate::arguments::{CheckArguments, DatabaseArguments, Format, GuardArguments};
use crate::database::Database;
use crate::output;
use crate::progress::count_bar;

/// The exit code if a definition has drifted.
const DRIFTED: u8 = 2;

/// Validates all stored definitions again, and prints what has drifted.
pub(crate) async fn check(
    arguments: &DatabaseArguments,
    guard: &GuardArguments,
    call: CheckArguments,
) -> Result<ExitCode> {
    let database = Database::open_or_join_existing(arguments)?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig { max_connections: 1, ..Default::default() })?;
    let validator = validator(&database, guard).await?;
    database.log_notices()?;
    let bar = count_bar(repository.check().await?.metric_count, "validating");
    let config = RunnerConfig { max_connections: 1, schemas: database.schemas.clone(), ..RunnerConfig::default() };
    let runner = PgRunner::new(&database.reader, config)?;
    let report = check_definitions(&repository, &validator, &runner, || bar.inc(1)).await?;
    bar.finish_and_clear();
    database.close()?;
    output::print(&match call.format {
        Format::Text => render(&report),
        Format::Json => serde_json::to_string_pretty(&report)? + "\n",
    });
    Ok(if report.drifts.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DRIFTED) })
}

/// Renders the report as text.
fn render(report: &CheckReport) -> String {
    let mut lines = Vec::new();
    for drift in &report.drifts {
        lines.push(match &drift.metric_id {
            Some(metric_id) => format!("metric `{metric_id}`, of the query `{}`:", drift.query_id),
            None => format!("query `{}`, which no metric reads:", drift.query_id),
        });
        lines.extend(drift.messages.iter().map(|message| format!("  {message}")));
    }
    let unused = match report.unused_queries {
        0 => String::new(),
        count => format!(" and {count} queries that no metric reads"),
    };
    let drifted = match report.drifts.len() {
        0 => "nothing has drifted".to_owned(),
        count => format!("{count} drifted"),
    };
    if report.metrics == 0 && report.unused_queries == 0 {
        return "there is nothing to validate: the database has no metrics and no queries\n".to_owned();
    }
    lines.push(format!("validated {} metrics{unused}: {drifted}", report.metrics));
    lines.join("\n") + "\n"
}
