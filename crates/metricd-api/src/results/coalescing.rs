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

use crate::results::validator_cache::RequestKey;

/// How long a run waits for the end of one that asks the same and was sent before, so that whoever comes meanwhile shares it.
const COALESCE_WINDOW: Duration = Duration::from_millis(2);

/// What a run leaves.
#[derive(Debug, Clone)]
pub(crate) struct RunResult {
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
struct RunKey {
    thread: ThreadId,
    request_key: RequestKey,
    limits: RunLimits,
}

/// The runs that have not ended, for requests that ask the same to share them.
#[derive(Default)]
pub struct RunCoalescer(Mutex<Runs>);

#[derive(Default)]
struct Runs {
    /// Of the runs that ask the same, the one that was begun last.
    latest: HashMap<RunKey, LatestRun, RandomState>,
    /// How many runs were begun.
    started: u64,
}

struct LatestRun {
    number: u64,
    /// What others may join, while its statement is not sent.
    unsent: Option<Weak<SharedRun>>,
    /// Is closed when the run ends.
    ended: oneshot::Receiver<Infallible>,
}

/// What becomes of a request.
enum Participation<F> {
    /// It runs the statement itself.
    Sole(F),
    /// It waits for a task that does.
    Shared(Arc<SharedRun>),
}

impl fmt::Debug for RunCoalescer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RunCoalescer").field("runs", &self.runs().latest.len()).finish_non_exhaustive()
    }
}

impl RunCoalescer {
    /// What is left by a run whose statement is sent after this was called: by one that others wait for already, or by a new
    /// one. It is given up when nobody waits for it any more. `None` where it has panicked.
    pub(crate) async fn run<F>(
        self: &Arc<Self>,
        request_key: RequestKey,
        limits: RunLimits,
        run: impl FnOnce(InFlightRun) -> F,
    ) -> Option<RunResult>
    where
        F: Future<Output = RunResult> + 'static,
    {
        let requested_at = Instant::now();
        match self.join_or_start(RunKey { thread: thread::current().id(), request_key, limits }, run) {
            Participation::Sole(run) => Some(run.await),
            Participation::Shared(task) => task.result(requested_at).await,
        }
    }

    fn join_or_start<F>(self: &Arc<Self>, key: RunKey, run: impl FnOnce(InFlightRun) -> F) -> Participation<F>
    where
        F: Future<Output = RunResult> + 'static,
    {
        let (ending, ended) = oneshot::channel();
        let (number, before) = {
            let mut runs = self.runs();
            let unsent = runs.latest.get(&key).and_then(|latest| latest.unsent.as_ref()?.upgrade());
            if let Some(task) = unsent {
                return Participation::Shared(task);
            }
            runs.started += 1;
            let number = runs.started;
            let latest = LatestRun { number, unsent: None, ended };
            (number, runs.latest.insert(key, latest).map(|before| before.ended))
        };
        let run = run(InFlightRun { coalescer: Arc::clone(self), key, number, _ending: ending });
        // Nobody would have much time to join what need not wait, so that it needs no task.
        let Some(before) = before else { return Participation::Sole(run) };
        let task = SharedRun::spawn(run_after(before, run));
        // Nothing else that this thread does comes between.
        if let Some(latest) = self.runs().latest.get_mut(&key).filter(|latest| latest.number == number) {
            latest.unsent = Some(Arc::downgrade(&task));
        }
        Participation::Shared(task)
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs when the one before has ended. Where that takes longer than the patience, the two run side by side.
async fn run_after(before: oneshot::Receiver<Infallible>, run: impl Future<Output = RunResult>) -> RunResult {
    let began = Instant::now();
    let _ = timeout(COALESCE_WINDOW, before).await;
    let waited = began.elapsed();
    let mut ran = run.await;
    ran.timing.queue += waited;
    ran
}

/// A run that several requests wait for, held by each of them.
struct SharedRun {
    began: Instant,
    ran: watch::Receiver<Option<RunResult>>,
    handle: AbortHandle,
}

impl SharedRun {
    fn spawn(run: impl Future<Output = RunResult> + 'static) -> Arc<Self> {
        let (sender, ran) = watch::channel(None);
        let task = rt::spawn(async move { sender.send_replace(Some(run.await)) });
        Arc::new(Self { began: Instant::now(), ran, handle: task.abort_handle() })
    }

    /// What it leaves, as one sees it who has asked at this time.
    async fn result(self: Arc<Self>, requested_at: Instant) -> Option<RunResult> {
        let mut ran = self.ran.clone().wait_for(Option::is_some).await.ok()?.clone()?;
        let RunTiming { queue, database, .. } = &mut ran.timing;
        let missed = requested_at.saturating_duration_since(self.began);
        // It may have missed that the statement was prepared, too.
        *database = database.saturating_sub(missed.saturating_sub(*queue));
        *queue = queue.saturating_sub(missed);
        Some(ran)
    }
}

impl Drop for SharedRun {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// A run's place among the others, until this is dropped. The run that waits for its end goes on before anybody is told what it
/// leaves.
pub(crate) struct InFlightRun {
    coalescer: Arc<RunCoalescer>,
    key: RunKey,
    number: u64,
    _ending: oneshot::Sender<Infallible>,
}

impl InFlightRun {
    /// Says that the statement is sent now: what is asked from here on may be about other data.
    pub(crate) fn sent(&self) {
        if let Some(latest) =
            self.coalescer.runs().latest.get_mut(&self.key).filter(|latest| latest.number == self.number)
        {
            latest.unsent = None;
        }
    }
}

impl Drop for InFlightRun {
    fn drop(&mut self) {
        let mut runs = self.coalescer.runs();
        if let Entry::Occupied(latest) = runs.latest.entry(self.key)
            && latest.get().number == self.number
        {
            latest.remove();
        }
    }
}

#[cfg(test)]
mod tests;
