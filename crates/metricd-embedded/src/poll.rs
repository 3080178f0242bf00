//! Waiting for what another process does: look, sleep a little, look again, give up.

use std::thread;
use std::time::{Duration, Instant};

use crate::EmbeddedError;

const PAUSE: Duration = Duration::from_millis(5);

/// Looks every few milliseconds until there is an answer.
///
/// # Errors
///
/// Those of `look`, and [`EmbeddedError::TooSlow`] after `limit`.
pub(crate) fn until<T>(
    limit: Duration,
    awaited: impl FnOnce() -> String,
    mut look: impl FnMut() -> Result<Option<T>, EmbeddedError>,
) -> Result<T, EmbeddedError> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = look()? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            return Err(EmbeddedError::TooSlow { awaited: awaited(), seconds: limit.as_secs() });
        }
        thread::sleep(PAUSE);
    }
}
