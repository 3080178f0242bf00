//! Whether PostgreSQL answers, asked on a session of its own: the connections of the pool may all be at work.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metricd_execution::RunError;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::error::is_full;
use super::session::{Session, SessionConfig, SessionError};

/// How long PostgreSQL may take, be it that a session has to be opened. Readiness is to be told within 2 s.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// A session to ask with, opened when it is needed first.
#[derive(Clone)]
pub(super) struct Probe {
    config: Arc<SessionConfig>,
    session: Arc<Mutex<Option<Session>>>,
}

impl fmt::Debug for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Probe").finish_non_exhaustive()
    }
}

impl Probe {
    pub(super) fn new(config: SessionConfig) -> Self {
        Self { config: Arc::new(config), session: Arc::default() }
    }

    /// Says whether PostgreSQL answers.
    pub(super) async fn check(&self) -> Result<(), RunError> {
        match timeout(PROBE_TIMEOUT, self.ask()).await {
            Ok(Ok(())) => Ok(()),
            // It does answer, and says that the role has all its connections.
            Ok(Err(error)) if is_full(&error) => Ok(()),
            Ok(Err(SessionError::Lost(message) | SessionError::Refused { message, .. })) => {
                Err(RunError::Unavailable(message))
            }
            Err(_) => Err(RunError::Unavailable("PostgreSQL took too long to answer".to_owned())),
        }
    }

    async fn ask(&self) -> Result<(), SessionError> {
        let mut held = self.session.lock().await;
        // A session that is given up on the way is not used again.
        if let Some(mut session) = held.take()
            && !session.is_closed()
            && select(&mut session).await.is_ok()
        {
            *held = Some(session);
            return Ok(());
        }
        let mut session = Session::open(&self.config).await?;
        select(&mut session).await?;
        *held = Some(session);
        Ok(())
    }
}

async fn select(session: &mut Session) -> Result<(), SessionError> {
    session.ask("SELECT 1")?;
    session.finish().await
}
