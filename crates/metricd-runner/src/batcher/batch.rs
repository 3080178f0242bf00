//! A question with the statements of several runs, and its answers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use metricd_execution::{BoundStatement, Fields, RowSink, RunError, RunLimits, RunOutcome};

use super::{BATCH_TIMEOUT, PendingRun};
use crate::connection::Connection;
use crate::connection::prepared_statement::PreparedStatement;
use crate::cost::Estimates;
use crate::error::{is_stale, run_error};
use crate::session::{Response, Session, SessionError};

/// How much an answer has at most; a larger one is better read as it comes.
const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// What PostgreSQL has answered to one statement.
pub(super) struct BatchedResponse {
    /// When it was sent.
    pub(super) sent: Instant,
    prepared: Arc<PreparedStatement>,
    rows: Rows,
}

/// Rows as they have come.
#[derive(Default)]
struct Rows {
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Rows {
    fn size_bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<usize>()
    }
}

/// What is asked, and what is to be asked still.
pub(super) struct StatementBatch {
    estimates: Estimates,
    pending: VecDeque<PendingRun>,
    preparing: Option<PendingRun>,
    sent: VecDeque<(PendingRun, Arc<PreparedStatement>)>,
}

impl BatchedResponse {
    /// Hands the rows to the sink, up to the limits.
    pub(super) async fn replay(self, limits: RunLimits, sink: &mut dyn RowSink) -> Result<RunOutcome, RunError> {
        sink.columns(&self.prepared.columns)?;
        let Rows { bytes, ends } = &self.rows;
        let (mut row_count, mut begin) = (0, 0);
        for &end in ends {
            let row = bytes.get(begin..end).unwrap_or_default();
            if row_count == limits.rows.rows() || !sink.row(Fields::of(row), limits.size_bytes)? {
                return Ok(RunOutcome { row_count, truncated: true });
            }
            (row_count, begin) = (row_count + 1, end);
            if sink.is_full() {
                sink.flush().await;
            }
        }
        Ok(RunOutcome { row_count, truncated: false })
    }
}

impl StatementBatch {
    pub(super) fn new(estimates: Estimates, runs: Vec<PendingRun>) -> Self {
        Self { estimates, pending: runs.into(), preparing: None, sent: VecDeque::new() }
    }

    /// Asks, and tells each run what is answered. Those that are told nothing go on alone when this is dropped.
    ///
    /// # Errors
    ///
    /// Where the connection is of no more use.
    pub(super) async fn execute(&mut self, connection: &mut Connection) -> Result<(), SessionError> {
        loop {
            self.prepare(connection).await?;
            if self.sent.is_empty() {
                return Ok(());
            }
            self.ask(connection).await?;
        }
    }

    /// Prepares all of them, which are fewer than a connection keeps prepared.
    async fn prepare(&mut self, connection: &mut Connection) -> Result<(), SessionError> {
        while let Some(run) = self.pending.pop_front() {
            self.preparing = Some(run).filter(|run| !run.reply.is_closed());
            let Some(run) = &self.preparing else { continue };
            let prepared = prepare_batchable(connection, &run.statement).await?;
            match (self.preparing.take(), prepared) {
                (Some(run), Some(prepared)) => self.sent.push_back((run, prepared)),
                (Some(run), None) => self.estimates.deny_batching(run.statement.text()),
                (None, _) => {}
            }
        }
        Ok(())
    }

    /// Asks once. What follows a statement that fails is left, to be asked once more.
    async fn ask(&mut self, connection: &mut Connection) -> Result<(), SessionError> {
        let prelude = connection.prelude(None, None, None).await?;
        let before: Vec<_> = prelude.statements().collect();
        let statements = self
            .sent
            .iter()
            .map(|(run, prepared)| ((&prepared.described, run.statement.text()), run.statement.texts()));
        connection.session.send_execute_all(&before, statements, &[])?;
        let sent = Instant::now();
        while !connection.session.is_ready() && !self.sent.is_empty() {
            let rows = rows(&mut connection.session).await;
            if let Err(error @ SessionError::Lost(_)) = rows {
                return Err(error);
            }
            let Some((run, prepared)) = self.sent.pop_front() else { break };
            match rows {
                Ok(Some(rows)) => {
                    // Who has gone need not be told.
                    let _ = run.reply.send(Ok(BatchedResponse { sent, prepared, rows }));
                }
                Ok(None) => self.estimates.deny_batching(run.statement.text()),
                Err(error) => return self.fail(connection, &run, error),
            }
        }
        connection.tenant_set(None);
        connection.session.drain().await
    }

    /// Leaves a run that has failed to itself, with those of the same statement: they may well fail, too.
    fn fail(&mut self, connection: &mut Connection, run: &PendingRun, error: SessionError) -> Result<(), SessionError> {
        let text = run.statement.text();
        self.sent.retain(|(other, _)| other.statement.text() != text);
        if is_stale(&run_error(error, BATCH_TIMEOUT), true, connection.session.is_executing()) {
            connection.evict_statement(text)?;
        }
        Ok(())
    }
}

impl Drop for StatementBatch {
    fn drop(&mut self) {
        // What is not answered is perhaps what has taken so long.
        let unanswered = self.sent.iter().map(|(run, _)| run).chain(&self.preparing);
        unanswered.for_each(|run| self.estimates.deny_batching(run.statement.text()));
    }
}

/// What is prepared for the statement; `None` where it has to be run alone.
async fn prepare_batchable(
    connection: &mut Connection,
    statement: &BoundStatement,
) -> Result<Option<Arc<PreparedStatement>>, SessionError> {
    match PreparedStatement::prepare(connection, statement).await {
        Ok(prepared) => {
            let is_of = prepared.meets_contract(statement)
                && prepared.described.parameters.len() == statement.arguments().len();
            Ok(is_of.then_some(prepared))
        }
        Err(error @ SessionError::Lost(_)) => Err(error),
        Err(SessionError::Refused { .. }) => Ok(None),
    }
}

/// The rows of the next answer; `None` where they are much.
async fn rows(session: &mut Session) -> Result<Option<Rows>, SessionError> {
    let (mut rows, mut is_whole) = (Rows::default(), true);
    loop {
        match session.next(MAX_RESPONSE_BYTES).await? {
            Response::Row if is_whole && rows.size_bytes() < MAX_RESPONSE_BYTES => {
                rows.bytes.extend_from_slice(session.row_bytes());
                rows.ends.push(rows.bytes.len());
            }
            Response::Row | Response::OversizedRow => is_whole = false,
            Response::End => return Ok(is_whole.then_some(rows)),
        }
    }
}
