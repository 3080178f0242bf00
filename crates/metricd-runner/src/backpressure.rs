//! The time limits of a run whose sink exerts back-pressure.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use metricd_execution::{Column, EncodeError, Fields, RowSink, RunError, RunLimits, RunOutcome, RunTiming};
use tokio::time::{Instant, timeout_at};

/// The shortest interval between two checks of the limits.
const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// How far a sink may lag behind the minimum rate. A pause of this length is allowed.
const MAX_LAG: Duration = Duration::from_secs(30);

/// Measures how long a run waits for its sink, and enforces the limits on it.
#[derive(Debug, Default)]
pub(crate) struct BackpressureClock(Mutex<BackpressureState>);

#[derive(Debug, Default)]
struct BackpressureState {
    before: Duration,
    since: Option<Instant>,
    /// The bytes of rows that the sink has received since the last flush.
    taken_bytes: u64,
    /// The time that flushes took beyond what the minimum rate allows for the bytes. A faster flush earns no credit
    /// for later.
    lag: Duration,
}

impl BackpressureState {
    /// The lag as of now, at this minimum rate.
    fn lag(&self, min_bytes_per_second: u64) -> Duration {
        if min_bytes_per_second == 0 {
            return Duration::ZERO;
        }
        let allowed = Duration::from_millis(self.taken_bytes.saturating_mul(1_000) / min_bytes_per_second);
        let waiting = self.since.map(|since| since.elapsed()).unwrap_or_default();
        (self.lag + waiting).saturating_sub(allowed)
    }
}

impl BackpressureClock {
    /// Wraps the sink so that its back-pressure is measured.
    pub(crate) fn measure<'a>(&'a self, sink: &'a mut dyn RowSink, limits: RunLimits) -> impl RowSink + 'a {
        MeasuredSink { sink, clock: self, min_bytes_per_second: limits.min_bytes_per_second }
    }

    /// Ends the run if it exceeds its time limit without back-pressure, if back-pressure exceeds the write timeout,
    /// or if the sink lags behind the minimum rate.
    pub(crate) async fn enforce(
        &self,
        limits: RunLimits,
        run: impl Future<Output = Result<RunOutcome, RunError>>,
    ) -> Result<RunOutcome, RunError> {
        let mut run = std::pin::pin!(run);
        let began = Instant::now();
        let mut check_at = began + limits.time.min(limits.write_timeout);
        loop {
            if let Ok(outcome) = timeout_at(check_at, &mut run).await {
                return outcome;
            }
            let (now, waited) = (Instant::now(), self.total());
            let lag = self.lock().lag(limits.min_bytes_per_second);
            let left = limits.write_timeout.saturating_sub(waited).min(MAX_LAG.saturating_sub(lag));
            // The end moves while the run waits for its sink.
            let end = began + limits.time + waited;
            if left.is_zero() {
                return Err(RunError::ClientTooSlow { limit: limits.write_timeout });
            }
            if end <= now {
                return Err(RunError::TimedOut { limit: limits.time });
            }
            check_at = end.min(now + left).max(now + MIN_CHECK_INTERVAL);
        }
    }

