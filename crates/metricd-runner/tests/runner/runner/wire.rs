//! What goes over the wire between a runner and its database.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use metricd_database::DatabaseUrl;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_postgres::Client;

/// The beginning of a cancel request.
const CANCEL_REQUEST: [u8; 8] = [0, 0, 0, 16, 4, 210, 22, 46];

/// Stands between a runner and its database, and counts what goes over the wire.
#[derive(Clone, Default)]
pub(super) struct Wire {
    /// `>` for bytes to the database, `<` for bytes from it.
    seen: Arc<Mutex<String>>,
    pub(super) opened: Arc<AtomicUsize>,
    /// Closes the connections that are open.
    pub(super) cut: Arc<Notify>,
    /// How long the next cancel request is on its way.
    pub(super) cancel_latency: Arc<Mutex<Duration>>,
}

impl Wire {
    pub(super) async fn listen(database: &Client) -> Result<(Self, DatabaseUrl)> {
        let (wire, url) = Self::listen_at(database).await?;
        Ok((wire, DatabaseUrl::parse(url)?))
    }

    /// The same, with the URL as text.
    pub(super) async fn listen_at(database: &Client) -> Result<(Self, String)> {
        let port: u16 = database.query_one("SHOW port", &[]).await?.get::<_, String>(0).parse()?;
        let name: String = database.query_one("SELECT current_database()::text", &[]).await?.get(0);
        let role = format!("wired_{name}");
        database.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'wired'")).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("postgres://{role}:wired@127.0.0.1:{}/{name}", listener.local_addr()?.port());
        let wire = Self::default();
        let accepting = wire.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().pass(near, port));
            }
        });
        Ok((wire, url))
    }

    async fn pass(self, mut near: TcpStream, port: u16) -> Result<()> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        let mut far = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut beginning = [0; CANCEL_REQUEST.len()];
        if near.peek(&mut beginning).await? == beginning.len() && beginning == CANCEL_REQUEST {
            let latency = std::mem::take(&mut *self.cancel_latency.lock().unwrap_or_else(PoisonError::into_inner));
            tokio::time::sleep(latency).await;
        }
        let (mut sent, mut answered) = ([0; 8_192], [0; 8_192]);
        loop {
            let (bytes, mark, to) = tokio::select! {
                count = near.read(&mut sent) => (&sent[..count?], '>', &mut far),
                count = far.read(&mut answered) => (&answered[..count?], '<', &mut near),
                () = self.cut.notified() => return Ok(()),
            };
            if bytes.is_empty() {
                return Ok(());
            }
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(mark);
            to.write_all(bytes).await?;
        }
    }

    /// How often the runner has waited for an answer since this was last asked.
    pub(super) fn round_trips(&self) -> usize {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        seen.replace(">>", ">").matches("><").count()
    }
}
