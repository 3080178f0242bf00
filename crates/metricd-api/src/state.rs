//! What every request shares.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use metricd_execution::MetricRunner;
use metricd_repository::MetricRepository;

/// What every request shares: the store, the runner, and the rules that are the operator's to set.
#[derive(Debug, Clone)]
pub struct ApiState {
    /// The store of metrics.
    pub repository: Arc<dyn MetricRepository>,
    /// Runs their SQL.
    pub runner: Arc<dyn MetricRunner>,
    /// How long a metric's SQL may run.
    pub query_timeout: Duration,
    /// How long the client of a stream may make the database wait, all in all.
    pub stream_patience: Duration,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
}

impl ApiState {
    /// With 5 s for a metric's SQL, 5 minutes for a client to read a stream, and the system's clock.
    #[must_use]
    pub fn new(repository: Arc<dyn MetricRepository>, runner: Arc<dyn MetricRunner>) -> Self {
        Self {
            repository,
            runner,
            query_timeout: Duration::from_secs(5),
            stream_patience: Duration::from_secs(300),
            now: Utc::now,
        }
    }
}