    /// The total back-pressure so far.
    pub(crate) fn total(&self) -> Duration {
        let waited = self.lock();
        waited.before + waited.since.map(|since| since.elapsed()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BackpressureState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct MeasuredSink<'a> {
    sink: &'a mut dyn RowSink,
    clock: &'a BackpressureClock,
    min_bytes_per_second: u64,
}

#[async_trait]
impl RowSink for MeasuredSink<'_> {
    fn columns(&mut self, columns: &[Column]) -> Result<(), EncodeError> {
        self.sink.columns(columns)
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize) -> Result<bool, EncodeError> {
        self.clock.lock().taken_bytes += fields.size_bytes() as u64;
        self.sink.row(fields, max_bytes)
    }

    fn is_full(&self) -> bool {
        self.sink.is_full()
    }

    fn sent(&mut self) {
        self.sink.sent();
    }

    fn timed(&mut self, timing: RunTiming) {
        self.sink.timed(timing);
    }

    async fn flush(&mut self) {
        self.clock.lock().since = Some(Instant::now());
        self.sink.flush().await;
        let mut waited = self.clock.lock();
        let lag = waited.lag(self.min_bytes_per_second);
        let before = waited.before + waited.since.map(|since| since.elapsed()).unwrap_or_default();
        *waited = BackpressureState { before, lag, ..BackpressureState::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink that is taken from after so long.
    struct Slow(Duration);

    #[async_trait]
    impl RowSink for Slow {
        fn columns(&mut self, _: &[Column]) -> Result<(), EncodeError> {
            Ok(())
        }

        fn row(&mut self, _: Fields<'_>, _: usize) -> Result<bool, EncodeError> {
            Ok(true)
        }

        async fn flush(&mut self) {
            tokio::time::sleep(self.0).await;
        }
    }

    /// Runs for three times so long in the database, and waits twice so long for the sink.
    async fn run(working: u64, waiting: u64) -> Result<RunOutcome, RunError> {
        let limits =
            RunLimits { time: Duration::from_secs(5), write_timeout: Duration::from_secs(60), ..RunLimits::default() };
        let (clock, mut slow) = (BackpressureClock::default(), Slow(Duration::from_secs(waiting)));
        let mut sink = clock.measure(&mut slow, limits);
        let work = async || {
            tokio::time::sleep(Duration::from_secs(working)).await;
        };
        let run = async {
            work().await;
            sink.flush().await;
            work().await;
            sink.flush().await;
            work().await;
            Ok(RunOutcome { row_count: 0, truncated: false })
        };
        clock.enforce(limits, run).await
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_sink_takes_does_not_count_as_the_database_s_time() {
        assert!(run(1, 20).await.is_ok());
        let began = Instant::now();
        assert!(matches!(run(2, 20).await, Err(RunError::TimedOut { .. })));
        assert!(began.elapsed() < Duration::from_secs(46), "{:?}", began.elapsed());
    }

    /// Hands over a chunk of 64 KiB, and waits so long until it is taken, again and again.
    async fn stream(chunks: usize, waiting: Duration) -> Result<RunOutcome, RunError> {
        let write_timeout = Duration::from_secs(3_600);
        let limits = RunLimits { write_timeout, min_bytes_per_second: 16 << 10, ..RunLimits::default() };
        let (clock, mut slow) = (BackpressureClock::default(), Slow(waiting));
        let mut sink = clock.measure(&mut slow, limits);
        let chunk = vec![0; 64 << 10];
        let run = async {
            for _ in 0..chunks {
                sink.row(Fields::of(&chunk), usize::MAX)?;
                sink.flush().await;
            }
            Ok(RunOutcome { row_count: 0, truncated: false })
        };
        clock.enforce(limits, run).await
    }

    #[tokio::test(start_paused = true)]
    async fn the_sink_has_to_take_rows_at_the_least_rate() {
        assert!(stream(500, Duration::from_millis(3_900)).await.is_ok(), "faster than the rate");
        assert!(stream(1, Duration::from_secs(25)).await.is_ok(), "a pause");
        let began = Instant::now();
        // A tenth of the rate.
        assert!(matches!(stream(500, Duration::from_secs(40)).await, Err(RunError::ClientTooSlow { .. })));
        assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
        let began = Instant::now();
        // Half of it.
        assert!(matches!(stream(500, Duration::from_secs(8)).await, Err(RunError::ClientTooSlow { .. })));
        assert!(began.elapsed() < Duration::from_secs(70), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn the_sink_may_make_the_run_wait_for_so_long_and_no_longer() {
        let began = Instant::now();
        assert!(matches!(run(1, 40).await, Err(RunError::ClientTooSlow { .. })));
        assert!(began.elapsed() < Duration::from_secs(63), "{:?}", began.elapsed());
    }
}
