//! Runs and resolves stored SQL on PostgreSQL, without blocking a thread. It speaks PostgreSQL's protocol itself and knows no
//! catalog of metrics.

mod blocking;
mod resolver;
mod runner;
mod watch;

pub use resolver::PgResolver;
pub use runner::{PgRunner, RunnerConfig, TenantKey};
pub use watch::{DefinitionEvent, watch_definitions};

/// The first line of a driver's message: it tells of every address that it has tried, each on a line of its own.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_owned()
}

/// The examples of the README, which `cargo test --doc` runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
