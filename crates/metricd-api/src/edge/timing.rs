//! Where a request's time has gone: the header `Server-Timing`.

use std::fmt::Write;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderValue;
use actix_web::{HttpMessage, HttpRequest};
use metricd_execution::RunTiming;

/// Takes note of where the time of the request's run has gone, for the edge to tell.
pub(crate) fn note_run(request: &HttpRequest, timing: RunTiming) {
    request.extensions_mut().insert(timing);
}

/// Does work that counts as encoding, after [`note_run`].
pub(crate) fn encoding<T>(request: &HttpRequest, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let made = work();
    if let Some(timing) = request.extensions_mut().get_mut::<RunTiming>() {
        timing.encode += began.elapsed();
    }
    made
}

/// The parts of a request's time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    /// Where the request has run something.
    run: Option<RunTiming>,
    total: Duration,
}

impl Parts {
    /// Of a request that has taken so long until its response leaves.
    pub(super) fn of(request: &HttpRequest, total: Duration) -> Self {
        Self { run: request.extensions().get().copied(), total }
    }

    pub(super) fn queue_ms(&self) -> Option<f64> {
        self.milliseconds(|run| run.queue)
    }

    pub(super) fn database_ms(&self) -> Option<f64> {
        self.milliseconds(|run| run.database)
    }

    pub(super) fn encode_ms(&self) -> Option<f64> {
        self.milliseconds(|run| run.encode)
    }

    pub(super) fn total_ms(&self) -> f64 {
        milliseconds(self.total)
    }

    /// `queue;dur=0.012, database;dur=3.400, encode;dur=0.050, total;dur=3.600`, in milliseconds.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut text = String::with_capacity(96);
        let parts = [("queue", self.queue_ms()), ("database", self.database_ms()), ("encode", self.encode_ms())];
        for (name, milliseconds) in parts {
            if let Some(milliseconds) = milliseconds {
                let _ = write!(text, "{name};dur={milliseconds:.3}, ");
            }
        }
        let _ = write!(text, "total;dur={:.3}", self.total_ms());
        HeaderValue::try_from(text).ok()
    }

    /// None of a part that has taken no time at all, as the encoding of rows that have not come yet.
    fn milliseconds(&self, part: impl Fn(&RunTiming) -> Duration) -> Option<f64> {
        self.run.as_ref().map(part).filter(|part| !part.is_zero()).map(milliseconds)
    }
}

/// With three digits.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}
