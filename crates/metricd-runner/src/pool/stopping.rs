//! Stops statements that nothing waits for.
//!
//! The pool slot and the caller's permits are held until PostgreSQL has responded or closed the session: until then
//! the backend computes. A statement that does not stop soon is quarantined meanwhile.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metricd_connection::Connector;
use metricd_execution::{Permit, without_selection};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::PoolSlot;
use crate::session::{CANCEL_RETRY_INTERVAL, CANCEL_TIMEOUT, Canceller, Session, SessionError};
use crate::transaction::clean_up;

/// How long a cancelled statement may take to stop before it is quarantined.
pub(crate) const STOP_BOUND: Duration = Duration::from_secs(1);

/// The longest pause between cancel requests.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// After this time without an accepted cancel request the session is given up: the server hangs or is unreachable,
/// and another one may have taken over.
const UNREACHABLE_FOR: Duration = Duration::from_secs(10);

/// The shortest text that PostgreSQL may have truncated: the minimum of `track_activity_query_size`, less its
/// terminator and the prefix of an `EXPLAIN`.
const MIN_TRUNCATED_BYTES: usize = 50;

/// The text that a backend runs, as roles with the privilege see it; truncated if it is long.
pub(crate) const RUNNING_SQL: &str = "SELECT query FROM pg_catalog.pg_stat_activity WHERE pid = $1::text::integer";

/// Whether a cancelled statement has stopped.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// It has stopped, or its session has ended. These permits are free again.
    Ended(Vec<Permit>),
    /// It has not stopped within the bound. These statements are quarantined: one of them still runs.
    StillRuns(Vec<Arc<str>>),
}

/// A connection with a running statement that nothing waits for.
pub(crate) struct Stopping {
    pub(crate) slot: PoolSlot,
    /// The candidates for that statement, each with the permit of its caller if several callers share the connection.
    pub(crate) statements: Vec<(Arc<str>, Permit)>,
    pub(crate) permits: Vec<Permit>,
}

impl Stopping {
    /// Cancels the statement until it has ended. Then returns the slot, with the connection if it can be used again.
    pub(crate) async fn run(self, reply: Option<oneshot::Sender<Stopped>>) {
        let Self { mut slot, statements, permits } = self;
        let notify = |stopped| {
            if let Some(reply) = reply {
                // The receiver may be gone.
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
        // A pooler hides which backend it is.
        let is_known = !slot.connection().is_behind_pooler();
        // This frees the permits of the other callers.
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
        // A cancel request may still be on its way.
        slot.close();
        drop((permits, statements, quarantined));
    }
}

/// Cancels until every response has arrived.
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
        .unwrap_or_else(|error| Err(SessionError::Lost(format!("PostgreSQL accepts no cancel requests: {error}"))))
}

/// Cancels until the work in a session has ended. Of pipelined statements each is cancelled in its turn; a request
/// that arrives between two of them stops none.
///
/// # Errors
///
/// If PostgreSQL has accepted no request for [`UNREACHABLE_FOR`].
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
            // Try again until then.
            Err(_) => {}
        }
        if let Ok(ended) = timeout(pause, &mut work).await {
            return Ok(ended);
        }
        pause = (pause * 2).min(max_pause);
    }
}

/// The statement that runs on the connection, as PostgreSQL reports it; all candidates if it does not.
async fn identify_running(
    config: &Connector,
    pid: &str,
    statements: Vec<(Arc<str>, Permit)>,
) -> Vec<(Arc<str>, Permit)> {
    if statements.len() < 2 {
        return statements;
    }
    let asking = async {
        // All connections of the pool may be in use.
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

/// Whether this statement is the one that runs or is explained. `running` is truncated to
/// `track_activity_query_size`, which is at least 100 bytes.
fn matches_running(running: &str, statement: &str) -> bool {
    let explained = running.strip_prefix("EXPLAIN (").and_then(|rest| rest.split_once(") "));
    let running = explained.map_or(running, |(_, explained)| explained);
    let is_truncated = running.len() >= MIN_TRUNCATED_BYTES && statement.starts_with(running);
    let is_selected = without_selection(running).is_some_and(|selected| matches_selected(selected, statement));
    running == statement || is_truncated || is_selected
}

/// The same for a statement with a selection: its text, and the selection after it.
fn matches_selected(running: &str, statement: &str) -> bool {
    let is_whole = running.strip_prefix(statement).is_some_and(|rest| rest.starts_with("\n)"));
    is_whole || running.len() >= MIN_TRUNCATED_BYTES && statement.starts_with(running)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifies_a_statement_that_is_truncated_or_explained() {
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
        let selected = format!("SELECT * FROM (\n{long}\n) AS result LIMIT $1 OFFSET $2");
        assert!(matches_running(&selected, &long) && matches_running(&selected[..1_023], &long));
        assert!(matches_running(&format!("EXPLAIN (FORMAT JSON) {selected}"), &long));
        assert!(matches_running(&selected, &selected) && matches_running(&selected[..1_023], &selected));
        assert!(
            !matches_running(&selected, "SELECT x") && !matches_running(&selected, &long.replacen("x + ", "y + ", 1))
        );
        assert!(!matches_running(&long[..1_023], &long.replacen("x + ", "y + ", 1)));
    }
}
