//! Where a run's time goes.

use std::time::{Duration, Instant};

use metricd_execution::RunTiming;

/// Tells the parts of a run's time from each other.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Instant,
    /// When at the latest PostgreSQL's session was open that was used last; `None` behind a pooler.
    pub(crate) session_since: Option<Instant>,
    pub(crate) queue: Duration,
    pub(crate) encode: Duration,
    /// For how long a sink that was full has made the run wait.
    pub(crate) backpressure: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let (queue, encode, backpressure) = Default::default();
        let began = Instant::now();
        Self { began, session_since: None, queue, encode, backpressure }
    }

    /// The parts so far. What is nobody else's is PostgreSQL's.
    pub(crate) fn timing(&self) -> RunTiming {
        let Self { began, session_since: _, queue, encode, backpressure } = *self;
        RunTiming { queue, database: began.elapsed().saturating_sub(queue + encode + backpressure), encode }
    }
}

/// Adds up the times for which it runs.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    total: Duration,
    since: Option<Instant>,
}

impl Stopwatch {
    pub(crate) fn resume(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Says whether it has run.
    pub(crate) fn pause(&mut self) -> bool {
        let since = self.since.take();
        self.total += since.map(|since| since.elapsed()).unwrap_or_default();
        since.is_some()
    }

    /// Stops it and begins anew.
    pub(crate) fn take(&mut self) -> Duration {
        self.pause();
        std::mem::take(&mut self.total)
    }
}
