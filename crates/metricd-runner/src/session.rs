//! A session with PostgreSQL, whose wire protocol the task of the run speaks itself.
//!
//! The driver only logs in. Afterwards the task of the run reads and writes the socket. So no data passes between
//! tasks, a row is encoded from the bytes in which it arrived, and a row that is too large is skipped without being
//! buffered.
//!
//! Requests are pipelined: any number may be sent before the first response is read. Responses arrive in the order of
//! the requests, each up to its `ReadyForQuery`. A future may be dropped at any point: [`Session::drain`] reads the
//! rest of a response.

mod cancel;
mod description;
mod error;
mod framed;
mod request;

use std::collections::VecDeque;
use std::fmt;
use std::io;

use bytes::BytesMut;
use metricd_connection::{Connector, LoggedIn};
use metricd_execution::Fields;
use postgres_protocol::Oid;
use postgres_protocol::message::backend::{
    COMMAND_COMPLETE_TAG, DATA_ROW_TAG, ERROR_RESPONSE_TAG, NO_DATA_TAG, PARAMETER_DESCRIPTION_TAG,
    READY_FOR_QUERY_TAG, ROW_DESCRIPTION_TAG,
};
use postgres_protocol::message::frontend;
use tokio_postgres::error::SqlState;

pub(crate) use self::cancel::{CANCEL_RETRY_INTERVAL, CANCEL_TIMEOUT, Canceller};
pub(crate) use self::description::Format;
use self::description::RowDescription;
pub(crate) use self::error::SessionError;
use self::framed::{Frame, Framed};
use self::request::write_unnamed;
pub(crate) use self::request::{DescribedStatement, PreludeStatement};
use crate::timing::Stopwatch;
use std::time::Duration;

/// How long connecting to a host may take if the URL does not say; also the limit of the runner's own statements.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The maximum size of a row of the runner's own statements, which are small.
const MAX_OWN_ROW_BYTES: usize = 64 << 10;

/// A piece of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Response {
    /// A row, in [`Session::fields`].
    Row,
    /// A row larger than the given maximum. It is skipped.
    OversizedRow,
    /// The end of the response.
    End,
}

pub(crate) struct Session {
    framed: Framed,
    canceller: Canceller,
    /// The process id that the login reported. A pooler invents it.
    login_pid: Option<i32>,
    /// The number of `ReadyForQuery` messages still to come.
    pending_ready_count: usize,
    /// The error of the statement whose response is being read.
    pending_error: Option<SessionError>,
    /// The responses still to come within the current `ReadyForQuery`.
    pending: PendingResponses,
    /// The expected row descriptions of the statements that were sent and are not described yet.
    expected: VecDeque<RowDescription>,
    /// How far PostgreSQL is with the statement whose response is or was being read.
    stage: Stage,
    is_in_transaction: bool,
    is_lost: bool,
    /// Whether a cancel request was sent since the last [`Session::send_execute_all`].
    was_cancelled: bool,
}

/// How far PostgreSQL is with a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Sent,
    /// Its result is described: it is prepared and its parameters are bound.
    Executing,
}

/// The responses to come for the statements of one request.
#[derive(Debug, Clone, Copy, Default)]
struct PendingResponses {
    /// Of prelude statements, whose responses are skipped.
    prelude: usize,
    /// Of the others, if each has a response of its own.
    statements: usize,
}

impl Session {
    /// Connects and logs in.
    pub(crate) async fn open(connector: &Connector) -> Result<Self, SessionError> {
        let LoggedIn { socket, cancel_request, process_id, .. } = connector.log_in().await?;
        Ok(Self {
            framed: Framed::new(socket),
            canceller: Canceller::new(cancel_request),
            login_pid: process_id,
            pending_ready_count: 0,
            pending_error: None,
            pending: PendingResponses::default(),
            expected: VecDeque::new(),
            stage: Stage::Sent,
            is_in_transaction: false,
            is_lost: false,
            was_cancelled: false,
        })
    }

    /// The process id that the login reported. A pooler invents it.
    pub(crate) fn login_pid(&self) -> Option<i32> {
        self.login_pid
    }

