//! Runs the benchmark on a private PostgreSQL: builds metricd, ingests the data, measures and reports.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{Measurement, Options, Part};
use crate::baseline::{self, Subject};
use crate::load::{self, Request};
use crate::metricd::{Metricd, build};
use crate::pgbench::Pgbench;
use crate::process::Server;
use crate::report::{Report, Settings};
use crate::script::Script;
use crate::workload::{Workload, path};
use crate::{data, pairs};

/// The interval at which the progress bar is redrawn.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// Measures on a private PostgreSQL, prints the tables and writes the figures.
pub(crate) fn run(options: &Options) -> Result<()> {
    report(&options.measurement.json, prepare_and_measure(options))
}

/// Waits for the report, prints its tables and writes its figures into the file.
pub(crate) fn report(json: &Path, measured: impl Future<Output = Result<Report>>) -> Result<()> {
    // One thread only, so that the load generator leaves the cores to what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measured)?;
    report.print();
    report.write(json)
}

async fn prepare_and_measure(options: &Options) -> Result<Report> {
    let folder = tempfile::Builder::new().prefix("metricd-bench-").tempdir()?;
    // If this process runs as root, the private PostgreSQL belongs to another user, who must be able to enter the
    // folder.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let path = |name: &str| folder.path().join(name);
    let bar = progress_bar();

    let program = program(&options.measurement, &bar).await?;
    bar.set_message("ingesting");
    fs::create_dir(path("files"))?;
    data::write(&path("files"), options.size())?;
    let metricd = Metricd::new(program, path("data"));
    metricd.ingest(&path("files")).await?;

    let server = metricd.serve(&path("metricd.log")).await?;
    let measured = unless_interrupted(measure(options, &metricd, &server, folder.path(), &bar)).await;
    bar.finish_and_clear();
    server.stop().await?;
    measured
}

/// The metricd program to measure.
pub(crate) async fn program(options: &Measurement, bar: &ProgressBar) -> Result<PathBuf> {
    bar.set_message("building metricd");
    match &options.metricd {
        Some(program) => program.canonicalize().with_context(|| format!("there is no `{}`", program.display())),
        None => build().await,
    }
}

/// Measures until it is done, or until Ctrl-C or SIGTERM. The caller then stops the server in order.
pub(crate) async fn unless_interrupted(measured: impl Future<Output = Result<Report>>) -> Result<Report> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        measured = measured => measured,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("terminated")),
    }
}

async fn measure(
    options: &Options,
    metricd: &Metricd,
    server: &Server,
    folder: &Path,
    bar: &ProgressBar,
) -> Result<Report> {
    let postgres = metricd.postgres()?;
    postgres.analyze().await?;
    let mut cells = Vec::new();
    if options.parts.contains(&Part::Baseline) {
        let mut subjects = Vec::new();
        for workload in Workload::ALL.into_iter().filter(|workload| options.workloads.contains(workload)) {
            subjects.push(subject(workload, server).await?);
        }
        let pgbench = Pgbench::of_private(&postgres)?;
        cells = baseline::measure(&subjects, &options.measurement, (server, &pgbench), folder, bar).await?;
    }
    let pairs = pairs::measure(options, &postgres, metricd, (server.address, folder), bar).await?;
    Ok(Report { setting: Settings::of(options), start: server.start, memory: server.memory(), cells, pairs })
}

/// The workload, if its result has the expected number of rows: otherwise the comparison would be meaningless.
async fn subject(workload: Workload, server: &Server) -> Result<Subject> {
    let (body, rows) = (load::get(server.address, &workload.path()).await?, usize::try_from(workload.rows())?);
    let result: Value = serde_json::from_slice(&body).context("metricd's response is not JSON")?;
    let found = result["rows"].as_array().map_or(0, Vec::len);
    ensure!(found == rows, "the {} has {found} rows", workload.name());
    let (script, size_bytes) = (Script::without_parameters(&workload.sql())?, body.len());
    let request = |client| Request::ok(path(&workload.id(), client), size_bytes);
    Ok(Subject::new(workload.name().to_owned(), rows, body, script, request))
}

/// A progress bar. It is hidden if standard error is not a terminal.
pub(crate) fn progress_bar() -> ProgressBar {
    let template = "{msg} [{wide_bar}] {pos}/{len} {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style.progress_chars("=> "));
    bar.enable_steady_tick(REDRAW_INTERVAL);
    bar
}
