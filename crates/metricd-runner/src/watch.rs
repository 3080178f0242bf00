//! Reports changes of definitions: triggers in the catalog notify, and a connection listens.

use std::convert::Infallible;
use std::future::poll_fn;
use std::time::Duration;

use metricd_connection::{ConnectError, Connector, LatestTimeline};
use metricd_database::DatabaseUrl;
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client};

/// The channel that the triggers notify. The migrations contain the same name.
const CHANNEL: &str = "metricd_definitions";

/// The time limit for connecting, and the pause before the next attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The interval and the timeout of heartbeats. For up to their sum a change on an unreachable server may go
/// unnoticed.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(2);

/// Why watching has ended.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error(transparent)]
    NotConnected(#[from] ConnectError),
    #[error(transparent)]
    Lost(#[from] tokio_postgres::Error),
    #[error("PostgreSQL does not answer")]
    Silent,
    #[error("a fail-over has replaced the server")]
    Replaced,
}

/// What a watcher is notified of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefinitionEvent {
    /// Every change is reported from now on; earlier ones may have been missed.
    Watching,
    /// Definitions have changed. Several transactions may be reported at once.
    Changed,
    /// Changes may be missed from now on, until the next [`Self::Watching`].
    Lost,
}

/// Watches the definitions for as long as the future is polled, and reports each change shortly after its commit.
/// Reconnects if the connection is lost, or if a fail-over has replaced the server.
pub async fn watch_definitions(
    owner: &DatabaseUrl,
    timeline: &LatestTimeline,
    mut notify: impl FnMut(DefinitionEvent),
) -> Infallible {
    loop {
        if let Err(error) = watch(owner, timeline, &mut notify).await {
            log::debug!("definitions cannot be watched: {error}");
        }
        notify(DefinitionEvent::Lost);
        sleep(RETRY_INTERVAL).await;
    }
}

async fn watch(
    owner: &DatabaseUrl,
    timeline: &LatestTimeline,
    notify: &mut impl FnMut(DefinitionEvent),
) -> Result<(), WatchError> {
    let connector = Connector::new(owner, CONNECT_TIMEOUT)?.named("metricd watch").following(timeline);
    let (client, mut connection, own) = connector.connect_to_primary().await?;
    let listening = async {
        let listen = format!("SET idle_session_timeout = 0; LISTEN {CHANNEL}");
        within_timeout(client.batch_execute(&listen)).await?;
        Ok(())
    };
    let mut listening = std::pin::pin!(listening);
    let mut is_listening = false;
    // A server that hangs or is no longer the primary keeps its connections: only a response shows that it would
    // notify.
    let mut heartbeat = std::pin::pin!(heartbeat(&client));
    let mut replaced = std::pin::pin!(timeline.replaced(own));
    loop {
        tokio::select! {
            listened = &mut listening, if !is_listening => {
                let listened: Result<(), WatchError> = listened;
                listened?;
                is_listening = true;
                notify(DefinitionEvent::Watching);
            }
            error = &mut heartbeat, if is_listening => return Err(error),
            () = &mut replaced => return Err(WatchError::Replaced),
            message = poll_fn(|context| connection.poll_message(context)) => match message {
                Some(Ok(AsyncMessage::Notification(_))) => notify(DefinitionEvent::Changed),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
        }
    }
}

/// Queries the server at intervals and returns when it does not respond.
async fn heartbeat(client: &Client) -> WatchError {
    loop {
        sleep(HEARTBEAT_INTERVAL).await;
        if let Err(error) = within_timeout(client.batch_execute("")).await {
            return error;
        }
    }
}

async fn within_timeout<T>(call: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, WatchError> {
    Ok(timeout(HEARTBEAT_TIMEOUT, call).await.map_err(|_| WatchError::Silent)??)
}
