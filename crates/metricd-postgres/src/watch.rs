//! Telling of definitions that change, whoever changes them: the catalog's triggers notify, and a connection listens.

use std::convert::Infallible;
use std::future::poll_fn;
use std::time::Duration;

use tokio_postgres::{AsyncMessage, NoTls};

use crate::DatabaseUrl;

/// What the triggers notify. The name stands in the migrations.
const CHANNEL: &str = "metricd_definitions";

/// How long connecting may take, and how long is waited before it is tried again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

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
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

async fn watch(owner: &DatabaseUrl, tell: &mut impl FnMut(DefinitionEvent)) -> Result<(), tokio_postgres::Error> {
    let mut session = owner.config().clone();
    session.application_name("metricd watch").connect_timeout(CONNECT_TIMEOUT).keepalives_idle(Duration::from_secs(15));
    let (client, mut connection) = session.connect(NoTls).await?;
    let listen = format!("LISTEN {CHANNEL}");
    let mut listening = std::pin::pin!(client.batch_execute(&listen));
    let mut is_listening = false;
    loop {
        tokio::select! {
            listened = &mut listening, if !is_listening => {
                listened?;
                is_listening = true;
                tell(DefinitionEvent::Watching);
            }
            message = poll_fn(|context| connection.poll_message(context)) => match message {
                Some(Ok(AsyncMessage::Notification(_))) => tell(DefinitionEvent::Changed),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
        }
    }
}
