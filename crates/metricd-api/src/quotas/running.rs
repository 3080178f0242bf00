//! So many at once.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a turn is waited for: as long as for a connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// What runs, counted for each key by itself. Only keys of which something runs or waits are held.
#[derive(Debug)]
pub(super) struct Running {
    most: NonZeroUsize,
    places: Mutex<HashMap<u64, Arc<Semaphore>>>,
}

/// A turn, until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    place: Option<OwnedSemaphorePermit>,
    of: Option<(u64, Arc<Running>)>,
}

impl Running {
    pub(super) fn new(most: NonZeroUsize) -> Self {
        Self { most, places: Mutex::default() }
    }

    /// The next turn of the key; `None` where that takes too long.
    pub(super) async fn turn(self: &Arc<Self>, key: u64) -> Option<Turn> {
        let places = Arc::clone(self.places().entry(key).or_insert_with(|| Arc::new(Semaphore::new(self.most.get()))));
        // Whatever becomes of the wait, the key is let go of when nobody needs it.
        let mut turn = Turn { place: None, of: Some((key, Arc::clone(self))) };
        turn.place = Some(timeout(PATIENCE, places.acquire_owned()).await.ok()?.ok()?);
        Some(turn)
    }

    fn places(&self) -> MutexGuard<'_, HashMap<u64, Arc<Semaphore>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.place = None;
        let Some((key, running)) = self.of.take() else { return };
        let mut places = running.places();
        if places.get(&key).is_some_and(|of_key| Arc::strong_count(of_key) == 1) {
            places.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(most: usize) -> Arc<Running> {
        Arc::new(Running::new(NonZeroUsize::new(most).unwrap()))
    }

    #[tokio::test(start_paused = true)]
    async fn one_key_gets_no_more_turns_than_it_may_have_and_others_theirs() {
        let running = running(2);
        let held = [running.turn(1).await.unwrap(), running.turn(1).await.unwrap()];
        assert!(running.turn(1).await.is_none());
        assert!(running.turn(2).await.is_some());
        drop(held);
        assert!(running.turn(1).await.is_some());
        assert!(running.places().is_empty(), "{running:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_turn_that_becomes_free() {
        let running = running(1);
        let first = running.turn(1).await.unwrap();
        let waiting = tokio::spawn({
            let running = Arc::clone(&running);
            async move { running.turn(1).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(waiting.await.unwrap());
        assert!(running.places().is_empty(), "{running:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_leaves_nothing() {
        let running = running(1);
        let first = running.turn(1).await.unwrap();
        assert!(timeout(Duration::from_millis(1), running.turn(1)).await.is_err());
        drop(first);
        assert!(running.places().is_empty(), "{running:?}");
    }
}
