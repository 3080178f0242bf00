//! A session with PostgreSQL, whose protocol is spoken by whoever runs a statement.
//!
//! The driver logs in; from then on its socket is read and written here, in the task of the run. So nothing is handed from one
//! task to another, a row is encoded from the bytes in which it has come, and one that is too large is passed over without
//! being held.
//!
//! Any number of things may be asked before the first answer is read. Answers come in the order of the questions, and each
//! is read to its end, so that a future may be dropped at any point: [`Session::finish`] reads what is left of one.

mod address;
mod cancel;
mod config;
mod description;
mod error;
mod framed;
mod request;

use std::collections::VecDeque;
use std::fmt;
use std::io;

use bytes::BytesMut;
use metricd_execution::Fields;
use postgres_protocol::Oid;
use postgres_protocol::message::backend::{
    COMMAND_COMPLETE_TAG, DATA_ROW_TAG, ERROR_RESPONSE_TAG, NO_DATA_TAG, PARAMETER_DESCRIPTION_TAG,
    READY_FOR_QUERY_TAG, ROW_DESCRIPTION_TAG,
};
use postgres_protocol::message::frontend;
use tokio::time::timeout;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use self::address::Address;
pub(crate) use self::address::{CANCEL_RETRY_INTERVAL, CANCEL_TIMEOUT};
pub(crate) use self::cancel::Canceller;
pub(crate) use self::config::SessionConfig;
pub(crate) use self::config::driver_config_within;
pub(crate) use self::description::Format;
use self::description::RowDescription;
pub(crate) use self::error::SessionError;
use self::framed::{Frame, Framed};
use self::request::write_unnamed;
pub(crate) use self::request::{DescribedStatement, PreludeStatement};
use crate::timing::Stopwatch;
use std::time::Duration;

/// How long connecting may take where the URL does not say, and whatever else is the runner's own.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How much is held of an answer to the runner's own questions, which are short.
const MAX_OWN_ROW_BYTES: usize = 64 << 10;

/// Of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Response {
    /// A row: [`Session::fields`].
    Row,
    /// A row that is larger than was asked for. It is passed over.
    OversizedRow,
    /// The end.
    End,
}

pub(crate) struct Session {
    framed: Framed,
    canceller: Canceller,
    /// The process that the login has named, which a pooler makes up.
    login_pid: Option<i32>,
    /// How many answers have not come to their end.
    pending_ready_count: usize,
    /// What was wrong with the statement whose answer is being read.
    pending_error: Option<SessionError>,
    /// What is still to come of statements that were asked for as one.
    pending: PendingResponses,
    /// What the results of the statements have to look like that were asked for and are not described yet.
    expected: VecDeque<RowDescription>,
    /// How far PostgreSQL has got with the statement whose answer is read, or was last.
    stage: Stage,
    is_in_transaction: bool,
    is_lost: bool,
    /// Whether what runs has been cancelled since several statements were last asked for as one.
    was_cancelled: bool,
}

/// How far PostgreSQL has got with a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Sent,
    /// Its result is described, so that it is prepared and has its values.
    Executing,
}

/// How many statements of one question have not ended.
#[derive(Debug, Clone, Copy, Default)]
struct PendingResponses {
    /// Of those whose answers are passed over.
    prelude: usize,
    /// Of the others, where each of them has an answer of its own.
    statements: usize,
}

impl Session {
    /// Connects and logs in.
    pub(crate) async fn open(config: &SessionConfig) -> Result<Self, SessionError> {
        let mut outcome = Err(SessionError::Lost("the URL names no host".to_owned()));
        for wants_standby in config.target.in_order() {
            for address in Address::candidates(&config.config) {
                let limit = config.config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
                let opened = timeout(limit, Self::open_at(address, config, *wants_standby)).await;
                outcome = opened.unwrap_or_else(|_| Err(SessionError::Lost("connecting took too long".to_owned())));
                if outcome.is_ok() {
                    return outcome;
                }
            }
        }
        outcome
    }

