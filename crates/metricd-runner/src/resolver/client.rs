//! A session of the resolver with PostgreSQL. Every call has a deadline, even if the server hangs.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use metricd_connection::{ConnectError, Connector, Driver, LatestTimeline, ServerTimeline};
use metricd_database::{DatabaseUrl, OWNER_SETTINGS_SQL};
use tokio::time::timeout;
use tokio_postgres::error::DbError;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Error, Row, SimpleQueryMessage, Statement};

use crate::first_line;

/// The time limit for connecting to a host and logging in, if the URL sets none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The time limit of a call. Longer than the callers' statement timeouts, so that the error comes from the server.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// PostgreSQL reports an error.
    #[error("{}", .0.message())]
    Refused(Box<DbError>),
    /// The session is lost.
    #[error("{0}")]
    Lost(String),
    /// PostgreSQL does not respond. The session is lost.
    #[error("PostgreSQL does not answer")]
    TooSlow,
}

impl From<tokio_postgres::Error> for CallError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refusal) => Self::Refused(Box::new(refusal.clone())),
            None => Self::Lost(first_line(&error.to_string())),
        }
    }
}

impl From<ConnectError> for CallError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Refused(refusal) => Self::Refused(refusal),
            error => Self::Lost(error.to_string()),
        }
    }
}

/// A session. Dropping it closes its socket, also during a call.
pub(crate) struct ResolverClient {
    client: Client,
    socket: DrivenSocket,
    /// The timeline of the server.
    pub(crate) timeline: ServerTimeline,
    /// The details of the messages that PostgreSQL has sent besides its responses, while a call wants them.
    details: Option<Vec<String>>,
}

/// The socket of a session. The calls drive it, so that it needs no task of its own.
enum DrivenSocket {
    Open(Box<Driver>),
    /// PostgreSQL has closed it.
    Closed,
    /// A call had no response. A late one would be taken for that of the next call.
    Abandoned,
}

/// Reads and writes until the end of the session. Keeps the details of messages, if they are wanted.
fn drive(driver: &mut Driver, details: &mut Option<Vec<String>>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
    loop {
        match driver.poll_message(context) {
            Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => {
                if let Some(details) = details {
                    details.extend(notice.detail().map(str::to_owned));
                }
            }
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
            Poll::Ready(None) => return Poll::Ready(Ok(())),
            Poll::Pending => return Poll::Pending,
        }
    }
}

impl DrivenSocket {
    /// Makes the call, within its deadline.
    async fn call<T>(
        &mut self,
        details: &mut Option<Vec<String>>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, CallError> {
        let closed = || CallError::Lost("the connection was closed".to_owned());
        let connection = match self {
            Self::Open(connection) => connection,
            Self::Closed => return Err(closed()),
            Self::Abandoned => return Err(CallError::TooSlow),
        };
        let mut call = pin!(call);
        let mut is_closed = false;
        let driven = poll_fn(|context| {
            let ended = drive(connection, details, context);
            is_closed = ended.is_ready();
            match (call.as_mut().poll(context), ended) {
                // A response that arrived before the end counts.
                (Poll::Ready(answer), _) => Poll::Ready(answer.map_err(CallError::from)),
                (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error.into())),
                (Poll::Pending, Poll::Ready(Ok(()))) => Poll::Ready(Err(closed())),
                (Poll::Pending, Poll::Pending) => Poll::Pending,
            }
        });
        let answer = timeout(CALL_TIMEOUT, driven).await;
        if is_closed {
            *self = Self::Closed;
        }
        answer.unwrap_or_else(|_| {
            *self = Self::Abandoned;
            Err(CallError::TooSlow)
        })
    }
}

impl ResolverClient {
    /// Opens a session of the owner and applies the owner's settings.
    pub(crate) async fn connect(owner: &DatabaseUrl, timeline: &LatestTimeline) -> Result<Self, CallError> {
        let mut this = Self::open(owner, "", timeline).await?;
        this.batch_execute(OWNER_SETTINGS_SQL).await?;
        Ok(this)
    }

    /// Opens a session with these options.
    pub(crate) async fn open(url: &DatabaseUrl, options: &str, timeline: &LatestTimeline) -> Result<Self, CallError> {
        let connector = Connector::new(url, CONNECT_TIMEOUT)?.named("metricd resolver").with_options(options);
        let connector = connector.following(timeline);
        let (client, connection, timeline) = connector.connect_to_primary().await?;
        Ok(Self { client, socket: DrivenSocket::Open(Box::new(connection)), timeline, details: None })
    }

    /// Runs statements and discards their results.
    pub(crate) async fn batch_execute(&mut self, sql: &str) -> Result<(), CallError> {
        self.socket.call(&mut self.details, self.client.batch_execute(sql)).await
    }

    /// Runs one statement; refuses a text with two.
    pub(crate) async fn execute_one(&mut self, sql: &str) -> Result<(), CallError> {
        self.socket.call(&mut self.details, self.client.query_typed(sql, &[])).await.map(drop)
    }

    /// Prepares a statement: describes it without running it.
    pub(crate) async fn prepare(&mut self, sql: &str) -> Result<Statement, CallError> {
        self.socket.call(&mut self.details, self.client.prepare(sql)).await
    }

    /// Prepares a statement. Returns the details of the messages that PostgreSQL sends meanwhile.
    pub(crate) async fn details_of_preparing(&mut self, sql: &str) -> Result<Vec<String>, CallError> {
        self.details = Some(Vec::new());
        let prepared = self.prepare(sql).await;
        let details = self.details.take().unwrap_or_default();
        prepared.map(|_| details)
    }

    /// The first row of a prepared statement.
    pub(crate) async fn query_prepared(
        &mut self,
        statement: &Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, CallError> {
        one(self.socket.call(&mut self.details, self.client.query(statement, parameters)).await?)
    }

    /// The first row of a statement.
    pub(crate) async fn query_one(&mut self, sql: &str) -> Result<Row, CallError> {
        one(self.socket.call(&mut self.details, self.client.query_typed(sql, &[])).await?)
    }

    /// The first row of a statement with one text parameter.
    pub(crate) async fn query_one_with(&mut self, sql: &str, text: &str) -> Result<Row, CallError> {
        one(self.socket.call(&mut self.details, self.client.query_typed(sql, &[(&text, Type::TEXT)])).await?)
    }

    /// The first value of the first row, as PostgreSQL prints it.
    pub(crate) async fn simple_text(&mut self, sql: &str) -> Result<Option<String>, CallError> {
        let messages = self.socket.call(&mut self.details, self.client.simple_query(sql)).await?;
        Ok(messages.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }
}

fn one(rows: Vec<Row>) -> Result<Row, CallError> {
    rows.into_iter().next().ok_or_else(|| CallError::Lost("PostgreSQL returned no row".to_owned()))
}