    /// Whether no response is pending and no transaction is open.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending_ready_count == 0 && !self.is_in_transaction && !self.is_lost()
    }

    /// Whether every response was read to its `ReadyForQuery`.
    pub(crate) fn is_ready(&self) -> bool {
        self.pending_ready_count == 0
    }

    /// Measures the time in which rows are encoded, once resumed. It pauses while the session waits for PostgreSQL.
    pub(crate) fn encoding(&mut self) -> &mut Stopwatch {
        &mut self.framed.encoding
    }

    /// Whether a transaction was open at the last `ReadyForQuery`.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.is_in_transaction
    }

    /// Whether the session cannot be used any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost || self.canceller.is_pending()
    }

    /// Whether the connection has ended, so that nothing runs in the session any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_lost
    }

    /// Whether the server has closed the session, as on a restart. Call it only while the session is idle.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.is_lost = self.is_lost || self.framed.is_closed();
        self.is_lost()
    }

    /// Cancels the running statement. If this future is dropped early, the session is lost.
    pub(crate) async fn cancel(&mut self) -> io::Result<()> {
        self.was_cancelled = true;
        self.canceller.cancel().await
    }

    /// Whether [`Self::cancel`] was called since the last [`Self::send_execute_all`]: any of its statements may have
    /// been stopped.
    pub(crate) fn was_cancelled(&self) -> bool {
        self.was_cancelled
    }

    /// Cancels the running statement while its response is being read.
    pub(crate) fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Sends one or more statements without parameters as a simple query.
    pub(crate) fn send_simple(&mut self, sql: &str) -> Result<(), SessionError> {
        self.encode(|unsent| frontend::query(sql, unsent))
    }

    /// Sends several statements whose responses are skipped. After a failure the rest does not run.
    pub(crate) fn send_batch(&mut self, statements: &[PreludeStatement<'_>]) -> Result<(), SessionError> {
        self.send_after(statements, |_| Ok(()))
    }

    /// Sends prelude statements, then a prepared statement of this SQL with text parameters. If one of them fails,
    /// the rest does not run. The result must have the columns that were described.
    pub(crate) fn send_execute<'a>(
        &mut self,
        before: &[PreludeStatement<'_>],
        (prepared, sql): (&DescribedStatement, &str),
        arguments: impl Iterator<Item = Option<&'a str>>,
    ) -> Result<(), SessionError> {
        self.send_after(before, |unsent| prepared.write(sql, arguments, unsent))?;
        self.expected.push_back(prepared.description.clone());
        Ok(())
    }

    /// The same for an unnamed statement, whose columns arrive as text.
    pub(crate) fn send_unnamed<'a>(
        &mut self,
        before: &[PreludeStatement<'_>],
        sql: &str,
        arguments: impl Iterator<Item = Option<&'a str>>,
    ) -> Result<(), SessionError> {
        self.send_after(before, |unsent| write_unnamed(sql, arguments, unsent))
    }

    /// Sends prelude statements, several prepared statements, and final statements without parameters. Each prepared
    /// statement has a response of its own. After a failure the rest does not run and has no response.
    pub(crate) fn send_execute_all<'a, 'b, A: Iterator<Item = Option<&'b str>>>(
        &mut self,
        before: &[PreludeStatement<'_>],
        statements: impl Iterator<Item = ((&'a DescribedStatement, &'a str), A)>,
        after: &[&str],
    ) -> Result<(), SessionError> {
        let mut expected = VecDeque::new();
        self.send_after(before, |unsent| {
            for ((prepared, sql), arguments) in statements {
                expected.push_back(prepared.description.clone());
                prepared.write(sql, arguments, unsent)?;
            }
            after.iter().try_for_each(|sql| write_unnamed(sql, [].into_iter(), unsent))
        })?;
        self.was_cancelled = false;
        self.pending.statements = expected.len();
        self.expected = expected;
        Ok(())
    }

    /// Closes a prepared statement with the next request.
    pub(crate) fn close_statement(&mut self, name: &str) -> Result<(), SessionError> {
        self.framed.write(|unsent| frontend::close(b'S', name, unsent)).map_err(SessionError::from)
    }

    /// Prepares a statement under a name, after prelude statements. Without a name it is only described.
    pub(crate) async fn prepare(
        &mut self,
        before: &[PreludeStatement<'_>],
        name: Option<String>,
        sql: &str,
    ) -> Result<DescribedStatement, SessionError> {
        let mut prepared = DescribedStatement::new(name);
        self.send_after(before, |unsent| {
            frontend::parse(prepared.name_or_unnamed(), sql, [], unsent)?;
            frontend::describe(b'S', prepared.name_or_unnamed(), unsent)
        })?;
        loop {
            match self.next_message(usize::MAX).await? {
                Frame::Message(PARAMETER_DESCRIPTION_TAG) => {
                    // The number of parameters precedes their types.
                    let types = self.framed.body().get(size_of::<u16>()..).unwrap_or_default();
                    prepared.parameters = types.as_chunks().0.iter().map(|oid| Oid::from_be_bytes(*oid)).collect();
                }
                Frame::Message(ROW_DESCRIPTION_TAG) => prepared.description = RowDescription::parse(self.framed.body()),
                Frame::Message(READY_FOR_QUERY_TAG) => return self.pending_error.take().map_or(Ok(prepared), Err),
                _ => {}
            }
        }
    }

    /// The only row of a statement, with its values as text.
    pub(crate) async fn row(
        &mut self,
        before: &[PreludeStatement<'_>],
        sql: &str,
        argument: &str,
    ) -> Result<Vec<Option<String>>, SessionError> {
        self.send_unnamed(before, sql, [Some(argument)].into_iter())?;
        let mut values = Vec::new();
        loop {
            match self.next(MAX_OWN_ROW_BYTES).await? {
                Response::End => return Ok(values),
                // Callers take a result without values as a missing answer.
                Response::OversizedRow => {}
                Response::Row => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    values = self.fields().map(|field| field.map(text)).collect();
                }
            }
        }
    }

    /// Whether the statement whose response is or was being read has started to execute. An earlier error concerns
    /// its preparation or its parameters.
    pub(crate) fn is_executing(&self) -> bool {
        self.stage == Stage::Executing
    }

    /// Reads on in the first pending response. An error is returned at its end.
    ///
    /// # Errors
    ///
    /// [`SessionError`]. Unless the session is lost, the response was read to its end.
    pub(crate) async fn next(&mut self, max_row_bytes: usize) -> Result<Response, SessionError> {
        loop {
            match self.next_message(max_row_bytes).await? {
                Frame::Message(READY_FOR_QUERY_TAG) => return self.pending_error.take().map_or(Ok(Response::End), Err),
                // The rest of a failed response is skipped.
                _ if self.pending_error.is_some() => {}
                Frame::Message(DATA_ROW_TAG) | Frame::OversizedRow if self.pending.prelude > 0 => {}
                Frame::Message(COMMAND_COMPLETE_TAG) if self.pending.prelude > 0 => self.pending.prelude -= 1,
                Frame::Message(ROW_DESCRIPTION_TAG | NO_DATA_TAG) if self.pending.prelude == 0 => self.check_columns(),
                Frame::Message(DATA_ROW_TAG) => return Ok(Response::Row),
                Frame::Message(COMMAND_COMPLETE_TAG) if self.pending.statements > 0 => {
                    self.pending.statements -= 1;
                    self.stage = Stage::Sent;
                    return Ok(Response::End);
                }
                Frame::Message(_) => {}
                Frame::OversizedRow => return Ok(Response::OversizedRow),
            }
        }
    }

    /// The fields of the last row.
    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields::of(self.row_bytes())
    }

    /// The last row in wire format, for [`Fields::of`].
    pub(crate) fn row_bytes(&self) -> &[u8] {
        // The number of fields precedes them.
        self.framed.body().get(2..).unwrap_or_default()
    }

    /// Reads the response to its end.
    pub(crate) async fn drain(&mut self) -> Result<(), SessionError> {
        while self.next(0).await? != Response::End {}
        Ok(())
    }

    /// Checks that a result has the columns of the statement that was sent.
    fn check_columns(&mut self) {
        let Some(expected) = self.expected.pop_front() else { return };
        if expected.matches(self.framed.body()) {
            self.stage = Stage::Executing;
        } else {
            // An object has changed; the SQL is not at fault.
            let sqlstate = SqlState::INTERNAL_ERROR.code().to_owned();
            let message = "the result has other columns than the statement that was prepared".to_owned();
            self.pending_error = Some(SessionError::Refused { sqlstate, message });
        }
    }

    /// No other response may be pending.
    fn send_after(
        &mut self,
        before: &[PreludeStatement<'_>],
        messages: impl FnOnce(&mut BytesMut) -> io::Result<()>,
    ) -> Result<(), SessionError> {
        self.encode(|unsent| {
            before.iter().try_for_each(|statement| statement.write(unsent))?;
            messages(unsent)?;
            frontend::sync(unsent);
            Ok(())
        })?;
        self.pending = PendingResponses { prelude: before.len(), statements: 0 };
        self.expected.clear();
        self.stage = Stage::Sent;
        Ok(())
    }

    fn encode(&mut self, messages: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<(), SessionError> {
        self.framed.write(messages)?;
        self.pending_ready_count += 1;
        Ok(())
    }

    /// The next message. An error is kept until the end of its response.
    async fn next_message(&mut self, max_row_bytes: usize) -> Result<Frame, SessionError> {
        let frame = match self.framed.next(max_row_bytes).await {
            Ok(frame) => frame,
            Err(error) => {
                self.is_lost = true;
                // PostgreSQL sends the reason before it closes a session.
                return Err(match self.pending_error.take() {
                    Some(SessionError::Refused { message, .. }) => SessionError::Lost(message),
                    _ => error.into(),
                });
            }
        };
        match frame {
            Frame::Message(ERROR_RESPONSE_TAG) => {
                let error = SessionError::refused(self.framed.body());
                self.pending_error.get_or_insert(error);
            }
            Frame::Message(READY_FOR_QUERY_TAG) => {
                self.pending = PendingResponses::default();
                self.expected.clear();
                self.pending_ready_count = self.pending_ready_count.saturating_sub(1);
                self.is_in_transaction = self.framed.body() != b"I";
                if self.pending_ready_count == 0 {
                    self.framed.shrink();
                }
            }
            _ => {}
        }
        Ok(frame)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.is_idle() {
            self.framed.terminate();
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("pending_ready_count", &self.pending_ready_count)
            .finish_non_exhaustive()
    }
}
