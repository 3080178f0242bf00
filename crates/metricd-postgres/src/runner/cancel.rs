//! Stopping a statement in the database.

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_postgres::config::{Config, Host};
use tokio_postgres::{CancelToken, NoTls};

/// How long stopping a statement may take.
pub(super) const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Stops the statement that runs on the connection of the token. Once this is through, PostgreSQL has told the connection's
/// process, so that a statement which is sent later is not meant.
pub(super) async fn cancel(token: &CancelToken, config: &Config) -> io::Result<()> {
    timeout(CANCEL_TIMEOUT, send(token, config)).await.map_err(io::Error::from)?
}

async fn send(token: &CancelToken, config: &Config) -> io::Result<()> {
    let port = config.get_ports().first().copied().unwrap_or(5_432);
    match config.get_hosts().first() {
        Some(Host::Unix(folder)) => {
            let mut stream = UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await?;
            token.cancel_query_raw(&mut stream, NoTls).await.map_err(io::Error::other)?;
            wait_until_closed(stream).await
        }
        host => {
            let host = match host {
                Some(Host::Tcp(host)) => host.as_str(),
                _ => "localhost",
            };
            let mut stream = TcpStream::connect((host, port)).await?;
            token.cancel_query_raw(&mut stream, NoTls).await.map_err(io::Error::other)?;
            wait_until_closed(stream).await
        }
    }
}

/// PostgreSQL closes the connection of a cancel request when it has passed the request on. The driver does not wait for it.
async fn wait_until_closed(mut stream: impl AsyncReadExt + Unpin) -> io::Result<()> {
    stream.read_to_end(&mut Vec::new()).await.map(|_| ())
}
