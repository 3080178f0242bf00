//! Telling of definitions that change, whoever changes them: the catalog's triggers notify, and a connection listens.

use std::convert::Infallible;
use std::future::poll_fn;
use std::time::Duration;

use metricd_database::DatabaseUrl;
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::session::driver_config_within;

/// What the triggers notify. The name stands in the migrations.
const CHANNEL: &str = "metricd_definitions";

/// How long connecting may take, and how long is waited before it is tried again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How often the server has to show that it answers, and within what time. Their sum is for how long definitions may be taken
/// for unchanged that have changed on a server which this one no longer hears of.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the definitions are no longer watched.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error(transparent)]
    Lost(#[from] tokio_postgres::Error),
    #[error("PostgreSQL does not answer")]
    Silent,
}

/// What somebody who watches definitions is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefinitionEvent {
    /// Every change is told of from now on; there may have been some before.
    Watching,
    /// Definitions have changed. Transactions that were through at once may be told of once.
    Changed,
    /// Changes may be missed from now on, until the next [`Self::Watching`].
    Lost,
}

/// Watches the definitions for as long as it is polled, and tells of changes within moments of their transaction. A
/// connection that is lost is made again.
pub async fn watch_definitions(owner: &DatabaseUrl, mut tell: impl FnMut(DefinitionEvent)) -> Infallible {
    loop {
        if let Err(error) = watch(owner, &mut tell).await {
            log::debug!("definitions cannot be watched: {error}");
        }
        tell(DefinitionEvent::Lost);
        sleep(RETRY_INTERVAL).await;
    }
}

async fn watch(owner: &DatabaseUrl, tell: &mut impl FnMut(DefinitionEvent)) -> Result<(), WatchError> {
    let (mut session, limit) = driver_config_within(owner, CONNECT_TIMEOUT)?;
    session.application_name("metricd watch");
    let connected = timeout(limit, session.connect(NoTls)).await;
    let (client, mut connection) = connected.map_err(|_| WatchError::Silent)??;
    let listening = async {
        let listen = format!("SET idle_session_timeout = 0; LISTEN {CHANNEL}");
        answered(client.batch_execute(&listen)).await?;
        Ok(())
    };
    let mut listening = std::pin::pin!(listening);
    let mut is_listening = false;
    // A server that hangs, and is no longer the primary, keeps its connections: only an answer shows that it would notify.
    let mut heartbeat = std::pin::pin!(heartbeat(&client));
    loop {
        tokio::select! {
            listened = &mut listening, if !is_listening => {
                let listened: Result<(), WatchError> = listened;
                listened?;
                is_listening = true;
                tell(DefinitionEvent::Watching);
            }
            error = &mut heartbeat, if is_listening => return Err(error),
            message = poll_fn(|context| connection.poll_message(context)) => match message {
                Some(Ok(AsyncMessage::Notification(_))) => tell(DefinitionEvent::Changed),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
        }
    }
}

/// Asks the server for an answer again and again, and returns when there is none.
async fn heartbeat(client: &Client) -> WatchError {
    loop {
        sleep(HEARTBEAT_INTERVAL).await;
        if let Err(error) = answered(client.batch_execute("")).await {
            return error;
        }
    }
}

async fn answered<T>(call: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, WatchError> {
    Ok(timeout(HEARTBEAT_TIMEOUT, call).await.map_err(|_| WatchError::Silent)??)
}
