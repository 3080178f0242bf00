//! Splits a run's time into queueing, database and encoding.

use std::time::{Duration, Instant};

use metricd_execution::RunTiming;

/// The parts of a run's time so far.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Instant,
    /// When the session that was used last was open, at the latest; `None` behind a pooler.
    pub(crate) session_since: Option<Instant>,
    pub(crate) queue: Duration,
    pub(crate) encode: Duration,
    /// How long a full sink has made the run wait.
    pub(crate) backpressure: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let (queue, encode, backpressure) = Default::default();
        let began = Instant::now();
        Self { began, session_since: None, queue, encode, backpressure }
    }

    /// The parts so far. Time that is not accounted for is that of the database.
    pub(crate) fn timing(&self) -> RunTiming {
        let Self { began, session_since: _, queue, encode, backpressure } = *self;
        RunTiming { queue, database: began.elapsed().saturating_sub(queue + encode + backpressure), encode }
    }
}

/// Sums the intervals in which it runs.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    total: Duration,
    since: Option<Instant>,
}

impl Stopwatch {
    pub(crate) fn resume(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Pauses it. Returns whether it was running.
    pub(crate) fn pause(&mut self) -> bool {
        let since = self.since.take();
        self.total += since.map(|since| since.elapsed()).unwrap_or_default();
        since.is_some()
    }

    /// Stops it and resets it to zero.
    pub(crate) fn take(&mut self) -> Duration {
        self.pause();
        std::mem::take(&mut self.total)
    }
}
