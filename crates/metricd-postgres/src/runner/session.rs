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
mod error;
mod question;
mod wire;

use std::fmt;
use std::io;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use metricd_execution::Fields;
use postgres_protocol::Oid;
use postgres_protocol::message::backend::{
    COMMAND_COMPLETE_TAG, DATA_ROW_TAG, ERROR_RESPONSE_TAG, Message, PARAMETER_DESCRIPTION_TAG, READY_FOR_QUERY_TAG,
    ROW_DESCRIPTION_TAG,
};
use postgres_protocol::message::frontend;
use tokio::time::timeout;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{Config, NoTls};

use self::address::Address;
pub(super) use self::address::{CANCEL_AGAIN, CANCEL_TIMEOUT};
pub(super) use self::cancel::Canceller;
pub(super) use self::error::SessionError;
pub(super) use self::question::Ahead;
use self::question::{execute, once};
use self::wire::{Incoming, Wire};
use super::CONNECT_TIMEOUT;
use super::timing::Stopwatch;

/// Of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// A row: [`Session::fields`].
    Row,
    /// A row that is larger than was asked for. It is passed over.
    LargeRow,
    /// The end.
    End,
}

/// A statement that PostgreSQL has prepared.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// How many parameters it has.
    pub(super) parameters: usize,
    /// The names of its columns, and their types.
    pub(super) columns: Vec<(String, Oid)>,
}

pub(super) struct Session {
    wire: Wire,
    canceller: Canceller,
    /// How many answers have not come to their end.
    unanswered: usize,
    /// What was wrong with the statement whose answer is being read.
    fault: Option<SessionError>,
    /// What is still to come of statements that were asked for as one.
    batch: Batch,
    is_in_transaction: bool,
    is_lost: bool,
    /// Whether what runs has been cancelled since several statements were last asked for as one.
    was_cancelled: bool,
}

/// How many statements of one question have not ended.
#[derive(Debug, Clone, Copy, Default)]
struct Batch {
    /// Of those whose answers are passed over.
    ahead: usize,
    /// Of the others, where each of them has an answer of its own.
    left: usize,
}

impl Session {
    /// Connects and logs in.
    pub(super) async fn open(config: &Config) -> Result<Self, SessionError> {
        let mut outcome = Err(SessionError::Lost("the URL names no host".to_owned()));
        for address in Address::to_try(config) {
            let opened = timeout(CONNECT_TIMEOUT, Self::open_at(address, config)).await;
            outcome = opened.unwrap_or_else(|_| Err(SessionError::Lost("connecting took too long".to_owned())));
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    async fn open_at(address: Address, config: &Config) -> Result<Self, SessionError> {
        let (mut socket, peer) = address.connect(config).await?;
        let (client, driver) = config.connect_raw(&mut socket, NoTls).await?;
        let canceller = Canceller::new(peer, client.cancel_token());
        // Neither says goodbye unless it is polled; the socket is ours again.
        drop((client, driver));
        let mut session = Self {
            wire: Wire::new(socket),
            canceller,
            unanswered: 0,
            fault: None,
            batch: Batch::default(),
            is_in_transaction: false,
            is_lost: false,
            was_cancelled: false,
        };
        session.check_target(config.get_target_session_attrs()).await?;
        Ok(session)
    }

    /// Holds the server to what the URL wants it to be. Whether it can be written to is asked of the server: this session could
    /// not write anyhow.
    async fn check_target(&mut self, target: TargetSessionAttrs) -> Result<(), SessionError> {
        let wants_standby = match target {
            TargetSessionAttrs::ReadWrite => "false",
            TargetSessionAttrs::ReadOnly => "true",
            _ => return Ok(()),
        };
        let row = self.row("SELECT (pg_catalog.pg_is_in_recovery() = $1::boolean)::text", wants_standby).await?;
        match row.first() {
            Some(Some(is_wanted)) if is_wanted == "true" => Ok(()),
            _ => Err(SessionError::Lost(format!("the server is not as `target_session_attrs` wants it: {target:?}"))),
        }
    }

    /// Whether everything is answered, and no transaction open.
    pub(super) fn is_idle(&self) -> bool {
        self.unanswered == 0 && !self.is_in_transaction && !self.is_lost()
    }

    /// Whether every answer has come to its end.
    pub(super) fn is_answered(&self) -> bool {
        self.unanswered == 0
    }

    /// Counts the time in which rows are encoded, once it was resumed: it stands still while PostgreSQL is waited for.
    pub(super) fn encoding(&mut self) -> &mut Stopwatch {
        &mut self.wire.encoding
    }

    /// Whether a transaction is open, as of the last answer.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.is_in_transaction
    }

    /// Whether the session was found to have ended.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost || self.canceller.is_under_way()
    }

