//! Several servers with the same data: runs each request on a standby that is recent enough, or on the primary.
//!
//! Each server is polled for its role and its position in the write-ahead log. A standby shows everything that was
//! committed before the primary was polled as soon as it has replayed the position that the primary reported. So the lag
//! of a standby is known without its clock, and grows while the primary does not respond.

mod server_state;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::join_all;
use metricd_connection::Connector;
use metricd_database::DatabaseUrl;
use metricd_execution::{BoundStatement, ChosenServer, LogPosition, MetricRunner, Replicas, RunError};
use tokio::time::{sleep, timeout};

pub(crate) use self::server_state::own_statements;
use self::server_state::{POSITION_SQL, ServerState, before_page_header, state};
use crate::runner::PgRunner;
use crate::session::{CONNECT_TIMEOUT, Session, SessionError};

/// The interval of polling a server. A standby that is up to date seems to lag by up to twice as much.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The time limit of a response.
const POLL_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause before the next attempt to reach a server.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How long a request waits for a server.
const CHOICE_TIMEOUT: Duration = Duration::from_secs(2);

/// A primary and its standbys.
pub struct ReplicaSet {
    servers: Vec<Server>,
    /// The identifier of their cluster.
    cluster: String,
    max_lag: Duration,
    history: Mutex<History>,
    next: AtomicUsize,
}

struct Server {
    url: DatabaseUrl,
    runner: Arc<PgRunner>,
    status: Mutex<Status>,
}

/// What is known of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Unknown,
    /// It does not respond, or belongs to another cluster.
    Unusable,
    Usable(ServerState),
}

/// The positions of the primary.
#[derive(Debug, Default)]
struct History {
    /// The latest timeline of a primary. One of an earlier timeline was replaced by a fail-over.
    timeline: u32,
    /// The positions of that timeline with the times before they were read; the newest is last.
    positions: VecDeque<(Instant, LogPosition)>,
    /// The latest position that a client was given, or that was read.
    latest: Option<LogPosition>,
}

