//! Coalesces identical concurrent requests (single-flight).
//!
//! A request joins a run until the run's statement is sent. The statement then sees everything that was committed
//! before each of its requests. A request that arrives later starts or joins the next run.

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
use metricd_execution::{RunError, RunLimits, RunTiming};
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::results::validator_cache::RequestKey;

/// How long a run waits for an identical run that was sent before. Requests that arrive meanwhile join the waiting run.
const COALESCE_WINDOW: Duration = Duration::from_millis(2);

/// The result of a run, which every coalesced request gets.
#[derive(Debug, Clone)]
pub(crate) struct RunResult {
    pub(crate) timing: RunTiming,
    pub(crate) result: Result<EncodedResult, RunError>,
}

/// An encoded result.
#[derive(Debug, Clone)]
pub(crate) struct EncodedResult {
    pub(crate) body: Bytes,
    pub(crate) tag: EntityTag,
    pub(crate) is_truncated: bool,
}

/// Requests with the same key are coalesced. Threads do not share runs: waking another thread's runtime costs more than
/// a cheap statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct RunKey {
    thread: ThreadId,
    /// The number of the server. One of several may show a change that another one does not show yet.
    server: usize,
    request_key: RequestKey,
    limits: RunLimits,
}

/// The runs in flight.
#[derive(Default)]
pub struct RunCoalescer(Mutex<Runs>);

#[derive(Default)]
struct Runs {
    /// The latest run for each key.
    latest: HashMap<RunKey, LatestRun>,
    /// The number of runs that were started; numbers each run.
    started: u64,
}

struct LatestRun {
    number: u64,
    /// The run that requests may join; `None` once its statement is sent.
    unsent: Option<Weak<SharedRun>>,
    /// Closed when the run ends.
    ended: oneshot::Receiver<Infallible>,
}

/// How a request takes part in a run.
enum Participation<F> {
    /// It runs the statement itself.
    Sole(F),
    /// It waits for a shared run.
    Shared(Arc<SharedRun>),
}

impl fmt::Debug for RunCoalescer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RunCoalescer").field("runs", &self.runs().latest.len()).finish_non_exhaustive()
    }
}

impl RunCoalescer {
    /// Returns the result of a run whose statement is sent after this call: of a run that other requests wait for, or
    /// of a new one. The run is aborted when no request waits for it. Returns `None` if the run panicked.
    pub(crate) async fn run<F>(
        self: &Arc<Self>,
        (request_key, server): (RequestKey, usize),
        limits: RunLimits,
        run: impl FnOnce(InFlightRun) -> F,
    ) -> Option<RunResult>
    where
        F: Future<Output = RunResult> + 'static,
    {
        let requested_at = Instant::now();
        match self.join_or_start(RunKey { thread: thread::current().id(), server, request_key, limits }, run) {
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
        // Without a run before it, this run is sent at once. Nothing would join it, so it needs no task.
        let Some(before) = before else { return Participation::Sole(run) };
        let task = SharedRun::spawn(run_after(before, run));
        // Nothing else runs on this thread in between, so the run cannot have been replaced.
        if let Some(latest) = self.runs().latest.get_mut(&key).filter(|latest| latest.number == number) {
            latest.unsent = Some(Arc::downgrade(&task));
        }
        Participation::Shared(task)
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the run when the one before ends, or when [`COALESCE_WINDOW`] is over; then both run concurrently.
async fn run_after(before: oneshot::Receiver<Infallible>, run: impl Future<Output = RunResult>) -> RunResult {
    let began = Instant::now();
    let _ = timeout(COALESCE_WINDOW, before).await;
    let waited = began.elapsed();
    let mut ran = run.await;
    ran.timing.queue += waited;
    ran
}

/// A run that several requests wait for. It is aborted when the last of them drops it.
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

    /// Returns the result with the timing of a request that arrived at `requested_at`.
    async fn result(self: Arc<Self>, requested_at: Instant) -> Option<RunResult> {
        let mut ran = self.ran.clone().wait_for(Option::is_some).await.ok()?.clone()?;
        let RunTiming { queue, database, .. } = &mut ran.timing;
        let missed = requested_at.saturating_duration_since(self.began);
        // The request may also have missed a part of the preparation of the statement.
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

/// An entry of the run in [`RunCoalescer`], removed on drop. Dropping it lets the next run start before this run's
/// requests are notified.
pub(crate) struct InFlightRun {
    coalescer: Arc<RunCoalescer>,
    key: RunKey,
    number: u64,
    _ending: oneshot::Sender<Infallible>,
}

impl InFlightRun {
    /// Closes the run to further requests: the statement is sent, and may not see later commits.
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
