//! Measures metricd against its baseline: the rate that PostgreSQL alone and the web server alone reach on the same
//! machine, with the same SQL, the same results and the same clients.
//!
//! A request runs its SQL and responds over HTTP. If each of the two took as long as it takes alone and metricd itself
//! took no time, the rate would be `1 / (1/pgbench + 1/http)`. That is the baseline. The ratio is the share of the baseline
//! that metricd reaches.
//!
//! Pairs compare two kinds of requests to metricd, measured in turns: metrics one by one and in one call, the first
//! page of a long list and a late one, 200 and 304 for an unchanged result.
//!
//! metricd is the release build of the program, as users run it, with a private PostgreSQL or with a database that
//! exists. The three measurements of a cell follow one another, and so do the rounds, so that noise affects all alike.

mod arguments;
mod baseline;
mod bench;
mod data;
mod database;
mod figures;
mod fixed_body;
mod load;
mod metric_request;
mod metricd;
mod pair;
mod pairs;
mod pgbench;
mod process;
mod reader_url;
mod report;
mod response;
mod script;
mod workload;

use std::io::Write;
use std::process::ExitCode;

use crate::arguments::{Arguments, Mode};

fn main() -> ExitCode {
    let outcome = match Arguments::read() {
        Mode::Measure(options) => bench::run(&options),
        Mode::MeasureDatabase(options) => database::run(&options),
        Mode::ServeFixedBodies(folder) => fixed_body::serve(&folder),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "metricd-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
