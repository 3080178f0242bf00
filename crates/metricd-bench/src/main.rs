//! Measures metricd beside its floor: what PostgreSQL alone and the web server alone reach on the same machine, with the same
//! SQL, the same results and the same clients.
//!
//! A request has to run its SQL and to answer over HTTP. If each of the two took what it takes alone and metricd itself took
//! nothing, the rate would be `1 / (1/pgbench + 1/http)`. That is the floor; how much of it metricd reaches is the ratio.
//!
//! Other questions are about metricd alone, and two ways to ask it are measured in turns: metrics one by one and in one call,
//! the first page of a long list and a late one, a result and the answer that it has not changed.
//!
//! metricd is the release build of the program, as users run it, with a private PostgreSQL. The three measurements of a cell
//! follow on one another, and the rounds on one another, so that noise hits all alike.

mod arguments;
mod bench;
mod data;
mod figures;
mod fixed_body;
mod load;
mod metricd;
mod pair;
mod pairs;
mod pgbench;
mod process;
mod report;
mod response;
mod workload;

use std::io::Write;
use std::process::ExitCode;

use crate::arguments::{Arguments, Mode};

fn main() -> ExitCode {
    let outcome = match Arguments::read() {
        Mode::Measure(options) => bench::run(&options),
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
