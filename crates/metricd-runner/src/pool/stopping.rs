//! The end of a statement that nobody waits for.
//!
//! The place in the pool and the caller's permits are held until PostgreSQL has answered or has closed the session, since until
//! then its process computes. What does not stop soon is quarantined meanwhile.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metricd_execution::Permit;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::PoolSlot;
use crate::session::{CANCEL_RETRY_INTERVAL, CANCEL_TIMEOUT, Canceller, Session, SessionConfig, SessionError};
use crate::transaction::clean_up;

/// How long PostgreSQL has to stop a statement before that is quarantined.
pub(crate) const STOP_BOUND: Duration = Duration::from_secs(1);

/// The longest pause before a statement that does not stop is cancelled once more.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// How long a server may take no cancel request before its session is given up: it hangs, or cannot be reached, and there may
/// be another one by now.
const UNREACHABLE_FOR: Duration = Duration::from_secs(10);

/// The shortest text that PostgreSQL may have cut: its least `track_activity_query_size`, without the terminator and the head of
/// an `EXPLAIN`.
const MIN_TRUNCATED_BYTES: usize = 50;

/// What a process of PostgreSQL runs, as those see it who may. It is cut where it is long.
const RUNNING_SQL: &str = "SELECT query FROM pg_catalog.pg_stat_activity WHERE pid = $1::text::integer";

/// Whether PostgreSQL has stopped a statement.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// It has, or has ended the session. These permits are free again.
    Ended(Vec<Permit>),
    /// Not within the bound. These statements are quarantined: one of them still runs.
    StillRuns(Vec<Arc<str>>),
}

/// A connection on which a statement runs that nobody waits for.
pub(crate) struct Stopping {
    pub(crate) slot: PoolSlot,
    /// The statements that may be it, each with the permit of its caller if several callers share the connection.
    pub(crate) statements: Vec<(Arc<str>, Permit)>,
    pub(crate) permits: Vec<Permit>,
}

impl Stopping {
    /// Cancels the statement until it has ended; then gives the place back, with the connection where that is of use still.
    pub(crate) async fn run(self, reply: Option<oneshot::Sender<Stopped>>) {
        let Self { mut slot, statements, permits } = self;
        let notify = |stopped| {
            if let Some(reply) = reply {
                // Whoever has gone need not be told.
                let _ = reply.send(stopped);
            }
        };
        let session = &mut slot.connection().session;
        if let Ok(ended) =
            timeout(STOP_BOUND, cancel_until_ready(session, CANCEL_RETRY_INTERVAL, CANCEL_RETRY_INTERVAL)).await
        {
            let cleaning = async {
                ended?;
                clean_up(session).await
            };
            let too_slow = |_| SessionError::Lost("PostgreSQL took too long to answer".to_owned());
            if let Err(error) = timeout(CANCEL_TIMEOUT, cleaning).await.map_err(too_slow).flatten() {
                log::info!("a connection is closed after its statement was cancelled: {error:?}");
                slot.close();
            } else {
                drop(slot);
            }
            notify(Stopped::Ended(permits));
            return;
        }
        let (pid, began) = (slot.connection().pid().to_owned(), Instant::now());
        let config = slot.observer().clone();
        // A pooler hides which process it is.
        let is_known = !slot.connection().is_behind_pooler();
        // The permits of the other callers are free with that.
        let statements = if is_known { identify_running(&config, &pid, statements).await } else { statements };
        log::warn!("a statement that was cancelled still runs in PostgreSQL's process {pid}: it is quarantined");
        let texts: Vec<_> = statements.iter().map(|(text, _)| Arc::clone(text)).collect();
        let quarantined = slot.quarantine().hold(texts.clone());
        notify(Stopped::StillRuns(texts));
        let ended = cancel_until_ready(&mut slot.connection().session, STOP_BOUND, MAX_PAUSE).await;
        log::warn!(
            "the quarantined statement in PostgreSQL's process {pid} has ended {:?} later: {ended:?}",
            began.elapsed()
        );
        // One of the many cancel requests may still be on its way.
        slot.close();
        drop((permits, statements, quarantined));
    }
}

