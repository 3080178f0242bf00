//! Measures results of metricd against their baseline: pgbench with the same SQL, and the web server with the same
//! bodies.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use tokio::process::Command;

use crate::arguments::Measurement;
use crate::figures::Round;
use crate::load::{self, Request, Target};
use crate::pgbench::Pgbench;
use crate::process::Server;
use crate::report::Cell;
use crate::script::Script;
use crate::workload::{MAX_CLIENTS, RequestMix};

/// A result of metricd to measure, with what is measured next to it.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The name in the report.
    pub(crate) name: String,
    /// The number of rows of the result.
    pub(crate) rows: usize,
    /// The body of the result, for the web server alone.
    pub(crate) body: Vec<u8>,
    /// The SQL of the metric, for pgbench.
    pub(crate) script: Script,
    /// The different requests for the result, one for each client.
    pub(crate) requests: Vec<Request>,
}

impl Subject {
    /// A result that each client requests with its own path.
    pub(crate) fn new(
        name: String,
        rows: usize,
        body: Vec<u8>,
        script: Script,
        request: impl Fn(u32) -> Request,
    ) -> Self {
        Self { name, rows, body, script, requests: (0..MAX_CLIENTS).map(request).collect() }
    }

    /// The lists of requests of the clients.
    fn requests(&self, mix: RequestMix) -> Vec<Vec<Request>> {
        let count = match mix {
            RequestMix::Identical => 1,
            RequestMix::Different => self.requests.len(),
        };
        self.requests.iter().take(count).map(|request| vec![request.clone()]).collect()
    }
}

/// Measures each subject with each load, in turns.
pub(crate) async fn measure(
    subjects: &[Subject],
    options: &Measurement,
    (server, pgbench): (&Server, &Pgbench),
    folder: &Path,
    bar: &ProgressBar,
) -> Result<Vec<Cell>> {
    let (bodies, scripts) = (folder.join("bodies"), folder.join("scripts"));
    fs::create_dir(&bodies)?;
    fs::create_dir(&scripts)?;
    let mut measured = Vec::new();
    for (index, subject) in subjects.iter().enumerate() {
        fs::write(bodies.join(index.to_string()), &subject.body)?;
        fs::write(scripts.join(index.to_string()), &subject.script.text)?;
        for (clients, requests) in options.loads() {
            let cell = Cell::new(&subject.name, clients, requests, (subject.rows, subject.body.len()))?;
            measured.push((index, cell));
        }
    }
    let mut itself = Command::new(std::env::current_exe()?);
    let web = Server::start(itself.arg("fixed-bodies").arg(&bodies), &folder.join("fixed-bodies.log")).await?;

    let duration = options.duration();
    let has_same_baseline =
        |(left, one): &(usize, Cell), (right, other): &(usize, Cell)| left == right && one.clients == other.clients;
    let baselines = measured.chunk_by(has_same_baseline).count();
    bar.set_length(u64::try_from(2 * baselines + measured.len())? * u64::from(options.rounds));
    for round in 1..=options.rounds {
        for cells in measured.chunk_by_mut(has_same_baseline) {
            let Some(&mut (index, Cell { clients, .. })) = cells.first_mut() else { continue };
            let Some(subject) = subjects.get(index) else { continue };
            let step = |name: &str| {
                bar.inc(1);
                bar.set_message(format!("round {round}: {}, {clients} clients, {name}", subject.name));
            };
            let place = || format!("`{}` cannot be measured with {clients} clients", subject.name);
            step("pgbench");
            let script = scripts.join(index.to_string());
            let pgbench_tps = pgbench.measure(&subject.script, &script, clients, duration).await.with_context(place)?;
            step("web server");
            let fixed = Target::identical(web.address, Request::ok(format!("/{index}"), subject.body.len()));
            let http_rps = load::measure(&fixed, clients, duration).await?.requests_per_second;
            for (_, cell) in cells {
                step(&format!("metricd, {} requests", cell.requests.name()));
                let target = Target { address: server.address, requests: subject.requests(cell.requests) };
                let metricd = load::measure(&target, clients, duration).await.with_context(place)?;
                let round = Round { pgbench_tps, http_rps, metricd_rps: metricd.requests_per_second };
                cell.add(round, &metricd.latencies, server.memory())?;
            }
        }
    }
    Ok(measured.into_iter().map(|(_, cell)| cell).collect())
}
