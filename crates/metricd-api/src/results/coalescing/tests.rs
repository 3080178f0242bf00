use std::cell::Cell;
use std::rc::Rc;

use metricd_domain::RowLimit;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, yield_now};

use super::*;
use crate::extract::conditional;

/// A database whose connections and responses the test hands out.
struct ScriptedDatabase {
    runs: Arc<RunCoalescer>,
    connections: Semaphore,
    answers: Semaphore,
    begun: Cell<u8>,
    /// How many runs have neither ended nor been aborted.
    running: Cell<usize>,
}

struct RunningGuard<'a>(&'a Cell<usize>);

impl Drop for RunningGuard<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl ScriptedDatabase {
    /// With a connection for every run.
    fn new() -> Rc<Self> {
        Self::with_connections(100)
    }

    fn with_connections(count: usize) -> Rc<Self> {
        Rc::new(Self {
            runs: Arc::default(),
            connections: Semaphore::new(count),
            answers: Semaphore::new(0),
            begun: Cell::default(),
            running: Cell::default(),
        })
    }

    async fn run(self: Rc<Self>, in_flight: InFlightRun) -> RunResult {
        self.running.set(self.running.get() + 1);
        let _running = RunningGuard(&self.running);
        self.begun.set(self.begun.get() + 1);
        let number = self.begun.get();
        self.connections.acquire().await.unwrap().forget();
        in_flight.sent();
        self.answers.acquire().await.unwrap().forget();
        let body = Bytes::from(vec![number]);
        let result = EncodedResult { tag: conditional::result_tag(&blake3::Hasher::new()), body, is_truncated: false };
        RunResult { timing: RunTiming::default(), result: Ok(result) }
    }

    /// Sends a request; its task returns the number of the run that answered it.
    async fn send_within(self: &Rc<Self>, request_key: u8, limits: RunLimits) -> JoinHandle<u8> {
        let (runs, database) = (Arc::clone(&self.runs), Rc::clone(self));
        let requests = rt::spawn(async move {
            let ran = runs
                .run((RequestKey([request_key; 32].into()), 0), limits, |in_flight| database.run(in_flight))
                .await
                .unwrap();
            ran.result.unwrap().body[0]
        });
        settle().await;
        requests
    }

    async fn send(self: &Rc<Self>) -> JoinHandle<u8> {
        self.send_within(1, RunLimits::default()).await
    }

    async fn send_many(self: &Rc<Self>, count: usize) -> Vec<JoinHandle<u8>> {
        let mut requests = Vec::new();
        for _ in 0..count {
            requests.push(self.send().await);
        }
        requests
    }

    fn assert_nothing_is_left(&self) {
        assert_eq!((self.running.get(), self.runs.runs().latest.len()), (0, 0));
    }
}

/// Lets every ready task run.
async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

async fn assert_answered_by(run: u8, requests: Vec<JoinHandle<u8>>) {
    for requests in requests {
        assert_eq!(requests.await.unwrap(), run);
    }
}

#[actix_web::test]
async fn requests_during_a_run_share_the_next_one() {
    tokio::time::pause();
    let database = ScriptedDatabase::new();
    let first = database.send().await;
    let others = database.send_many(5).await;
    assert_eq!(database.begun.get(), 1, "the others wait for its end");
    database.answers.add_permits(1);
    assert_answered_by(1, vec![first]).await;
    settle().await;
    assert_eq!(database.begun.get(), 2);
    // The statement of the second run was sent.
    let later = database.send_many(3).await;
    database.answers.add_permits(2);
    assert_answered_by(2, others).await;
    assert_answered_by(3, later).await;
    database.assert_nothing_is_left();
}

#[actix_web::test]
async fn requests_do_not_wait_for_a_long_run_that_was_sent_before() {
    tokio::time::pause();
    let database = ScriptedDatabase::new();
    let first = database.send().await;
    let second = database.send_many(2).await;
    tokio::time::advance(2 * COALESCE_WINDOW).await;
    settle().await;
    assert_eq!(database.begun.get(), 2, "the first two run concurrently");
    let third = database.send_many(2).await;
    tokio::time::advance(2 * COALESCE_WINDOW).await;
    settle().await;
    assert_eq!(database.begun.get(), 3);
    database.answers.add_permits(3);
    assert_answered_by(1, vec![first]).await;
    assert_answered_by(2, second).await;
    assert_answered_by(3, third).await;
    database.assert_nothing_is_left();
}

