//! A value of the database that is read again every few seconds, by one request for all.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use metricd_execution::RunError;
use tokio::sync::Mutex;

/// How long a value that was read is valid.
pub(crate) const TTL: Duration = Duration::from_secs(5);

/// How much longer a stale value is used while it is read again.
pub(crate) const STALE_GRACE: Duration = Duration::from_secs(5);

/// A value, and when it was read.
#[derive(Debug)]
pub(crate) struct Refreshed<T> {
    last: RwLock<Option<Arc<Read<T>>>>,
    /// Held while the value is read; the time of the last failure.
    refreshing: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Read<T> {
    value: Arc<T>,
    read_at: Instant,
}

impl<T> Default for Refreshed<T> {
    fn default() -> Self {
        Self { last: RwLock::default(), refreshing: Mutex::default() }
    }
}

impl<T> Refreshed<T> {
    /// The value, which was read at most [`TTL`] ago, or [`STALE_GRACE`] more while the database fails. A value that is
    /// not `accepted` is read again in any case.
    ///
    /// # Errors
    ///
    /// That of `read`.
    pub(crate) async fn get(
        &self,
        accepted: impl Fn(&T) -> bool,
        read: impl AsyncFn() -> Result<T, RunError>,
    ) -> Result<Arc<T>, RunError> {
        let last = self.last().filter(|last| accepted(&last.value));
        if let Some(last) = last.filter(|last| last.read_at.elapsed() < TTL + STALE_GRACE) {
            if last.read_at.elapsed() < TTL {
                return Ok(Arc::clone(&last.value));
            }
            // One caller reads the value; the others use the stale one. A failure is reported only after the grace period.
            if let Ok(mut failed_at) = self.refreshing.try_lock() {
                drop(self.refresh(read, &mut failed_at).await);
            }
        } else {
            // The value may have changed since.
            let arrived_at = Instant::now();
            let mut failed_at = self.refreshing.lock().await;
            // Callers that waited for a failed read fail with it, instead of reading one after another.
            if failed_at.is_some_and(|failed_at| failed_at >= arrived_at) {
                return Err(unknown());
            }
            if self.last().is_none_or(|last| last.read_at < arrived_at) {
                self.refresh(read, &mut failed_at).await?;
            }
        }
        self.stale().ok_or_else(unknown)
    }

    /// The last value that was read, however old.
    pub(crate) fn stale(&self) -> Option<Arc<T>> {
        self.last().map(|last| Arc::clone(&last.value))
    }

    async fn refresh(
        &self,
        read: impl AsyncFn() -> Result<T, RunError>,
        failed_at: &mut Option<Instant>,
    ) -> Result<(), RunError> {
        let read_at = Instant::now();
        match read().await {
            Ok(value) => {
                let mut last = self.last.write().unwrap_or_else(PoisonError::into_inner);
                *last = Some(Arc::new(Read { value: Arc::new(value), read_at }));
                Ok(())
            }
            Err(error) => {
                *failed_at = Some(Instant::now());
                Err(error)
            }
        }
    }

    fn last(&self) -> Option<Arc<Read<T>>> {
        self.last.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the value older.
    #[cfg(test)]
    pub(crate) fn age(&self, by: Duration) {
        let mut last = self.last.write().unwrap();
        if let Some(read) = last.as_deref() {
            let value = Arc::clone(&read.value);
            *last = Some(Arc::new(Read { value, read_at: read.read_at.checked_sub(by).unwrap() }));
        }
    }
}

fn unknown() -> RunError {
    RunError::Unavailable("the catalogs of the database could not be read".to_owned())
}
