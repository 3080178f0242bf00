//! The header `Server-Timing`: how long the stages of a request took.

use std::fmt::{self, Write};
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderValue;
use actix_web::{HttpMessage, HttpRequest};
use metricd_execution::RunTiming;

/// Records the timing of the request's run, for the header.
pub(crate) fn note_run(request: &HttpRequest, timing: RunTiming) {
    request.extensions_mut().insert(timing);
}

/// Runs `work` and adds its time to the encoding, after [`note_run`].
pub(crate) fn encoding<T>(request: &HttpRequest, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let made = work();
    if let Some(timing) = request.extensions_mut().get_mut::<RunTiming>() {
        timing.encode += began.elapsed();
    }
    made
}

/// The stages of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct StageTimings {
    /// The stages of the run; a stage is `None` if it took no time, such as encoding before the first row.
    pub(super) queue: Option<Milliseconds>,
    pub(super) database: Option<Milliseconds>,
    pub(super) encode: Option<Milliseconds>,
    pub(super) total: Milliseconds,
}

impl StageTimings {
    /// The stages of a request that took this long until its response.
    pub(super) fn of(request: &HttpRequest, total: Duration) -> Self {
        let run: Option<RunTiming> = request.extensions().get().copied();
        let part = |part: fn(RunTiming) -> Duration| {
            run.map(part).filter(|duration| !duration.is_zero()).map(Milliseconds::of)
        };
        Self {
            queue: part(|run| run.queue),
            database: part(|run| run.database),
            encode: part(|run| run.encode),
            total: Milliseconds::of(total),
        }
    }

    /// `queue;dur=0.012, database;dur=3.400, encode;dur=0.050, total;dur=3.600`, in milliseconds.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut text = String::new();
        for (name, part) in [("queue", self.queue), ("database", self.database), ("encode", self.encode)] {
            if let Some(part) = part {
                let _ = write!(text, "{name};dur={}, ", part.digits());
            }
        }
        let _ = write!(text, "total;dur={}", self.total.digits());
        HeaderValue::try_from(text).ok()
    }
}

/// A duration in microseconds; written as milliseconds with three digits, displayed with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Milliseconds {
    microseconds: u64,
}

impl Milliseconds {
    fn of(duration: Duration) -> Self {
        let microseconds = duration.saturating_add(Duration::from_nanos(500)).as_micros();
        Self { microseconds: u64::try_from(microseconds).unwrap_or(u64::MAX) }
    }

    /// With three digits after the point.
    fn digits(self) -> String {
        format!("{}.{:03}", self.microseconds / 1_000, self.microseconds % 1_000)
    }

    #[expect(clippy::cast_precision_loss, reason = "exact up to centuries")]
    pub(super) fn value(self) -> f64 {
        self.microseconds as f64 / 1_000.0
    }
}

impl fmt::Display for Milliseconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.microseconds.saturating_add(50) / 100;
        write!(formatter, "{}.{}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_rounded_to_their_last_digit() {
        let shown = |nanoseconds| {
            let milliseconds = Milliseconds::of(Duration::from_nanos(nanoseconds));
            (milliseconds.digits(), milliseconds.to_string(), milliseconds.value().to_string())
        };
        let expected = |digits: &str, digit: &str, value: &str| (digits.to_owned(), digit.to_owned(), value.to_owned());
        assert_eq!(shown(0), expected("0.000", "0.0", "0"));
        assert_eq!(shown(499), expected("0.000", "0.0", "0"));
        assert_eq!(shown(12_500), expected("0.013", "0.0", "0.013"));
        assert_eq!(shown(49_999), expected("0.050", "0.1", "0.05"));
        assert_eq!(shown(3_949_499), expected("3.949", "3.9", "3.949"));
        assert_eq!(shown(1_999_950_000), expected("1999.950", "2000.0", "1999.95"));
        assert_eq!(Milliseconds::of(Duration::MAX).to_string(), "18446744073709551.6");
    }
}
