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

use std::time::Duration;

use metricd_execution::BatchLimits;

/// What a batch may take that may have every connection.
fn within(time: Duration) -> BatchLimits {
    BatchLimits { time, connections: usize::MAX }
}
