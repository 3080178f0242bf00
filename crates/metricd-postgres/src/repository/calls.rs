//! Runs Diesel's blocking calls behind async methods, each with a deadline.
//!
//! A server whose process hangs does not respond, TCP does not detect it, and libpq waits for ever. So the caller
//! waits until the deadline, while the thread may wait longer. There are never more such threads than connections:
//! each holds a permit until its call has ended, and a caller without a permit in time gets
//! [`RepositoryError::NoConnection`].

use std::sync::Arc;
use std::time::Duration;

use diesel::PgConnection;
use diesel::connection::SimpleConnection;
use diesel::r2d2::CustomizeConnection;
use metricd_repository::RepositoryError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{RepositoryConfig, error};
use crate::connection::{SessionManager, ping};
use metricd_database::DatabaseUrl;
use metricd_database::OWNER_SETTINGS_SQL;

/// The interval and the timeout of pings to the server during a long call.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(4);

/// How long the thread of an unanswered ping may last: longer than [`PING_TIMEOUT`], or its end would pass for a
/// response.
const MAX_PING_SECONDS: u32 = 6;

/// After this many unanswered pings in a row the server counts as hanging rather than busy.
const MAX_SILENT_PINGS: u32 = 2;

/// How much longer than a statement a call may take: for its other work, and so that the error comes from the server.
const GRACE: Duration = Duration::from_secs(1);

/// The pool and the threads that use it.
#[derive(Clone)]
pub(super) struct Calls {
    pub(super) pool: r2d2::Pool<SessionManager>,
    threads: Arc<Semaphore>,
    owner: DatabaseUrl,
    config: RepositoryConfig,
}

impl Calls {
    pub(super) fn new(pool: r2d2::Pool<SessionManager>, owner: &DatabaseUrl, config: RepositoryConfig) -> Self {
        let threads = Arc::new(Semaphore::new(config.max_connections as usize));
        Self { pool, threads, owner: owner.clone(), config }
    }

    /// Runs the operation on a connection, within the deadline of calls.
    ///
    /// An operation that was given up may still be carried out, if the server goes on.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut PgConnection) -> Result<T, RepositoryError> + Send + 'static,
    ) -> Result<T, RepositoryError> {
        let work = self.spawn(self.permit().await?, operation);
        let limit = self.config.statement_timeout + GRACE;
        let silent = || RepositoryError::Unavailable(format!("PostgreSQL has not answered for {} s", limit.as_secs()));
        joined(timeout(limit, work).await.map_err(|_| silent())?)
    }

    /// Runs an operation without a deadline, for as long as the server responds to pings.
    pub(super) async fn run_long<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut PgConnection) -> Result<T, RepositoryError> + Send + 'static,
    ) -> Result<T, RepositoryError> {
        let work = self.spawn(self.permit().await?, operation);
        tokio::select! {
            ended = work => joined(ended),
            () = self.silence() => Err(RepositoryError::Unavailable("PostgreSQL has stopped answering".to_owned())),
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, RepositoryError> {
        let permit = timeout(self.config.acquire_timeout, Arc::clone(&self.threads).acquire_owned()).await;
        permit.ok().and_then(Result::ok).ok_or(RepositoryError::NoConnection)
    }

    fn spawn<T: Send + 'static>(
        &self,
        permit: OwnedSemaphorePermit,
        operation: impl FnOnce(&mut PgConnection) -> Result<T, RepositoryError> + Send + 'static,
    ) -> JoinHandle<Result<T, RepositoryError>> {
        let pool = self.pool.clone();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut connection = pool.get().map_err(|cause| error::no_connection(&pool, &cause))?;
            operation(&mut connection)
        })
    }

    /// Returns when the server no longer responds. One that refuses a connection has responded: a call that waits for
    /// it gets the error from its own socket.
    async fn silence(&self) {
        let mut silent_pings = 0;
        while silent_pings < MAX_SILENT_PINGS {
            sleep(PING_INTERVAL).await;
            let owner = self.owner.clone();
            let ping = tokio::task::spawn_blocking(move || ping(&owner, MAX_PING_SECONDS));
            silent_pings = match timeout(PING_TIMEOUT, ping).await {
                Ok(_) => 0,
                Err(_) => silent_pings + 1,
            };
        }
    }
}

fn joined<T>(ended: Result<Result<T, RepositoryError>, tokio::task::JoinError>) -> Result<T, RepositoryError> {
    ended.map_err(|cause| RepositoryError::Failed(format!("the operation panicked: {cause}")))?
}

/// Applies the settings and the time limits of calls to each session.
#[derive(Debug)]
pub(super) struct SessionSettings(pub(super) RepositoryConfig);

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for SessionSettings {
    fn on_acquire(&self, connection: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        let RepositoryConfig { statement_timeout, lock_timeout, .. } = self.0;
        let limits = format!(
            "SET statement_timeout = {}; SET lock_timeout = {}",
            statement_timeout.as_millis(),
            lock_timeout.as_millis()
        );
        let settled = connection.batch_execute(OWNER_SETTINGS_SQL).and_then(|()| connection.batch_execute(&limits));
        settled.map_err(diesel::r2d2::Error::QueryError)
    }
}