    async fn open_at(
        address: Address,
        config: &SessionConfig,
        wants_standby: Option<bool>,
    ) -> Result<Self, SessionError> {
        let (mut socket, peer) = address.connect(&config.config).await?;
        let (client, driver) = config.config.connect_raw(&mut socket, NoTls).await?;
        let token = client.cancel_token();
        let login_pid = cancel::process_of(&token).await;
        let canceller = Canceller::new(peer, token);
        // Neither says goodbye unless it is polled; the socket is ours again.
        drop((client, driver));
        let mut session = Self {
            framed: Framed::new(socket),
            canceller,
            login_pid,
            pending_ready_count: 0,
            pending_error: None,
            pending: PendingResponses::default(),
            expected: VecDeque::new(),
            stage: Stage::Sent,
            is_in_transaction: false,
            is_lost: false,
            was_cancelled: false,
        };
        if let Some(wants_standby) = wants_standby {
            session.check_target(wants_standby).await?;
        }
        Ok(session)
    }

    /// Holds the server to what the URL wants it to be. Whether it can be written to is asked of the server: this session could
    /// not write anyhow.
    async fn check_target(&mut self, wants_standby: bool) -> Result<(), SessionError> {
        let sql = "SELECT (pg_catalog.pg_is_in_recovery() = $1::pg_catalog.bool)::pg_catalog.text";
        let row = self.row(&[], sql, &wants_standby.to_string()).await?;
        match row.first() {
            Some(Some(is_wanted)) if is_wanted == "true" => Ok(()),
            _ => {
                let wanted = if wants_standby { "a standby" } else { "a primary" };
                Err(SessionError::Lost(format!("`target_session_attrs` asks for {wanted}, which the server is not")))
            }
        }
    }

    /// The process that the login has named. A pooler names one that it has made up.
    pub(crate) fn login_pid(&self) -> Option<i32> {
        self.login_pid
    }

