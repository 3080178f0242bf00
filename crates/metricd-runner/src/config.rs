//! How many connections the runner may have, and for how long.

use std::time::Duration;

/// How many connections the runner may have, and how long a run waits for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerConfig {
    /// How many connections there may be at once.
    pub max_connections: usize,
    /// How long a run waits for one to become free.
    pub acquire_timeout: Duration,
    /// How long a connection is used before another one takes its place, less up to a tenth.
    pub max_lifetime: Duration,
    /// How long a connection is kept that nobody uses.
    pub idle_timeout: Duration,
}

impl Default for RunnerConfig {
    /// 16 connections, 1 s to wait for one, a lifetime of 30 minutes, closed after 5 minutes without use.
    fn default() -> Self {
        Self {
            max_connections: 16,
            acquire_timeout: Duration::from_secs(1),
            max_lifetime: Duration::from_secs(1_800),
            idle_timeout: Duration::from_secs(300),
        }
    }
}
