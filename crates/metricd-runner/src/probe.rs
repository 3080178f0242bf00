//! The readiness check. It uses a session of its own, because all connections of the pool may be busy.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metricd_connection::Connector;
use metricd_execution::RunError;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use crate::error::is_full;
use crate::pool::Pool;
use crate::session::{Session, SessionError};

/// The time limit of a check, connecting included. Readiness has to be known within 2 s.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// A session for checks, opened by the first one.
#[derive(Clone)]
pub(crate) struct Probe {
    config: Arc<Connector>,
    session: Arc<Mutex<Option<Session>>>,
}

impl fmt::Debug for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Probe").finish_non_exhaustive()
    }
}

impl Probe {
    pub(crate) fn new(config: Connector) -> Self {
        Self { config: Arc::new(config), session: Arc::default() }
    }

    /// Checks that PostgreSQL responds. If it accepts no further session, an open connection in the pool suffices.
    pub(crate) async fn check(&self, pool: &Pool) -> Result<(), RunError> {
        let answered = timeout(PROBE_TIMEOUT, async {
            let held = self.session.clone().lock_owned().await;
            // The task continues if the check times out: the first of several hosts may hang, and the next check then
            // finds the session that was opened with another host. The lock allows one such task at a time.
            tokio::spawn(select_on(self.config.clone(), held)).await
        });
        match answered.await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) if is_full(&error) && pool.is_open() => Ok(()),
            Ok(Ok(Err(SessionError::Lost(message) | SessionError::Refused { message, .. }))) => {
                Err(RunError::Unavailable(message))
            }
            Ok(Err(error)) => Err(RunError::Unavailable(format!("the check has ended: {error}"))),
            Err(_) => Err(RunError::Unavailable("PostgreSQL took too long to answer".to_owned())),
        }
    }
}

async fn select_on(config: Arc<Connector>, mut held: OwnedMutexGuard<Option<Session>>) -> Result<(), SessionError> {
    // A session that does not respond is not used again.
    if let Some(mut session) = held.take()
        && !session.is_closed()
        && select(&mut session).await.is_ok()
    {
        *held = Some(session);
        return Ok(());
    }
    let mut session = Session::open(&config).await?;
    select(&mut session).await?;
    *held = Some(session);
    Ok(())
}

async fn select(session: &mut Session) -> Result<(), SessionError> {
    session.send_simple("SELECT 1")?;
    let answered = timeout(PROBE_TIMEOUT, session.drain()).await;
    answered.unwrap_or_else(|_| Err(SessionError::Lost("PostgreSQL took too long to answer".to_owned())))
}