impl fmt::Debug for ReplicaSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls = self.servers.iter().map(|server| &server.url);
        formatter.debug_struct("ReplicaSet").field("servers", &urls.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl ReplicaSet {
    /// The servers of these URLs, each with one host, and their runners. All belong to the cluster of this identifier. A
    /// standby is used while it lags by at most this.
    #[must_use]
    pub fn new(servers: Vec<(DatabaseUrl, PgRunner)>, cluster: i64, max_lag: Duration) -> Self {
        let server = |(url, runner)| Server { url, runner: Arc::new(runner), status: Mutex::new(Status::Unknown) };
        Self {
            servers: servers.into_iter().map(server).collect(),
            cluster: cluster.to_string(),
            max_lag,
            history: Mutex::default(),
            next: AtomicUsize::default(),
        }
    }

    /// Polls each server once. Returns whether one of them is a primary, or did not respond.
    pub async fn poll_once(&self) -> bool {
        join_all(self.servers.iter().map(|server| async {
            let polled = match self.connect(server).await {
                Ok(mut session) => self.poll(server, &mut session).await,
                Err(error) => Err(error),
            };
            polled.unwrap_or_else(|error| server.give_up(&error));
        }))
        .await;
        let is_known = |server: &Server| matches!(&*server.status(), Status::Usable(_));
        self.primary().is_some() || !self.servers.iter().all(is_known)
    }

    /// Polls the servers for as long as the future is polled.
    pub async fn watch(&self) {
        join_all(self.servers.iter().map(|server| async {
            loop {
                let error = self.watch_server(server).await;
                server.give_up(&error);
                sleep(RETRY_INTERVAL).await;
            }
        }))
        .await;
    }

    /// Polls the server until it cannot be used. Returns the reason.
    async fn watch_server(&self, server: &Server) -> String {
        let mut session = match self.connect(server).await {
            Ok(session) => session,
            Err(error) => return error,
        };
        loop {
            if let Err(error) = self.poll(server, &mut session).await {
                return error;
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn connect(&self, server: &Server) -> Result<Session, String> {
        let connector = Connector::new(&server.url, CONNECT_TIMEOUT).map_err(|error| error.to_string())?;
        let connector = connector.named("metricd replicas");
        let opened = timeout(POLL_TIMEOUT, Session::open(&connector)).await.map_err(|_| SILENT.to_owned())?;
        opened.map_err(message)
    }

    async fn poll(&self, server: &Server, session: &mut Session) -> Result<(), String> {
        let polled_at = Instant::now();
        let response = timeout(POLL_TIMEOUT, state(session)).await.map_err(|_| SILENT.to_owned())?;
        let (cluster, state) = response.map_err(message)?;
        if cluster != self.cluster {
            return Err("it belongs to another cluster".to_owned());
        }
        self.note(server, state, polled_at);
        Ok(())
    }

    /// Notes the response of a server that was polled at this time.
    fn note(&self, server: &Server, state: ServerState, polled_at: Instant) {
        let before = std::mem::replace(&mut *server.status(), Status::Usable(state));
        if !matches!(before, Status::Usable(before) if before.is_standby == state.is_standby) {
            let role = if state.is_standby { "a standby" } else { "a primary" };
            log::info!("{} is {role}, on timeline {}", server.url.hosts(), state.timeline);
        }
        if state.is_standby {
            return;
        }
        let mut history = self.history();
        if state.timeline > history.timeline {
            *history = History { timeline: state.timeline, ..History::default() };
        }
        if state.timeline == history.timeline {
            history.positions.push_back((polled_at, state.position));
            history.latest = history.latest.max(Some(state.position));
        }
        while history.positions.front().is_some_and(|(at, _)| at.elapsed() > 2 * self.max_lag + POLL_TIMEOUT) {
            history.positions.pop_front();
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        locked(&self.history)
    }

    /// The primary. None if two servers claim to be that of the latest timeline: one of them has no right to.
    fn primary(&self) -> Option<usize> {
        let timeline = self.history().timeline;
        let is_primary = |server: &Server| matches!(&*server.status(), Status::Usable(state) if !state.is_standby && state.timeline == timeline);
        let mut primaries = (0..self.servers.len()).filter(|number| is_primary(&self.servers[*number]));
        primaries.next().filter(|_| primaries.next().is_none())
    }

    /// How far a standby is behind, and its position. `None` if the server is none, if it follows another timeline, or if
    /// its lag is unknown.
    fn lag(&self, server: &Server) -> Option<(Duration, LogPosition)> {
        let Status::Usable(state) = *server.status() else { return None };
        let history = self.history();
        let follows = state.is_standby && state.timeline == history.timeline;
        let shown = follows.then(|| last_shown(&history.positions, state.position)).flatten()?;
        Some((shown.elapsed(), state.position))
    }

    /// A server that can be used now.
    fn find(&self, after: Option<LogPosition>) -> Option<ChosenServer> {
        let recent = self.servers.iter().enumerate().filter_map(|(number, server)| {
            let (lag, position) = self.lag(server)?;
            let is_recent = lag <= self.max_lag && after.is_none_or(|after| position >= after);
            is_recent.then(|| server.chosen(number, lag))
        });
        let recent: Vec<_> = recent.collect();
        if let Some(one) = recent.get(self.next.fetch_add(1, Ordering::Relaxed) % recent.len().max(1)) {
            return Some(one.clone());
        }
        let primary = self.primary()?;
        // A position that the primary has not reached may be that of a change that a fail-over has lost.
        let is_reached = after.is_none() || after <= self.history().latest;
        is_reached.then(|| self.servers[primary].chosen(primary, Duration::ZERO))
    }
}

impl Server {
    fn status(&self) -> MutexGuard<'_, Status> {
        locked(&self.status)
    }

    fn give_up(&self, reason: &str) {
        let before = std::mem::replace(&mut *self.status(), Status::Unusable);
        if before != Status::Unusable {
            log::warn!("no results are read from {}: {reason}", self.url.hosts());
        }
    }

    fn chosen(&self, number: usize, lag: Duration) -> ChosenServer {
        ChosenServer { runner: Arc::clone(&self.runner) as _, number, lag }
    }
}

#[async_trait]
impl Replicas for ReplicaSet {
    async fn choose(&self, after: Option<LogPosition>, time: Duration) -> Result<ChosenServer, RunError> {
        let began = Instant::now();
        loop {
            if let Some(server) = self.find(after) {
                return Ok(server);
            }
            if began.elapsed() >= time.min(CHOICE_TIMEOUT) {
                let message = format!(
                    "there is no primary that has reached the requested position, and no standby is known to be at most {} ms \
                     behind",
                    self.max_lag.as_millis()
                );
                return Err(RunError::Unavailable(message));
            }
            sleep(POLL_INTERVAL / 4).await;
        }
    }

    fn stuck_connections(&self) -> usize {
        self.servers.iter().map(|server| server.runner.stuck_connections()).sum()
    }

    async fn position(&self) -> Option<LogPosition> {
        let runner = &self.servers[self.primary()?].runner;
        let value = runner.query_value(BoundStatement::internal(POSITION_SQL, Vec::new())).await;
        let position = before_page_header(value.ok()?.0?.parse().ok()?);
        let mut history = self.history();
        history.latest = history.latest.max(Some(position));
        Some(position)
    }
}

const SILENT: &str = "it does not respond";

/// When the primary was polled for the last position that a standby at this one shows.
fn last_shown(positions: &VecDeque<(Instant, LogPosition)>, replayed: LogPosition) -> Option<Instant> {
    positions.iter().rev().find(|(_, position)| *position <= replayed).map(|(at, _)| *at)
}

fn message(error: SessionError) -> String {
    match error {
        SessionError::Lost(message) | SessionError::Refused { message, .. } => message,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunnerConfig;

    const SECOND: Duration = Duration::from_secs(1);

    /// Servers that were not polled yet; a standby may lag by 5 s.
    fn servers(count: usize) -> ReplicaSet {
        let server = |number: usize| {
            let url = DatabaseUrl::parse(format!("postgres://nobody@127.0.0.1:{number}/none")).unwrap();
            let runner = PgRunner::new(&url, RunnerConfig::default()).unwrap();
            (url, runner)
        };
        ReplicaSet::new((1..=count).map(server).collect(), 7, 5 * SECOND)
    }

    impl ReplicaSet {
        /// The response of a server some time ago: on this timeline and at this position.
        fn responds(&self, number: usize, is_standby: bool, (timeline, position): (u32, u64), ago: Duration) {
            let state = ServerState { is_standby, position: LogPosition::new(position), timeline };
            self.note(&self.servers[number], state, Instant::now().checked_sub(ago).unwrap());
        }

        fn chosen(&self, after: Option<u64>) -> Option<(usize, u64)> {
            self.find(after.map(LogPosition::new)).map(|server| (server.number, server.lag.as_secs()))
        }
    }

    #[test]
    fn standbys_that_are_recent_enough_are_used_in_turn() {
        let set = servers(3);
        assert_eq!(set.chosen(None), None, "nothing is known");
        set.responds(0, false, (1, 100), 8 * SECOND);
        set.responds(0, false, (1, 200), 3 * SECOND);
        set.responds(1, true, (1, 200), SECOND);
        set.responds(2, true, (1, 199), SECOND);
        assert_eq!([set.chosen(None), set.chosen(None)], [Some((1, 3)), Some((1, 3))], "the other one is 8 s behind");
        set.responds(2, true, (1, 250), SECOND);
        let turns: Vec<_> = (0..4).map(|_| set.chosen(None).unwrap().0).collect();
        assert!(turns == [1, 2, 1, 2] || turns == [2, 1, 2, 1], "{turns:?}");
        assert_eq!(set.chosen(Some(230)), Some((2, 3)), "only it shows the position");
        assert_eq!(set.chosen(Some(200)).unwrap().1, 3);
        set.servers[1].give_up("gone");
        set.servers[2].give_up("gone");
        assert_eq!(set.chosen(None), Some((0, 0)));
        assert_eq!(set.chosen(Some(200)), Some((0, 0)));
        assert_eq!(set.chosen(Some(201)), None, "the primary has not reached it");
    }

    #[test]
    fn a_standby_of_another_timeline_is_not_used() {
        let set = servers(3);
        set.responds(0, false, (1, 100), SECOND);
        set.responds(1, true, (1, 100), SECOND);
        assert_eq!(set.chosen(None).unwrap().0, 1);
        // A fail-over to the third server, which the second does not follow. Its position means nothing there.
        set.servers[0].give_up("gone");
        set.responds(2, false, (2, 90), SECOND);
        assert_eq!(set.chosen(None), Some((2, 0)));
        set.responds(1, true, (2, 90), Duration::ZERO);
        assert_eq!(set.chosen(None), Some((1, 1)));
    }

    #[test]
    fn a_primary_of_an_earlier_timeline_is_never_used_again() {
        let set = servers(2);
        set.responds(0, false, (1, 100), SECOND);
        set.responds(1, false, (2, 90), SECOND);
        assert_eq!(set.chosen(None), Some((1, 0)));
        set.servers[1].give_up("it missed a poll");
        set.responds(0, false, (1, 110), Duration::ZERO);
        assert_eq!(set.chosen(None), None);
        set.responds(0, false, (2, 95), Duration::ZERO);
        set.responds(1, false, (2, 95), Duration::ZERO);
        assert_eq!(set.chosen(None), None, "two primaries of one timeline");
    }

    #[test]
    fn a_standby_is_as_old_as_the_last_position_that_it_shows() {
        let began = Instant::now();
        let positions: VecDeque<_> =
            (0..5_u32).map(|number| (began + SECOND * number, LogPosition::new(100 * u64::from(number)))).collect();
        let shown = |replayed: u64| last_shown(&positions, LogPosition::new(replayed)).map(|at| at - began);
        assert_eq!(shown(399), Some(3 * SECOND));
        assert_eq!(shown(400), Some(4 * SECOND));
        assert_eq!(shown(u64::MAX), Some(4 * SECOND));
        assert_eq!(shown(0), Some(Duration::ZERO));
        assert_eq!(last_shown(&VecDeque::new(), LogPosition::new(7)), None);
        // While nothing is written, a standby shows the newest of equal positions.
        let idle: VecDeque<_> = (0..3).map(|number| (began + SECOND * number, LogPosition::new(7))).collect();
        assert_eq!(last_shown(&idle, LogPosition::new(7)).map(|at| at - began), Some(2 * SECOND));
    }
}
