//! A blocking session with PostgreSQL. Every call has a deadline, even if the server hangs.

use std::time::Duration;

use metricd_database::{DatabaseUrl, OWNER_SETTINGS_SQL};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::error::DbError;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, Row, SimpleQueryMessage, Statement};

use crate::first_line;
use crate::session::driver_config_within;

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

/// A session for threads that may block.
#[derive(Debug)]
pub(crate) struct BlockingClient {
    /// Drives the socket during a call. `None` only while this is dropped.
    runtime: Option<Runtime>,
    /// `None` after a call without a response: a late response would be taken for that of the next call.
    client: Option<Client>,
}

impl BlockingClient {
    /// Opens a session of the owner and applies the owner's settings.
    pub(crate) fn connect(url: &DatabaseUrl) -> Result<Self, CallError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| CallError::Lost(format!("no runtime for a connection: {error}")))?;
        let config = driver_config_within(url, CONNECT_TIMEOUT);
        let (mut config, limit) = config.map_err(|error| CallError::Lost(error.to_string()))?;
        config.application_name("metricd resolver");
        let opened: Result<Client, CallError> = runtime.block_on(async {
            let opened = timeout(limit, config.connect(NoTls)).await;
            let (client, connection) = opened.map_err(|_| CallError::TooSlow)??;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    log::debug!("a connection of the catalog has ended: {error}");
                }
            });
            timeout(CALL_TIMEOUT, client.batch_execute(OWNER_SETTINGS_SQL)).await.map_err(|_| CallError::TooSlow)??;
            Ok(client)
        });
        // Kept until here, since dropping it elsewhere might block.
        let mut this = Self { runtime: Some(runtime), client: None };
        this.client = Some(opened?);
        Ok(this)
    }

    /// Runs statements and discards their results.
    pub(crate) fn batch_execute(&mut self, sql: &str) -> Result<(), CallError> {
        self.call(async |client| client.batch_execute(sql).await)
    }

    /// Runs one statement; refuses a text with two.
    pub(crate) fn execute_one(&mut self, sql: &str) -> Result<(), CallError> {
        self.call(async |client| client.query_typed(sql, &[]).await.map(drop))
    }

    /// Describes a statement without running it.
    pub(crate) fn describe(&mut self, sql: &str) -> Result<Statement, CallError> {
        self.call(async |client| client.prepare(sql).await)
    }

    /// The first row of a statement.
    pub(crate) fn query_one(&mut self, sql: &str) -> Result<Row, CallError> {
        let rows = self.call(async |client| client.query_typed(sql, &[]).await)?;
        one(rows)
    }

    /// The first row of a statement with one text parameter.
    pub(crate) fn query_one_with(&mut self, sql: &str, text: &str) -> Result<Row, CallError> {
        let rows = self.call(async |client| client.query_typed(sql, &[(&text, Type::TEXT)]).await)?;
        one(rows)
    }

    /// The first value of the first row, as PostgreSQL prints it.
    pub(crate) fn simple_text(&mut self, sql: &str) -> Result<Option<String>, CallError> {
        let messages = self.call(async |client| client.simple_query(sql).await)?;
        Ok(messages.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }

    fn call<T>(&mut self, call: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>) -> Result<T, CallError> {
        let (Some(runtime), Some(client)) = (&self.runtime, &self.client) else {
            return Err(CallError::TooSlow);
        };
        if let Ok(answer) = runtime.block_on(async { timeout(CALL_TIMEOUT, call(client)).await }) {
            return Ok(answer?);
        }
        self.client = None;
        Err(CallError::TooSlow)
    }
}

impl Drop for BlockingClient {
    fn drop(&mut self) {
        // This may be dropped in a task, where blocking is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn one(rows: Vec<Row>) -> Result<Row, CallError> {
    rows.into_iter().next().ok_or_else(|| CallError::Lost("PostgreSQL returned no row".to_owned()))
}
