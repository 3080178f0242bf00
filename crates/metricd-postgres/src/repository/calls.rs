//! Diesel's blocking calls behind async methods, each with a deadline.
//!
//! A server whose process hangs answers nothing, and TCP does not notice: libpq then waits for ever. So the caller waits no
//! longer than the deadline, while the thread may. Of such threads there are never more than connections: each holds a
//! permit until its call has ended, and who finds no permit in time gets [`RepositoryError::NoConnection`].

use std::sync::Arc;
use std::time::Duration;

use diesel::PgConnection;
use diesel::connection::SimpleConnection;
use diesel::r2d2::{ConnectionManager, CustomizeConnection};
use metricd_repository::RepositoryError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{RepositoryConfig, error};
use crate::connection::ping;
use metricd_database::DatabaseUrl;
use metricd_database::OWNER_SETTINGS_SQL;

/// How often it is looked whether the server answers, while a call runs that may take long, and how long that may take.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(4);

/// How long the thread of a ping may last that is not answered: longer than [`PING_TIMEOUT`], or giving up would pass for an
/// answer.
const MAX_PING_SECONDS: u32 = 6;

/// How many pings in a row are not answered by a server that hangs, rather than by one that is busy.
const MAX_SILENT_PINGS: u32 = 2;

/// How much longer than a statement a call may take: for what it does besides, and so that the server says what was wrong.
const GRACE: Duration = Duration::from_secs(1);

/// The pool, and the threads that use it.
#[derive(Clone)]
pub(super) struct Calls {
    pub(super) pool: r2d2::Pool<ConnectionManager<PgConnection>>,
    threads: Arc<Semaphore>,
    owner: DatabaseUrl,
    config: RepositoryConfig,
}

impl Calls {
    pub(super) fn new(
        pool: r2d2::Pool<ConnectionManager<PgConnection>>,
        owner: &DatabaseUrl,
        config: RepositoryConfig,
    ) -> Self {
        let threads = Arc::new(Semaphore::new(config.max_connections as usize));
        Self { pool, threads, owner: owner.clone(), config }
    }

    /// Runs the operation on a connection; it has to be through by the deadline of all calls.
    ///
    /// What has been given up may be done all the same, if the server goes on.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut PgConnection) -> Result<T, RepositoryError> + Send + 'static,
    ) -> Result<T, RepositoryError> {
        let work = self.spawn(self.permit().await?, operation);
        let limit = self.config.statement_timeout + GRACE;
        let silent = || RepositoryError::Unavailable(format!("PostgreSQL has not answered for {} s", limit.as_secs()));
        joined(timeout(limit, work).await.map_err(|_| silent())?)
    }

    /// Runs an operation that takes what it needs, for as long as the server answers others.
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

    /// Returns when the server no longer answers. One that refuses a connection has answered: whoever else waits for it
    /// is told by the socket.
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

/// Settles each session, and gives it the time limits of calls.
#[derive(Debug)]
pub(super) struct Settled(pub(super) RepositoryConfig);

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Settled {
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