#[actix_web::test]
async fn a_run_that_waits_for_a_connection_can_still_be_joined() {
    tokio::time::pause();
    let database = ScriptedDatabase::with_connections(1);
    let first = database.send().await;
    let mut second = database.send_many(2).await;
    tokio::time::advance(2 * COALESCE_WINDOW).await;
    second.extend(database.send_many(2).await);
    assert_eq!(database.begun.get(), 2);
    database.connections.add_permits(1);
    settle().await;
    let third = database.send().await;
    database.connections.add_permits(1);
    database.answers.add_permits(3);
    assert_answered_by(1, vec![first]).await;
    assert_answered_by(2, second).await;
    assert_answered_by(3, vec![third]).await;
    database.assert_nothing_is_left();
}

#[actix_web::test]
async fn other_keys_and_other_limits_have_their_own_runs() {
    let database = ScriptedDatabase::new();
    let few = RunLimits { rows: RowLimit::parse("5").unwrap(), ..RunLimits::default() };
    let requests = [
        database.send().await,
        database.send_within(2, RunLimits::default()).await,
        database.send_within(1, few).await,
    ];
    assert_eq!(database.begun.get(), 3);
    database.answers.add_permits(3);
    for (run, requests) in (1..).zip(requests) {
        assert_eq!(requests.await.unwrap(), run);
    }
    database.assert_nothing_is_left();
}

#[actix_web::test]
async fn a_run_continues_while_a_request_waits_for_it_and_no_longer() {
    // On a busy machine the requests would not wait long enough for one another.
    tokio::time::pause();
    let database = ScriptedDatabase::new();
    let first = database.send().await;
    let mut second = database.send_many(3).await;
    first.abort();
    settle().await;
    assert_eq!((database.begun.get(), database.running.get()), (2, 1), "the first is aborted, and not waited for");
    let last = second.split_off(2);
    second.iter().for_each(JoinHandle::abort);
    settle().await;
    assert_eq!(database.running.get(), 1);
    last.iter().for_each(JoinHandle::abort);
    settle().await;
    database.assert_nothing_is_left();

    // A run that was aborted before it was sent is not joined.
    let (first, second) = (database.send().await, database.send().await);
    second.abort();
    settle().await;
    let third = database.send().await;
    database.answers.add_permits(2);
    assert_answered_by(3, vec![first]).await;
    assert_answered_by(4, vec![third]).await;
    database.assert_nothing_is_left();
}

#[actix_web::test]
async fn a_panicking_run_affects_only_its_own_requests() {
    let database = ScriptedDatabase::new();
    let first = database.send().await;
    let runs = Arc::clone(&database.runs);
    let panicking = rt::spawn(async move {
        let run = |_in_flight| async { panic!("as a test wants it") };
        runs.run((RequestKey([1; 32].into()), 0), RunLimits::default(), run).await.is_none()
    });
    settle().await;
    database.answers.add_permits(2);
    assert_answered_by(1, vec![first]).await;
    assert!(panicking.await.unwrap());
    assert_answered_by(2, vec![database.send().await]).await;
    database.assert_nothing_is_left();
}

#[actix_web::test]
async fn a_late_request_has_a_shorter_timing() {
    tokio::time::pause();
    let (runs, milliseconds) = (Arc::<RunCoalescer>::default(), Duration::from_millis);
    let answer = |in_flight: InFlightRun| async move {
        in_flight.sent();
        let result = Err(RunError::TimedOut { limit: Duration::ZERO });
        RunResult {
            timing: RunTiming { queue: milliseconds(30), database: milliseconds(20), ..RunTiming::default() },
            result,
        }
    };
    let ran = runs.run((RequestKey([1; 32].into()), 0), RunLimits::default(), answer).await.unwrap();
    let (sender, receiver) = watch::channel(None);
    sender.send_replace(Some(ran));
    let began = Instant::now();
    let task = Arc::new(SharedRun { began, ran: receiver, handle: rt::spawn(async {}).abort_handle() });
    for (missed, queue, database) in [(0, 30, 20), (10, 20, 20), (30, 0, 20), (40, 0, 10), (60, 0, 0)] {
        let timing = Arc::clone(&task).result(began + milliseconds(missed)).await.unwrap().timing;
        assert_eq!((timing.queue, timing.database), (milliseconds(queue), milliseconds(database)), "{missed}");
    }
}