    /// Whether everything is answered, and no transaction open.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending_ready_count == 0 && !self.is_in_transaction && !self.is_lost()
    }

    /// Whether every answer has come to its end.
    pub(crate) fn is_ready(&self) -> bool {
        self.pending_ready_count == 0
    }

    /// Counts the time in which rows are encoded, once it was resumed: it stands still while PostgreSQL is waited for.
    pub(crate) fn encoding(&mut self) -> &mut Stopwatch {
        &mut self.framed.encoding
    }

    /// Whether a transaction is open, as of the last answer.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.is_in_transaction
    }

    /// Whether the session was found to have ended.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost || self.canceller.is_pending()
    }

    /// Whether the connection to PostgreSQL was found to have ended, so that nothing runs in the session any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_lost
    }

    /// Whether the session has ended, as when PostgreSQL was restarted. Only to be asked while it is idle.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.is_lost = self.is_lost || self.framed.is_closed();
        self.is_lost()
    }

    /// Stops the statement that runs. Where this does not come to its end, the session is lost.
    pub(crate) async fn cancel(&mut self) -> io::Result<()> {
        self.was_cancelled = true;
        self.canceller.cancel().await
    }

    /// Whether [`Self::cancel`] has been called since several statements were last asked for as one: any of them may be what
    /// was stopped.
    pub(crate) fn was_cancelled(&self) -> bool {
        self.was_cancelled
    }

    /// What stops the statement that runs while its answer is being read.
    pub(crate) fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Asks for one or more statements without parameters.
    pub(crate) fn send_simple(&mut self, sql: &str) -> Result<(), SessionError> {
        self.encode(|unsent| frontend::query(sql, unsent))
    }

    /// Asks for several statements, whose answers are passed over. Where one of them fails, what follows it is not run.
    pub(crate) fn send_batch(&mut self, statements: &[PreludeStatement<'_>]) -> Result<(), SessionError> {
        self.send_after(statements, |_| Ok(()))
    }

    /// Asks to run a prepared statement, of that SQL, with values as text, after others. Where one of those fails, what
    /// follows it is not run. The answer has to have the columns that were prepared.
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

    /// The same for a statement that is prepared for this once, whose columns are text.
    pub(crate) fn send_unnamed<'a>(
        &mut self,
        before: &[PreludeStatement<'_>],
        sql: &str,
        arguments: impl Iterator<Item = Option<&'a str>>,
    ) -> Result<(), SessionError> {
        self.send_after(before, |unsent| write_unnamed(sql, arguments, unsent))
    }

    /// Asks to run several prepared statements, after others and before others that have neither parameters nor an answer of
    /// interest. Each has an answer of its own. Where one of all these fails, what follows it is not run, and has no answer.
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

    /// Forgets a prepared statement, when something is asked next.
    pub(crate) fn close_statement(&mut self, name: &str) -> Result<(), SessionError> {
        self.framed.write(|unsent| frontend::close(b'S', name, unsent)).map_err(SessionError::from)
    }

    /// Prepares a statement under a name, after others; without a name, only has it described.
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
                    // Their number precedes them.
                    let types = self.framed.body().get(size_of::<u16>()..).unwrap_or_default();
                    prepared.parameters = types.as_chunks().0.iter().map(|oid| Oid::from_be_bytes(*oid)).collect();
                }
                Frame::Message(ROW_DESCRIPTION_TAG) => prepared.description = RowDescription::parse(self.framed.body()),
                Frame::Message(READY_FOR_QUERY_TAG) => return self.pending_error.take().map_or(Ok(prepared), Err),
                _ => {}
            }
        }
    }

    /// The only row of a statement, with its values as text, after others.
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
                // What follows has no values, and is taken for an answer that says nothing.
                Response::OversizedRow => {}
                Response::Row => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    values = self.fields().map(|field| field.map(text)).collect();
                }
            }
        }
    }

    /// Whether the statement whose answer is read, or was last, has begun to run. An error before that is about the statement
    /// as it was prepared, or about its values.
    pub(crate) fn is_executing(&self) -> bool {
        self.stage == Stage::Executing
    }

    /// Reads on in the answer to what was asked first. What was wrong is told at its end.
    ///
    /// # Errors
    ///
    /// [`SessionError`]. Where the session is not lost, the answer has come to its end.
    pub(crate) async fn next(&mut self, max_row_bytes: usize) -> Result<Response, SessionError> {
        loop {
            match self.next_message(max_row_bytes).await? {
                Frame::Message(READY_FOR_QUERY_TAG) => return self.pending_error.take().map_or(Ok(Response::End), Err),
                // Of what goes wrong, the rest is passed over.
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

    /// The fields of the row that was answered last.
    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields::of(self.row_bytes())
    }

    /// The row that was answered last, as it has come: [`Fields::of`].
    pub(crate) fn row_bytes(&self) -> &[u8] {
        // The number of its fields precedes them.
        self.framed.body().get(2..).unwrap_or_default()
    }

    /// Reads the answer to its end.
    pub(crate) async fn drain(&mut self) -> Result<(), SessionError> {
        while self.next(0).await? != Response::End {}
        Ok(())
    }

    /// Holds the columns of an answer to those of the statement that was asked for.
    fn check_columns(&mut self) {
        let Some(expected) = self.expected.pop_front() else { return };
        if expected.matches(self.framed.body()) {
            self.stage = Stage::Executing;
        } else {
            // Something has changed meanwhile, which is no fault of the SQL.
            let sqlstate = SqlState::INTERNAL_ERROR.code().to_owned();
            let message = "the result has other columns than the statement that was prepared".to_owned();
            self.pending_error = Some(SessionError::Refused { sqlstate, message });
        }
    }

    /// Nothing else may be unanswered.
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

    /// The next message. An error is kept until the end of its answer.
    async fn next_message(&mut self, max_row_bytes: usize) -> Result<Frame, SessionError> {
        let frame = match self.framed.next(max_row_bytes).await {
            Ok(frame) => frame,
            Err(error) => {
                self.is_lost = true;
                // PostgreSQL says why it closes a session.
                return Err(match self.pending_error.take() {
                    Some(SessionError::Refused { message, .. }) => SessionError::Lost(message),
                    _ => error.into(),
                });
            }
        };
        match frame {
            Frame::Message(ERROR_RESPONSE_TAG) => {
                let fault = SessionError::refused(self.framed.body());
                self.pending_error.get_or_insert(fault);
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
