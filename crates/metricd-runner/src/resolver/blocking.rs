//! A session with PostgreSQL for a thread that may block. Every call has a deadline, also while the server hangs.

use std::time::Duration;

use metricd_database::{DatabaseUrl, OWNER_SETTINGS_SQL};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::error::DbError;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, Row, SimpleQueryMessage, Statement};

use crate::first_line;
use crate::session::driver_config_within;

/// How long connecting to a host may take, logging in included, if the URL does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long one call may take. Longer than what the server itself allows a statement of whoever calls, so that the server
/// says what was wrong.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// PostgreSQL refuses it.
    #[error("{}", .0.message())]
    Refused(Box<DbError>),
    /// The session is lost.
    #[error("{0}")]
    Lost(String),
    /// PostgreSQL does not answer. The session is lost.
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

/// A session that is used from threads that may block, and from no others.
#[derive(Debug)]
pub(crate) struct BlockingClient {
    /// Drives the session's socket while a call waits. Absent only while this is dropped.
    runtime: Option<Runtime>,
    /// Absent once a call was not answered: what comes later would be taken for the answer to the next one.
    client: Option<Client>,
}

impl BlockingClient {
    /// Opens a session of the owner, with its settings settled.
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
        // Kept until here, since what drops it may not block.
        let mut this = Self { runtime: Some(runtime), client: None };
        this.client = Some(opened?);
        Ok(this)
    }

    /// Runs any number of statements, whose results nobody wants.
    pub(crate) fn batch_execute(&mut self, sql: &str) -> Result<(), CallError> {
        self.call(async |client| client.batch_execute(sql).await)
    }

    /// Runs one statement: a text with two of them is refused.
    pub(crate) fn execute_one(&mut self, sql: &str) -> Result<(), CallError> {
        self.call(async |client| client.query_typed(sql, &[]).await.map(drop))
    }

    /// What PostgreSQL says of a statement, without running it.
    pub(crate) fn describe(&mut self, sql: &str) -> Result<Statement, CallError> {
        self.call(async |client| client.prepare(sql).await)
    }

    /// The row that a statement answers with.
    pub(crate) fn query_one(&mut self, sql: &str) -> Result<Row, CallError> {
        let rows = self.call(async |client| client.query_typed(sql, &[]).await)?;
        one(rows)
    }

    /// The row that a statement with one parameter, a text, answers with.
    pub(crate) fn query_one_with(&mut self, sql: &str, text: &str) -> Result<Row, CallError> {
        let rows = self.call(async |client| client.query_typed(sql, &[(&text, Type::TEXT)]).await)?;
        one(rows)
    }

    /// The first value of the first row, as PostgreSQL prints it.
    pub(crate) fn simple_text(&mut self, sql: &str) -> Result<Option<String>, CallError> {
        let answers = self.call(async |client| client.simple_query(sql).await)?;
        Ok(answers.into_iter().find_map(|answer| match answer {
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
        // The owner may be dropped in a task, where waiting is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn one(rows: Vec<Row>) -> Result<Row, CallError> {
    rows.into_iter().next().ok_or_else(|| CallError::Lost("PostgreSQL answers with no row".to_owned()))
}
