//! The adapter against a real PostgreSQL, a fresh database for each test.

mod contract;
mod faults;
mod functions;
mod hanging;
mod hardening;
mod ingestions;
mod judge;
mod periods;
mod pooler;
mod reader;
mod repeatable;
mod runner;
mod schema;
mod settings;
mod streams;
mod tenants;
mod types;
mod walls;

use metricd_execution::Permit;

/// For statements on one snapshot that may have every connection.
fn permits() -> Vec<Permit> {
    vec![Permit::default(); 16]
}
