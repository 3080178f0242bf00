//! What an operator can configure of the runner.

use std::time::Duration;

use metricd_database::DataSchemas;
use metricd_domain::TimeZone;

/// Limits of the runner's connections, and whether it batches statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerConfig {
    /// The maximum number of connections.
    pub max_connections: usize,
    /// How long a run waits for a free connection.
    pub acquire_timeout: Duration,
    /// The lifetime of a connection, shortened by a fraction of up to a tenth that differs between connections.
    pub max_lifetime: Duration,
    /// How long an unused connection stays open.
    pub idle_timeout: Duration,
    /// Whether cheap statements of several runs may share a round trip. If false, each statement is sent alone.
    pub batching: bool,
    /// The schemas that stored SQL reads.
    pub schemas: DataSchemas,
    /// The time zone of sessions. PostgreSQL has to know it.
    pub time_zone: TimeZone,
}

impl Default for RunnerConfig {
    /// 16 connections, 1 s to wait for one, a lifetime of 30 minutes, closed after 5 minutes without use; batching is on;
    /// the schema is `warehouse`, the time zone UTC.
    fn default() -> Self {
        Self {
            max_connections: 16,
            acquire_timeout: Duration::from_secs(1),
            max_lifetime: Duration::from_secs(1_800),
            idle_timeout: Duration::from_secs(300),
            batching: true,
            schemas: DataSchemas::default(),
            time_zone: TimeZone::default(),
        }
    }
}
