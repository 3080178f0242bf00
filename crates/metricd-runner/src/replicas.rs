//! Several servers with the same data: runs each request on a standby that is recent enough, or on the primary.
//!
//! Each server is polled for its role and its position in the write-ahead log. A standby shows everything that was
//! committed before the primary was polled as soon as it has replayed the position that the primary reported. So the lag
//! of a standby is known without its clock, and grows while the primary does not respond.

mod server_state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::join_all;
use metricd_connection::{Connector, LatestTimeline};
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

/// How long a server that does not respond still counts as the primary that it claimed to be. In a split brain, one that
/// misses a poll must not make changes go to the other one.
const CLAIM_MEMORY: Duration = Duration::from_secs(10);

/// How long a request waits for a server.
const CHOICE_TIMEOUT: Duration = Duration::from_secs(2);

/// A primary and its standbys.
pub struct ReplicaSet {
    servers: Vec<Server>,
    /// The identifier of their cluster.
    cluster: String,
    max_lag: Duration,
    history: Mutex<History>,
    /// The timeline of the history, for writers.
    timeline: LatestTimeline,
    is_split: AtomicBool,
    next: AtomicUsize,
}

struct Server {
    url: DatabaseUrl,
    runner: Arc<PgRunner>,
    status: Mutex<Status>,
    /// What was logged last: whether it is a standby, its timeline, and whether that is the latest.
    logged: Mutex<Option<(bool, u32, bool)>>,
}

/// What is known of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Unknown,
    /// It does not respond, or belongs to another cluster.
    Unusable {
        /// Its last response.
        last: Option<ServerState>,
        since: Instant,
    },
    Usable(ServerState),
}

impl Status {
    /// Whether the server claims to be the primary of this timeline, or did a short time ago.
    fn claims(self, timeline: u32) -> bool {
        let state = match self {
            Self::Usable(state) => state,
            Self::Unusable { last: Some(state), since } if since.elapsed() < CLAIM_MEMORY => state,
            Self::Unusable { .. } | Self::Unknown => return false,
        };
        !state.is_standby && state.timeline == timeline
    }
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
    /// standby is used while it lags by at most this. The timeline is kept up to date.
    #[must_use]
    pub fn new(
        servers: Vec<(DatabaseUrl, PgRunner)>,
        cluster: i64,
        max_lag: Duration,
        timeline: LatestTimeline,
    ) -> Self {
        let server = |(url, runner)| Server {
            url,
            runner: Arc::new(runner),
            status: Mutex::new(Status::Unknown),
            logged: Mutex::default(),
        };
        Self {
            servers: servers.into_iter().map(server).collect(),
            cluster: cluster.to_string(),
            max_lag,
            history: Mutex::default(),
            timeline,
            is_split: AtomicBool::default(),
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
            polled.unwrap_or_else(|error| self.give_up(server, &error));
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
                self.give_up(server, &error);
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
        *server.status() = Status::Usable(state);
        self.note_position(state, polled_at);
        self.note_timeline();
    }

    fn note_position(&self, state: ServerState, polled_at: Instant) {
        let mut history = self.history();
        // A standby of it has had a primary of it.
        if state.timeline > history.timeline {
            *history = History { timeline: state.timeline, ..History::default() };
        }
        if !state.is_standby && state.timeline == history.timeline {
            history.positions.push_back((polled_at, state.position));
            history.latest = history.latest.max(Some(state.position));
        }
        while history.positions.front().is_some_and(|(at, _)| at.elapsed() > 2 * self.max_lag + POLL_TIMEOUT) {
            history.positions.pop_front();
        }
    }

    /// Publishes the timeline of the primary to writers, and logs which servers are used.
    fn note_timeline(&self) {
        let timeline = self.history().timeline;
        let claimants: Vec<_> = self.claimants(timeline).map(|number| self.servers[number].url.hosts()).collect();
        let is_split = claimants.len() > 1;
        if is_split {
            self.timeline.set_split_brain();
        } else {
            self.timeline.set(timeline);
        }
        if self.is_split.swap(is_split, Ordering::Relaxed) != is_split {
            if is_split {
                log::error!(
                    "split brain: {} claim to be the primary on timeline {timeline}, and requests are refused until one of \
                     them is stopped",
                    claimants.join(" and ")
                );
            } else {
                log::info!("one server claims to be the primary on timeline {timeline}");
            }
        }
        self.servers.iter().for_each(|server| server.log(timeline));
    }

    fn give_up(&self, server: &Server, reason: &str) {
        server.give_up(reason);
        self.note_timeline();
    }

    fn history(&self) -> MutexGuard<'_, History> {
        locked(&self.history)
    }

    /// The servers that claim to be the primary of this timeline.
    fn claimants(&self, timeline: u32) -> impl Iterator<Item = usize> {
        (0..self.servers.len()).filter(move |number| self.servers[*number].status().claims(timeline))
    }

    /// The primary. `None` in a split brain, or if it does not respond.
    fn primary(&self) -> Option<usize> {
        let mut claimants = self.claimants(self.history().timeline);
        let only = claimants.next().filter(|_| claimants.next().is_none())?;
        matches!(*self.servers[only].status(), Status::Usable(_)).then_some(only)
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
        // The positions of two primaries cannot be compared.
        if self.is_split.load(Ordering::Relaxed) {
            return None;
        }
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
        let mut status = self.status();
        let last = match *status {
            Status::Unusable { .. } => return,
            Status::Usable(state) => Some(state),
            Status::Unknown => None,
        };
        *status = Status::Unusable { last, since: Instant::now() };
        *locked(&self.logged) = None;
        log::warn!("no results are read from {}: {reason}", self.url.hosts());
    }

    /// Logs what the server is and whether it is used, if that has changed.
    fn log(&self, latest: u32) {
        let Status::Usable(ServerState { is_standby, timeline, .. }) = *self.status() else { return };
        let now = Some((is_standby, timeline, timeline == latest));
        if std::mem::replace(&mut *locked(&self.logged), now) == now {
            return;
        }
        let role = if is_standby { "a standby" } else { "a primary" };
        let unused = match is_standby {
            _ if timeline == latest => String::new(),
            true => format!(", and is not used before its next restart point: the primary is on timeline {latest}"),
            false => format!(", and is not used: a fail-over has replaced it, to timeline {latest}"),
        };
        log::info!("{} is {role}, on timeline {timeline}{unused}", self.url.hosts());
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
                if after.is_some() && self.find(None).is_some() {
                    return Err(RunError::PositionNotReached);
                }
                let message = format!(
                    "the primary is unknown, and no standby is known to be at most {} ms behind",
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
        let (runner, timeline) = (&self.servers[self.primary()?].runner, self.history().timeline);
        let value = runner.query_value(BoundStatement::internal(POSITION_SQL, Vec::new())).await;
        let position = before_page_header(value.ok()?.0?.parse().ok()?);
        let mut history = self.history();
        // After a fail-over it may be that of the former primary.
        if history.timeline != timeline {
            return None;
        }
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