/// Cancels until every answer has come.
async fn cancel_until_ready(session: &mut Session, pause: Duration, max_pause: Duration) -> Result<(), SessionError> {
    if session.is_ready() {
        return Ok(());
    }
    let canceller = session.canceller();
    let ready = async {
        while !session.is_ready() {
            if let Err(error @ SessionError::Lost(_)) = session.drain().await {
                return Err(error);
            }
        }
        Ok(())
    };
    cancel_until_ended(&canceller, ready, pause, max_pause)
        .await
        .unwrap_or_else(|error| Err(SessionError::Lost(format!("PostgreSQL takes no cancel requests: {error}"))))
}

/// Cancels until the work in a session has ended. Of statements that were sent together, each is cancelled when it is its turn; a
/// request that comes between two stops none.
///
/// # Errors
///
/// Where PostgreSQL has taken no request for long.
pub(crate) async fn cancel_until_ended<T>(
    canceller: &Canceller,
    work: impl Future<Output = T>,
    mut pause: Duration,
    max_pause: Duration,
) -> io::Result<T> {
    let mut work = pin!(work);
    let mut last_taken = Instant::now();
    loop {
        match canceller.cancel().await {
            Ok(()) => last_taken = Instant::now(),
            Err(error) if last_taken.elapsed() > UNREACHABLE_FOR => return Err(error),
            // It is tried again for as long as there is time.
            Err(_) => {}
        }
        if let Ok(ended) = timeout(pause, &mut work).await {
            return Ok(ended);
        }
        pause = (pause * 2).min(max_pause);
    }
}

/// Which of several statements it is that runs on the connection, as PostgreSQL says; all of them where it does not.
async fn identify_running(
    config: &SessionConfig,
    pid: &str,
    statements: Vec<(Arc<str>, Permit)>,
) -> Vec<(Arc<str>, Permit)> {
    if statements.len() < 2 {
        return statements;
    }
    let asking = async {
        // Connections of the pool may all be taken.
        let mut session = Session::open(config).await?;
        session.row(&[], RUNNING_SQL, pid).await
    };
    let running = match timeout(CANCEL_TIMEOUT, asking).await {
        Ok(Ok(row)) => row.into_iter().flatten().next().unwrap_or_default(),
        _ => return statements,
    };
    let identified: Vec<_> = statements.iter().filter(|(text, _)| matches_running(&running, text)).cloned().collect();
    if identified.is_empty() { statements } else { identified }
}

/// Whether this is the statement that runs, or that is explained. `running` is cut where it is longer than
/// `track_activity_query_size`, which is at least 100 bytes.
fn matches_running(running: &str, statement: &str) -> bool {
    let explained = running.strip_prefix("EXPLAIN (").and_then(|rest| rest.split_once(") "));
    let running = explained.map_or(running, |(_, explained)| explained);
    running == statement || running.len() >= MIN_TRUNCATED_BYTES && statement.starts_with(running)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_recognised_also_where_it_is_cut_or_explained() {
        let long = format!("SELECT {}", "x + ".repeat(400));
        assert!(matches_running("SELECT 1", "SELECT 1"));
        assert!(matches_running("EXPLAIN (FORMAT JSON) SELECT 1", "SELECT 1"));
        assert!(matches_running(&long[..1_023], &long));
        let explained = format!("EXPLAIN (VERBOSE, FORMAT JSON) {long}");
        assert!(matches_running(&explained[..99], &long));
        assert!(!matches_running("SELECT 1", "SELECT 2"));
        assert!(!matches_running("SELECT 1 + slow()", "SELECT 1"));
        assert!(!matches_running("SELECT 1", "SELECT 1 + slow()"));
        assert!(!matches_running("", "SELECT 2"));
        assert!(!matches_running(&long[..1_023], &long.replacen("x + ", "y + ", 1)));
    }
}
