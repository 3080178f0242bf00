//! Polls for a condition that another process brings about.

use std::thread;
use std::time::{Duration, Instant};

use crate::EmbeddedError;

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Polls every 5 ms until `probe` returns a value.
///
/// # Errors
///
/// The errors of `probe`, and [`EmbeddedError::TooSlow`] after `timeout`.
pub(crate) fn until<T>(
    timeout: Duration,
    awaited: impl FnOnce() -> String,
    mut probe: impl FnMut() -> Result<Option<T>, EmbeddedError>,
) -> Result<T, EmbeddedError> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(value) = probe()? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            return Err(EmbeddedError::TooSlow { awaited: awaited(), seconds: timeout.as_secs() });
        }
        thread::sleep(POLL_INTERVAL);
    }
}
