//! Runs and resolves stored SQL on PostgreSQL as the reader role, without blocking a thread.
//!
//! The crate speaks PostgreSQL's wire protocol itself and implements the ports [`MetricRunner`] and [`Resolver`] of
//! `metricd-execution`. It does not know the catalog of metrics, HTTP or Diesel.
//!
//! # The states of a connection
//!
//! ```text
//!   open ────> acquired <──────────────────── idle ────> closed (lifetime over, idle too long, or lost)
//!               │   ^  └─── released ────────> ^
//!        sent   │   │ response read            │
//!               v   │ to its end               │
//!              running                         │
//!               │ its future is dropped,       │
//!               │ or its time is over          │
//!               v                              │
//!              stopping ── backend is ready ───┘
//!               │ still runs 1 s after it was cancelled
//!               v
//!              quarantined ── backend is ready, or has ended the session ────> closed
//! ```
//!
//! A pool slot and the caller's permits are held until the backend is free again, in every state but the idle one.
//! While a statement is quarantined, runs of the same text are refused.
//!
//! # How a statement runs
//!
//! A statement is prepared once for each connection (one round trip) and its cost is estimated with `EXPLAIN` at most once
//! in 60 s (one round trip). The table counts the round trips after that.
//!
//! | way | chosen if | round trips |
//! |---|---|---|
//! | batched with others | The session is batching-safe, no tenant and no time zone is set, the sink exerts no back-pressure, a cost of at most 1000 is known for the statement, and the statement was lately neither quarantined nor refused a lock in time. | One for all statements of a batch: at most 32, with a total cost of at most 4000. |
//! | alone | In any other case, and if a batch has failed or took longer than 20 ms. | One. If the session is side-effect free, the sink exerts no back-pressure and no time zone is set, only the statement (and its tenant) is sent; otherwise `BEGIN READ ONLY`, the statement and `ROLLBACK` are sent at once. |
//! | in a snapshot batch | [`MetricRunner::run_on_one_snapshot`] was called. | One for all cheap statements (a total cost of at most 10,000), with the beginning and the end of their transaction. Two for each expensive one, and one to end. Sharing the snapshot with further connections takes three more. |
//!
//! # Modules
//!
//! | module | what it does |
//! |---|---|
//! | `runner` | `PgRunner`: chooses the way in which a statement runs |
//! | `run` | runs one statement alone |
//! | `batcher` | runs cheap statements of several requests in one round trip |
//! | `snapshot_batch` | runs the statements of one call on one snapshot |
//! | `connection` | a session with its prepared-statement cache, properties and types |
//! | `session` | PostgreSQL's protocol over a socket |
//! | `pool` | slots, waiters, expiry, cancellation, quarantine, statements that wait for locks |
//! | `backpressure` | the limits of a run whose sink makes it wait |
//! | `cost` | the planner's estimates |
//! | `tenancy`, `transaction` | what is sent before and after statements |
//! | `introspection` | snapshot token, fingerprint of tables, row-level security, contracts |
//! | `resolver` | the resolved query of a statement that is not stored yet |
//! | `own_statements` | the list of metricd's own statements, for tests |
//! | `probe`, `watch` | readiness, and notifications of changed definitions |
//!
//! # Example
//!
//! ```no_run
//! use metricd_database::DatabaseUrl;
//! use metricd_domain::SqlText;
//! use metricd_execution::{BoundStatement, JsonRows, MetricRunner, Permit, RunLimits, Statement};
//! use metricd_runner::{PgRunner, RunnerConfig};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let reader = DatabaseUrl::parse("postgres://metricd_reader@localhost/metricd")?;
//! let runner = PgRunner::new(&reader, RunnerConfig::default())?;
//!
//! let statement = Statement::parse(&SqlText::parse("SELECT count(*) FROM orders")?)?;
//! let statement = BoundStatement::without_arguments(&statement);
//! let mut rows = JsonRows::default();
//! let outcome = runner.run(&statement, None, RunLimits::default(), Permit::default(), &mut rows).await?;
//! println!("{} rows: {}", outcome.row_count, String::from_utf8(rows.finish())?);
//! # Ok(())
//! # }
//! ```
//!
//! [`MetricRunner`]: metricd_execution::MetricRunner
//! [`MetricRunner::run_on_one_snapshot`]: metricd_execution::MetricRunner::run_on_one_snapshot
//! [`Resolver`]: metricd_execution::Resolver

mod backpressure;
mod batcher;
mod config;
mod connection;
mod cost;
mod error;
mod introspection;
mod login;
mod own_statements;
mod pool;
mod pooler;
mod probe;
mod replicas;
mod resolver;
mod run;
mod runner;
mod session;
mod snapshot_batch;
mod tenancy;
mod timing;
mod transaction;
mod watch;

pub use config::RunnerConfig;
#[doc(hidden)]
pub use login::refuses_login;
pub use own_statements::own_statements;
pub use pooler::{PoolerFacts, PoolerSettings, survey_pooler};
pub use replicas::ReplicaSet;
pub use resolver::PgResolver;
pub use runner::PgRunner;
pub use tenancy::TenantKey;
pub use watch::{DefinitionEvent, watch_definitions};

/// The first line of a driver's message. The driver reports each address that it has tried on a line of its own.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_owned()
}

/// Runs the examples of the README with `cargo test --doc`.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