    /// Whether the session has ended, as when PostgreSQL was restarted. Only to be asked while it is idle.
    pub(super) fn is_closed(&mut self) -> bool {
        self.is_lost = self.is_lost || self.wire.is_closed();
        self.is_lost()
    }

    /// Stops the statement that runs. Where this does not come to its end, the session is lost.
    pub(super) async fn cancel(&mut self) -> io::Result<()> {
        self.was_cancelled = true;
        self.canceller.cancel().await
    }

    /// Whether [`Self::cancel`] has been called since several statements were last asked for as one: any of them may be what
    /// was stopped.
    pub(super) fn was_cancelled(&self) -> bool {
        self.was_cancelled
    }

    /// What stops the statement that runs while its answer is being read.
    pub(super) fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Whether PostgreSQL has been sent everything that it was asked.
    pub(super) fn is_sent(&self) -> bool {
        self.wire.is_sent()
    }

    /// Asks for one or more statements without parameters.
    pub(super) fn ask(&mut self, sql: &str) -> Result<(), SessionError> {
        self.encode(|unsent| frontend::query(sql, unsent))
    }

    /// Asks for several statements, whose answers are passed over. Where one of them fails, what follows it is not run.
    pub(super) fn ask_all(&mut self, statements: &[Ahead<'_>]) -> Result<(), SessionError> {
        self.ask_after(statements, |_| Ok(()))
    }

    /// Asks to run a prepared statement with values as text, after others. Where one of those fails, what follows it is not
    /// run.
    pub(super) fn ask_prepared<'a>(
        &mut self,
        before: &[Ahead<'_>],
        name: &str,
        arguments: impl Iterator<Item = Option<&'a str>>,
    ) -> Result<(), SessionError> {
        self.ask_after(before, |unsent| execute(name, arguments, unsent))
    }

    /// The same for a statement that is prepared for this once.
    pub(super) fn ask_once<'a>(
        &mut self,
        before: &[Ahead<'_>],
        sql: &str,
        arguments: impl Iterator<Item = Option<&'a str>>,
    ) -> Result<(), SessionError> {
        self.ask_after(before, |unsent| once(sql, arguments, unsent))
    }

    /// Asks to run several prepared statements, after others and before others that have neither parameters nor an answer of
    /// interest. Each has an answer of its own. Where one of all these fails, what follows it is not run, and has no answer.
    pub(super) fn ask_prepared_all<'a, 'b, A: Iterator<Item = Option<&'b str>>>(
        &mut self,
        before: &[Ahead<'_>],
        statements: impl Iterator<Item = (&'a str, A)>,
        after: &[&str],
    ) -> Result<(), SessionError> {
        let mut left = 0;
        self.ask_after(before, |unsent| {
            for (name, arguments) in statements {
                left += 1;
                execute(name, arguments, unsent)?;
            }
            after.iter().try_for_each(|sql| once(sql, [].into_iter(), unsent))
        })?;
        self.was_cancelled = false;
        self.batch.left = left;
        Ok(())
    }

    /// Forgets a prepared statement, when something is asked next.
    pub(super) fn forget(&mut self, name: &str) -> Result<(), SessionError> {
        self.wire.write(|unsent| frontend::close(b'S', name, unsent)).map_err(SessionError::from)
    }

    /// Prepares a statement under a name.
    pub(super) async fn prepare(&mut self, name: &str, sql: &str) -> Result<Prepared, SessionError> {
        self.ask_after(&[], |unsent| {
            frontend::parse(name, sql, [], unsent)?;
            frontend::describe(b'S', name, unsent)
        })?;
        let mut prepared = Prepared::default();
        loop {
            match self.next_message(usize::MAX).await? {
                Incoming::Message(PARAMETER_DESCRIPTION_TAG | ROW_DESCRIPTION_TAG) => self.describe(&mut prepared)?,
                Incoming::Message(READY_FOR_QUERY_TAG) => return self.fault.take().map_or(Ok(prepared), Err),
                _ => {}
            }
        }
    }

    /// The only row of a statement, with its values as text.
    pub(super) async fn row(&mut self, sql: &str, argument: &str) -> Result<Vec<Option<String>>, SessionError> {
        self.ask_once(&[], sql, [Some(argument)].into_iter())?;
        let mut values = Vec::new();
        while self.next(usize::MAX).await? != Answer::End {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            values = self.fields().map(|field| field.map(text)).collect();
        }
        Ok(values)
    }

    /// Reads on in the answer to what was asked first. What was wrong is told at its end.
    ///
    /// # Errors
    ///
    /// [`SessionError`]. Where the session is not lost, the answer has come to its end.
    pub(super) async fn next(&mut self, max_row_bytes: usize) -> Result<Answer, SessionError> {
        loop {
            match self.next_message(max_row_bytes).await? {
                Incoming::Message(DATA_ROW_TAG) | Incoming::LargeRow if self.batch.ahead > 0 => {}
                Incoming::Message(DATA_ROW_TAG) => return Ok(Answer::Row),
                Incoming::Message(COMMAND_COMPLETE_TAG) if self.batch.ahead > 0 => self.batch.ahead -= 1,
                Incoming::Message(COMMAND_COMPLETE_TAG) if self.batch.left > 0 => {
                    self.batch.left -= 1;
                    return Ok(Answer::End);
                }
                Incoming::Message(READY_FOR_QUERY_TAG) => return self.fault.take().map_or(Ok(Answer::End), Err),
                Incoming::Message(_) => {}
                Incoming::LargeRow => return Ok(Answer::LargeRow),
            }
        }
    }

    /// The fields of the row that was answered last.
    pub(super) fn fields(&self) -> Fields<'_> {
        Fields::of(self.row_bytes())
    }

    /// The row that was answered last, as it has come: [`Fields::of`].
    pub(super) fn row_bytes(&self) -> &[u8] {
        // The number of its fields precedes them.
        self.wire.body().get(2..).unwrap_or_default()
    }

    /// Reads the answer to its end.
    pub(super) async fn finish(&mut self) -> Result<(), SessionError> {
        while self.next(0).await? != Answer::End {}
        Ok(())
    }

    /// Nothing else may be unanswered.
    fn ask_after(
        &mut self,
        before: &[Ahead<'_>],
        messages: impl FnOnce(&mut BytesMut) -> io::Result<()>,
    ) -> Result<(), SessionError> {
        self.encode(|unsent| {
            before.iter().try_for_each(|statement| statement.write(unsent))?;
            messages(unsent)?;
            frontend::sync(unsent);
            Ok(())
        })?;
        self.batch = Batch { ahead: before.len(), left: 0 };
        Ok(())
    }

    fn encode(&mut self, messages: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<(), SessionError> {
        self.wire.write(messages)?;
        self.unanswered += 1;
        Ok(())
    }

    /// The next message. An error is kept until the end of its answer.
    async fn next_message(&mut self, max_row_bytes: usize) -> Result<Incoming, SessionError> {
        let incoming = match self.wire.next(max_row_bytes).await {
            Ok(incoming) => incoming,
            Err(error) => {
                self.is_lost = true;
                // PostgreSQL says why it closes a session.
                return Err(match self.fault.take() {
                    Some(SessionError::Refused { message, .. }) => SessionError::Lost(message),
                    _ => error.into(),
                });
            }
        };
        match incoming {
            Incoming::Message(ERROR_RESPONSE_TAG) => self.fault = Some(SessionError::refused(self.wire.body())),
            Incoming::Message(READY_FOR_QUERY_TAG) => {
                self.batch = Batch::default();
                self.unanswered = self.unanswered.saturating_sub(1);
                self.is_in_transaction = self.wire.body() != b"I";
                if self.unanswered == 0 {
                    self.wire.shrink();
                }
            }
            _ => {}
        }
        Ok(incoming)
    }

    /// Takes what a description says into account.
    fn describe(&mut self, prepared: &mut Prepared) -> Result<(), SessionError> {
        match Message::parse(&mut self.wire.take_message())? {
            Some(Message::ParameterDescription(body)) => {
                prepared.parameters = body.parameters().count()?;
            }
            Some(Message::RowDescription(body)) => {
                let columns = body.fields().map(|field| Ok((field.name().to_owned(), field.type_oid())));
                prepared.columns = columns.collect()?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.is_idle() {
            self.wire.terminate();
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("unanswered", &self.unanswered).finish_non_exhaustive()
    }
}
