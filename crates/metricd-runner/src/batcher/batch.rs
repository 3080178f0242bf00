//! A batch of statements, and their buffered responses.

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

/// The maximum size of a buffered response; a larger one is read as it arrives, by running the statement alone.
const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// PostgreSQL's response to one statement of a batch.
pub(super) struct BatchedResponse {
    /// When the batch was sent.
    pub(super) sent: Instant,
    prepared: Arc<PreparedStatement>,
    rows: Rows,
}

/// Rows in wire format.
#[derive(Default)]
struct Rows {
    bytes: Vec<u8>,
    /// The end of each row in `bytes`.
    ends: Vec<usize>,
}

impl Rows {
    fn size_bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<usize>()
    }
}

/// The statements of a batch: those to be prepared, and those that were sent and have no response yet.
pub(super) struct StatementBatch {
    estimates: Estimates,
    pending: VecDeque<PendingRun>,
    preparing: Option<PendingRun>,
    sent: VecDeque<(PendingRun, Arc<PreparedStatement>)>,
}

impl BatchedResponse {
    /// Passes the rows to the sink, up to the limits.
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

    /// Sends the statements and replies to each run. Runs without a reply continue alone when this is dropped.
    ///
    /// # Errors
    ///
    /// If the connection cannot be used any more.
    pub(super) async fn execute(&mut self, connection: &mut Connection) -> Result<(), SessionError> {
        loop {
            self.prepare(connection).await?;
            if self.sent.is_empty() {
                return Ok(());
            }
            self.send(connection).await?;
        }
    }

    /// Prepares all statements. A batch has fewer of them than the statement cache of a connection holds.
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

    /// Sends the statements once. What follows a failed statement stays in the batch, to be sent again.
    async fn send(&mut self, connection: &mut Connection) -> Result<(), SessionError> {
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
                    // The receiver may be gone.
                    let _ = run.reply.send(Ok(BatchedResponse { sent, prepared, rows }));
                }
                Ok(None) => self.estimates.deny_batching(run.statement.text()),
                Err(error) => return self.fail(connection, &run, error),
            }
        }
        connection.tenant_set(None);
        connection.session.drain().await
    }

    /// Makes a failed run continue alone, with the other runs of the same statement: they would probably fail, too.
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
        // A statement without a response may be the slow one.
        let unanswered = self.sent.iter().map(|(run, _)| run).chain(&self.preparing);
        unanswered.for_each(|run| self.estimates.deny_batching(run.statement.text()));
    }
}

/// Prepares the statement. `None` means that it has to run alone.
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

/// The rows of the next response; `None` if they exceed [`MAX_RESPONSE_BYTES`].
async fn rows(session: &mut Session) -> Result<Option<Rows>, SessionError> {
    let (mut rows, mut is_complete) = (Rows::default(), true);
    loop {
        match session.next(MAX_RESPONSE_BYTES).await? {
            Response::Row if is_complete && rows.size_bytes() < MAX_RESPONSE_BYTES => {
                rows.bytes.extend_from_slice(session.row_bytes());
                rows.ends.push(rows.bytes.len());
            }
            Response::Row | Response::OversizedRow => is_complete = false,
            Response::End => return Ok(is_complete.then_some(rows)),
        }
    }
}
