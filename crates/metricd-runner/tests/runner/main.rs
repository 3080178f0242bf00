//! The runner and the resolver against a real PostgreSQL, a fresh database for each test.

mod functions;
mod own_sql;
mod periods;
mod pooler;
mod repeatable;
mod runner;
mod sandbox;
mod schemas;
mod selections;
mod streams;
mod tables;
mod tenants;
mod time_zones;
mod types;
mod validate;

use metricd_execution::Permit;

/// For statements on one snapshot that may have every connection.
fn permits() -> Vec<Permit> {
    vec![Permit::default(); 16]
}
