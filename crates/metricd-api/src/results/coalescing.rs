//! Runs that several requests share.
//!
//! Of requests that ask the same at the same time, those that were there before a statement is sent are answered by that one
//! statement. Nobody is answered with data from before the request: whoever comes after the statement was sent has the next one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use actix_web::http::header::EntityTag;
use actix_web::rt;
use actix_web::web::Bytes;
use foldhash::fast::RandomState;
use metricd_execution::{RunError, RunLimits, RunTiming};
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::results::validator_cache::Question;

/// How long a run waits for the end of one that asks the same and was sent before, so that whoever comes meanwhile shares it.
const PATIENCE: Duration = Duration::from_millis(2);

/// What a run leaves.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) timing: RunTiming,
    pub(crate) result: Result<EncodedResult, RunError>,
}

/// A result, ready to be answered.
#[derive(Debug, Clone)]
pub(crate) struct EncodedResult {
    pub(crate) body: Bytes,
    pub(crate) tag: EntityTag,
    pub(crate) is_truncated: bool,
}

/// What is asked, within which limits, by requests of one thread.
///
/// Each thread has runs of its own: its runtime is the one that notices what comes on the connection, and having it wake another
/// costs more than a cheap statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    thread: ThreadId,
    question: Question,
    limits: RunLimits,
}

/// The runs that have not ended, for requests that ask the same to share them.
#[derive(Default)]
pub struct SharedRuns(Mutex<State>);

#[derive(Default)]
struct State {
    /// Of the runs that ask the same, the one that was begun last.
    latest: HashMap<Key, Latest, RandomState>,
    /// How many runs were begun.
    begun: u64,
}

struct Latest {
    number: u64,
    /// What others may join, while its statement is not sent.
    unsent: Option<Weak<Task>>,
    /// Is closed when the run ends.
    ended: oneshot::Receiver<Infallible>,
}

/// What becomes of a request.
enum Turn<F> {
    /// It runs the statement itself.
    Alone(F),
    /// It waits for a task that does.
    Waits(Arc<Task>),
}

impl fmt::Debug for SharedRuns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SharedRuns").field("runs", &self.state().latest.len()).finish_non_exhaustive()
    }
}

impl SharedRuns {
    /// What is left by a run whose statement is sent after this was called: by one that others wait for already, or by a new
    /// one. It is given up when nobody waits for it any more. `None` where it has panicked.
    pub(crate) async fn run<F>(
        self: &Arc<Self>,
        question: Question,
        limits: RunLimits,
        run: impl FnOnce(Underway) -> F,
    ) -> Option<Ran>
    where
        F: Future<Output = Ran> + 'static,
    {
        let asked_at = Instant::now();
        match self.turn(Key { thread: thread::current().id(), question, limits }, run) {
            Turn::Alone(run) => Some(run.await),
            Turn::Waits(task) => task.ran(asked_at).await,
        }
    }

    fn turn<F>(self: &Arc<Self>, key: Key, run: impl FnOnce(Underway) -> F) -> Turn<F>
    where
        F: Future<Output = Ran> + 'static,
    {
        let (ending, ended) = oneshot::channel();
        let (number, before) = {
            let mut state = self.state();
            let unsent = state.latest.get(&key).and_then(|latest| latest.unsent.as_ref()?.upgrade());
            if let Some(task) = unsent {
                return Turn::Waits(task);
            }
            state.begun += 1;
            let number = state.begun;
            let latest = Latest { number, unsent: None, ended };
            (number, state.latest.insert(key, latest).map(|before| before.ended))
        };
        let run = run(Underway { runs: Arc::clone(self), key, number, _ending: ending });
        // Nobody would have much time to join what need not wait, so that it needs no task.
        let Some(before) = before else { return Turn::Alone(run) };
        let task = Task::spawn(run_after(before, run));
        // Nothing else that this thread does comes between.
        if let Some(latest) = self.state().latest.get_mut(&key).filter(|latest| latest.number == number) {
            latest.unsent = Some(Arc::downgrade(&task));
        }
        Turn::Waits(task)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs when the one before has ended. Where that takes longer than the patience, the two run side by side.
async fn run_after(before: oneshot::Receiver<Infallible>, run: impl Future<Output = Ran>) -> Ran {
    let began = Instant::now();
    let _ = timeout(PATIENCE, before).await;
    let waited = began.elapsed();
    let mut ran = run.await;
    ran.timing.queue += waited;
    ran
}

/// A run that several requests wait for, held by each of them.
struct Task {
    began: Instant,
    ran: watch::Receiver<Option<Ran>>,
    handle: AbortHandle,
}

impl Task {
    fn spawn(run: impl Future<Output = Ran> + 'static) -> Arc<Self> {
        let (tell, ran) = watch::channel(None);
        let task = rt::spawn(async move { tell.send_replace(Some(run.await)) });
        Arc::new(Self { began: Instant::now(), ran, handle: task.abort_handle() })
    }

    /// What it leaves, as one sees it who has asked at this time.
    async fn ran(self: Arc<Self>, asked_at: Instant) -> Option<Ran> {
        let mut ran = self.ran.clone().wait_for(Option::is_some).await.ok()?.clone()?;
        let RunTiming { queue, database, .. } = &mut ran.timing;
        let missed = asked_at.saturating_duration_since(self.began);
        // It may have missed that the statement was prepared, too.
        *database = database.saturating_sub(missed.saturating_sub(*queue));
        *queue = queue.saturating_sub(missed);
        Some(ran)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// A run's place among the others, until this is dropped. The run that waits for its end goes on before anybody is told what it
/// leaves.
pub(crate) struct Underway {
    runs: Arc<SharedRuns>,
    key: Key,
    number: u64,
    _ending: oneshot::Sender<Infallible>,
}

impl Underway {
    /// Says that the statement is sent now: what is asked from here on may be about other data.
    pub(crate) fn sent(&self) {
        if let Some(latest) = self.runs.state().latest.get_mut(&self.key).filter(|latest| latest.number == self.number)
        {
            latest.unsent = None;
        }
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let mut state = self.runs.state();
        if let Entry::Occupied(latest) = state.latest.entry(self.key)
            && latest.get().number == self.number
        {
            latest.remove();
        }
    }
}

#[cfg(test)]
mod tests;
