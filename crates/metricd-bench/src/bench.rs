//! Runs the benchmark: builds metricd, ingests the data, measures and reports.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{Options, Part};
use crate::figures::Round;
use crate::load::{Request, Target};
use crate::metricd::{Metricd, build};
use crate::pgbench::{Postgres, script};
use crate::process::Server;
use crate::report::{Cell, Report, Settings};
use crate::workload::Workload;
use crate::{data, fixed_body, load, pairs};

/// The interval at which the progress bar is redrawn.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// Measures, prints the tables and writes the figures.
pub(crate) fn run(options: &Options) -> Result<()> {
    // One thread only, so that the load generator leaves the cores to what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(prepare_and_measure(options))?;
    report.print();
    report.write(&options.json)
}

async fn prepare_and_measure(options: &Options) -> Result<Report> {
    let folder = tempfile::Builder::new().prefix("metricd-bench-").tempdir()?;
    // If this process runs as root, the private PostgreSQL belongs to another user, who must be able to enter the
    // folder.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let path = |name: &str| folder.path().join(name);
    let bar = progress_bar();

    bar.set_message("building metricd");
    let program = match &options.metricd {
        Some(program) => program.canonicalize().with_context(|| format!("there is no `{}`", program.display()))?,
        None => build().await?,
    };
    bar.set_message("ingesting");
    fs::create_dir(path("files"))?;
    data::write(&path("files"), options.size())?;
    let metricd = Metricd::new(program, path("data"));
    metricd.ingest(&path("files")).await?;

    let server = metricd.serve(&path("metricd.log")).await?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let measured = tokio::select! {
        measured = measure(options, &metricd, &server, folder.path(), &bar) => measured,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("terminated")),
    };
    bar.finish_and_clear();
    server.stop().await?;
    measured
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
    let cells = if options.parts.contains(&Part::Baseline) {
        measure_baseline(options, &postgres, server, folder, bar).await?
    } else {
        Vec::new()
    };
    let pairs = pairs::measure(options, &postgres, metricd, (server.address, folder), bar).await?;
    Ok(Report { setting: Settings::of(options), start: server.start, memory: server.memory(), cells, pairs })
}

async fn measure_baseline(
    options: &Options,
    postgres: &Postgres,
    server: &Server,
    folder: &Path,
    bar: &ProgressBar,
) -> Result<Vec<Cell>> {
    let bodies = folder.join("bodies");
    fs::create_dir(&bodies)?;
    let mut cells = Vec::new();
    for workload in Workload::ALL {
        let body = load::get(server.address, &workload.path()).await?;
        check_body(workload, &body)?;
        fs::write(bodies.join(workload.name()), &body)?;
        fs::write(folder.join(workload.name()), script(workload))?;
        if options.workloads.contains(&workload) {
            for (clients, requests) in options.loads() {
                cells.push(Cell::new(workload, clients, requests, body.len())?);
            }
        }
    }
    let mut itself = Command::new(std::env::current_exe()?);
    let web = Server::start(itself.arg("fixed-bodies").arg(&bodies), &folder.join("fixed-bodies.log")).await?;

    let duration = options.duration();
    let baselines = cells.chunk_by(Cell::has_baseline_of).count();
    bar.set_length(u64::try_from(2 * baselines + cells.len())? * u64::from(options.rounds));
    for round in 1..=options.rounds {
        for cells in cells.chunk_by_mut(Cell::has_baseline_of) {
            let Some(&mut Cell { workload, clients, body_bytes, .. }) = cells.first_mut() else { continue };
            let step = |name: &str| {
                bar.inc(1);
                bar.set_message(format!("round {round}: {}, {clients} clients, {name}", workload.name()));
            };
            step("pgbench");
            let pgbench_tps = postgres.measure(&folder.join(workload.name()), clients, duration).await?;
            step("web server");
            let fixed = Target::identical(web.address, Request::ok(fixed_body::path(workload), body_bytes));
            let http_rps = load::measure(&fixed, clients, duration).await?.requests_per_second;
            for cell in cells {
                step(&format!("metricd, {} requests", cell.requests.name()));
                let request = |path| vec![Request::ok(path, body_bytes)];
                let requests = workload.paths(cell.requests).into_iter().map(request).collect();
                let target = Target { address: server.address, requests };
                let metricd = load::measure(&target, clients, duration).await?;
                let round = Round { pgbench_tps, http_rps, metricd_rps: metricd.requests_per_second };
                cell.add(round, &metricd.latencies, server.memory())?;
            }
        }
    }
    Ok(cells)
}

/// Checks that the result has the expected number of rows: otherwise the comparison would be meaningless.
fn check_body(workload: Workload, body: &[u8]) -> Result<()> {
    let result: Value = serde_json::from_slice(body).context("metricd's response is not JSON")?;
    let rows = result["rows"].as_array().map_or(0, Vec::len);
    ensure!(rows == usize::try_from(workload.rows())?, "the {} has {rows} rows", workload.name());
    Ok(())
}

/// A progress bar. It is hidden if standard error is not a terminal.
fn progress_bar() -> ProgressBar {
    let template = "{msg} [{wide_bar}] {pos}/{len} {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style.progress_chars("=> "));
    bar.enable_steady_tick(REDRAW_INTERVAL);
    bar
}
