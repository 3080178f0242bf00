//! So many at once.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metricd_execution::Permit;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// What runs, counted for each key by itself. Only keys of which something runs or waits are held.
#[derive(Debug)]
pub(super) struct Running {
    most: NonZeroUsize,
    /// How long a turn is waited for.
    patience: Duration,
    places: Mutex<HashMap<u64, Arc<Semaphore>>>,
}

/// A turn, until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    places: Vec<OwnedSemaphorePermit>,
    of: Option<(u64, Arc<Running>)>,
}

impl Turn {
    /// The permit for one connection: the turn ends when what runs there has ended.
    pub(crate) fn permit(self) -> Permit {
        match self.of {
            Some(_) => Permit::new(self),
            None => Permit::default(),
        }
    }

    /// Takes as many more turns as are free at this moment, and no more than wanted altogether: a permit for each.
    pub(crate) fn permits(mut self, wanted: usize) -> Vec<Permit> {
        let Some((key, running)) = self.of.clone() else { return vec![Permit::default(); wanted.max(1)] };
        let mut places = std::mem::take(&mut self.places);
        places.extend(running.more(key, wanted.saturating_sub(places.len())));
        let turn = |place| Self { places: vec![place], of: Some((key, Arc::clone(&running))) };
        places.into_iter().map(|place| turn(place).permit()).collect()
    }
}

impl Running {
    pub(super) fn new(most: NonZeroUsize, patience: Duration) -> Self {
        Self { most, patience, places: Mutex::default() }
    }

    /// The next turn of the key; `None` where that takes too long.
    pub(super) async fn turn(self: &Arc<Self>, key: u64) -> Option<Turn> {
        let places = Arc::clone(self.places().entry(key).or_insert_with(|| Arc::new(Semaphore::new(self.most.get()))));
        // Whatever becomes of the wait, the key is let go of when nobody needs it.
        let mut turn = Turn { places: Vec::new(), of: Some((key, Arc::clone(self))) };
        turn.places.push(timeout(self.patience, places.acquire_owned()).await.ok()?.ok()?);
        Some(turn)
    }

    /// The same for as many more turns of the turn's key as are free at this moment, and no more than so many. Nobody waits for
    /// these.
    fn more(&self, key: u64, most: usize) -> Vec<OwnedSemaphorePermit> {
        let Some(of_key) = self.places().get(&key).cloned() else { return Vec::new() };
        (0..most).map_while(|_| Arc::clone(&of_key).try_acquire_owned().ok()).collect()
    }

    fn places(&self) -> MutexGuard<'_, HashMap<u64, Arc<Semaphore>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.places.clear();
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
        Arc::new(Running::new(NonZeroUsize::new(most).unwrap(), Duration::from_secs(1)))
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
    async fn a_turn_is_widened_by_what_is_free_and_each_permit_is_given_back_by_itself() {
        let running = running(4);
        let other = running.turn(1).await.unwrap();
        let mut permits = running.turn(1).await.unwrap().permits(50);
        assert_eq!(permits.len(), 3);
        assert!(running.turn(1).await.is_none());
        permits.pop();
        let turn = running.turn(1).await.unwrap();
        assert!(running.turn(1).await.is_none());
        assert_eq!(turn.permits(0).len(), 1);
        drop((other, permits));
        assert!(running.places().is_empty(), "{running:?}");
        assert_eq!(Turn::default().permits(50).len(), 50, "where nothing is limited");
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
