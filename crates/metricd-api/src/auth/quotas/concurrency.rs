//! Limits concurrency.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metricd_execution::Permit;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Limits how many permits each key holds. Keys without permits and waiters are removed.
#[derive(Debug)]
pub(super) struct ConcurrencyLimiter {
    limit: NonZeroUsize,
    /// How long a permit is waited for.
    acquire_timeout: Duration,
    semaphores: Mutex<HashMap<u64, Arc<Semaphore>>>,
}

/// A permit of a key, released on drop.
#[derive(Debug, Default)]
pub(crate) struct QuotaPermit {
    permits: Vec<OwnedSemaphorePermit>,
    owner: Option<(u64, Arc<ConcurrencyLimiter>)>,
}

impl QuotaPermit {
    /// The permit of one connection, released when the backend is free again.
    pub(crate) fn into_permit(self) -> Permit {
        match self.owner {
            Some(_) => Permit::new(self),
            None => Permit::default(),
        }
    }

    /// Extends the permit to as many as are available, at most `wanted`, and splits it into one for each connection.
    pub(crate) fn into_permits(mut self, wanted: usize) -> Vec<Permit> {
        let Some((key, limiter)) = self.owner.clone() else { return vec![Permit::default(); wanted.max(1)] };
        let mut permits = std::mem::take(&mut self.permits);
        permits.extend(limiter.try_acquire_many(key, wanted.saturating_sub(permits.len())));
        let owned = |permit| Self { permits: vec![permit], owner: Some((key, Arc::clone(&limiter))) };
        permits.into_iter().map(|permit| owned(permit).into_permit()).collect()
    }
}

impl ConcurrencyLimiter {
    pub(super) fn new(limit: NonZeroUsize, acquire_timeout: Duration) -> Self {
        Self { limit, acquire_timeout, semaphores: Mutex::default() }
    }

    /// Waits for a permit of the key; `None` after the timeout.
    pub(super) async fn acquire(self: &Arc<Self>, key: u64) -> Option<QuotaPermit> {
        let semaphore =
            Arc::clone(self.semaphores().entry(key).or_insert_with(|| Arc::new(Semaphore::new(self.limit.get()))));
        // Dropping the permit removes the key, also if the wait is cancelled.
        let mut permit = QuotaPermit { permits: Vec::new(), owner: Some((key, Arc::clone(self))) };
        permit.permits.push(timeout(self.acquire_timeout, semaphore.acquire_owned()).await.ok()?.ok()?);
        Some(permit)
    }

    /// Acquires as many more permits of the key as are available, at most `limit`, without waiting.
    fn try_acquire_many(&self, key: u64, limit: usize) -> Vec<OwnedSemaphorePermit> {
        let Some(semaphore) = self.semaphores().get(&key).cloned() else { return Vec::new() };
        (0..limit).map_while(|_| Arc::clone(&semaphore).try_acquire_owned().ok()).collect()
    }

    fn semaphores(&self) -> MutexGuard<'_, HashMap<u64, Arc<Semaphore>>> {
        self.semaphores.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for QuotaPermit {
    fn drop(&mut self) {
        self.permits.clear();
        let Some((key, limiter)) = self.owner.take() else { return };
        let mut semaphores = limiter.semaphores();
        if semaphores.get(&key).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            semaphores.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter_of(limit: usize) -> Arc<ConcurrencyLimiter> {
        Arc::new(ConcurrencyLimiter::new(NonZeroUsize::new(limit).unwrap(), Duration::from_secs(1)))
    }

    #[tokio::test(start_paused = true)]
    async fn each_key_has_its_own_permits() {
        let limiter = limiter_of(2);
        let held = [limiter.acquire(1).await.unwrap(), limiter.acquire(1).await.unwrap()];
        let began = tokio::time::Instant::now();
        assert!(limiter.acquire(1).await.is_none());
        assert!(began.elapsed() >= limiter.acquire_timeout, "it has not waited");
        assert!(limiter.acquire(2).await.is_some());
        drop(held);
        assert!(limiter.acquire(1).await.is_some());
        assert!(limiter.semaphores().is_empty(), "{limiter:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_is_extended_by_available_ones_and_each_is_released_alone() {
        let limiter = limiter_of(4);
        let other = limiter.acquire(1).await.unwrap();
        let mut permits = limiter.acquire(1).await.unwrap().into_permits(50);
        assert_eq!(permits.len(), 3);
        assert!(limiter.acquire(1).await.is_none());
        permits.pop();
        let permit = limiter.acquire(1).await.unwrap();
        assert!(limiter.acquire(1).await.is_none());
        assert_eq!(permit.into_permits(0).len(), 1);
        drop((other, permits));
        assert!(limiter.semaphores().is_empty(), "{limiter:?}");
        assert_eq!(QuotaPermit::default().into_permits(50).len(), 50, "without a limit");
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_request_gets_the_released_permit() {
        let limiter = limiter_of(1);
        let first = limiter.acquire(1).await.unwrap();
        let waiting = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { limiter.acquire(1).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(waiting.await.unwrap());
        assert!(limiter.semaphores().is_empty(), "{limiter:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_leaves_no_key() {
        let limiter = limiter_of(1);
        let first = limiter.acquire(1).await.unwrap();
        assert!(timeout(Duration::from_millis(1), limiter.acquire(1)).await.is_err());
        drop(first);
        assert!(limiter.semaphores().is_empty(), "{limiter:?}");
    }
}
