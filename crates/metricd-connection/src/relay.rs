//! Gives libpq, which is built without TLS, sessions with TLS: a relay in this process logs in, libpq connects to a local
//! socket of this process, and the relay copies bytes between the two.

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::LazyLock;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use metricd_database::DatabaseUrl;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use uuid::Uuid;

use crate::connector::{Connector, LoggedIn};
use crate::error::ConnectError;
use crate::timeline::LatestTimeline;

/// The time limit for connecting to a server and logging in, if the URL sets none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the relay waits for libpq, which connects at once.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest startup message. PostgreSQL's limit is 10 000 bytes.
const MAX_STARTUP_BYTES: usize = 10_000;

/// The size of the buffer of each direction.
const BUFFER_BYTES: usize = 64 << 10;

/// The port in the name of the socket, which libpq appends.
const PORT: u16 = 5_432;

/// What libpq is told about a relay besides its address: nothing of it is sent to the server. Variables of libpq in the
/// environment, such as `PGSSLROOTCERT`, do not concern the local socket.
const LOCAL_PARAMETERS: &str = "user=metricd dbname=metricd password=none sslmode=disable sslnegotiation=postgres sslrootcert='' \
                    gssencmode=disable channel_binding=disable require_auth=none target_session_attrs=any";

/// Drives all relays, on a thread of its own: callers block.
static RUNTIME: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).thread_name("metricd-relay").enable_all().build());

/// The URL by which libpq gets a session of this one: itself if it needs no TLS, otherwise the address of a relay, which
/// has logged in already. Blocks, and may be called on any thread. `connect_timeout` replaces that of the URL, in seconds.
/// Only a primary of the latest timeline is accepted, and the session ends when a fail-over replaces it.
///
/// libpq connects itself if there is one host and no TLS. Of several hosts, one that hangs would delay it for long.
///
/// A relay serves one connection, and ends with it.
///
/// # Errors
///
/// [`ConnectError`] if a relay is needed and cannot log in.
pub fn libpq_url(
    url: &DatabaseUrl,
    connect_timeout: Option<u32>,
    timeline: &LatestTimeline,
) -> Result<SecretString, ConnectError> {
    let mut connector = Connector::new(url, CONNECT_TIMEOUT)?.named_by_default("metricd catalog").following(timeline);
    if let Some(seconds) = connect_timeout {
        connector = connector.within(Duration::from_secs(seconds.into()));
    }
    let may_be_plain = connector.has_one_server() && !timeline.is_known();
    if may_be_plain && connector.is_without_tls() {
        return Ok(plain(url, connect_timeout));
    }
    let timeline = timeline.clone();
    let runtime = RUNTIME.as_ref().map_err(|error| ConnectError::failed(format!("no thread for a relay: {error}")))?;
    let (sender, receiver) = sync_channel(1);
    runtime.spawn(async move {
        // The receiver waits for it.
        drop(sender.send(relay(connector, may_be_plain, timeline).await));
    });
    let relayed = receiver.recv().unwrap_or_else(|_| Err(ConnectError::failed("the relay has ended")))?;
    Ok(relayed.unwrap_or_else(|| plain(url, connect_timeout)))
}

fn plain(url: &DatabaseUrl, connect_timeout: Option<u32>) -> SecretString {
    connect_timeout.map_or_else(|| url.libpq_url(), |seconds| url.libpq_url_with_timeout(seconds))
}

/// Logs in and waits for libpq in a task. `None` if libpq can connect itself.
async fn relay(
    connector: Connector,
    may_be_plain: bool,
    timeline: LatestTimeline,
) -> Result<Option<SecretString>, ConnectError> {
    if may_be_plain && !connector.exceeds_libpq().await {
        return Ok(None);
    }
    let session = connector.log_in().await?;
    let no_socket = |error| ConnectError::failed(format!("no socket for a relay: {error}"));
    let local = LocalSocket::bind().map_err(no_socket)?;
    let url = format!("host='{}' port={PORT} {LOCAL_PARAMETERS}", local.host);
    tokio::spawn(async move {
        let own = session.timeline;
        tokio::select! {
            // The server may hang, or still accept changes that would be lost.
            () = timeline.replaced(own) => log::info!("a session ends, because a fail-over has replaced its server"),
            ended = serve(local, session) => {
                if let Err(error) = ended {
                    log::debug!("a relay has ended: {error}");
                }
            }
        }
    });
    Ok(Some(url.into()))
}

/// Waits for libpq, tells it that it is logged in, and copies bytes until one of both ends.
async fn serve(local: LocalSocket, session: LoggedIn) -> io::Result<()> {
    let LoggedIn { socket: mut far, greeting, .. } = session;
    let accepted = timeout(ACCEPT_TIMEOUT, local.accept()).await;
    let mut near = accepted.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "libpq does not connect"))??;
    drop(local);
    let size_bytes = usize::try_from(near.read_u32().await?).unwrap_or_default();
    let size_bytes = size_bytes.saturating_sub(size_of::<u32>()).min(MAX_STARTUP_BYTES);
    near.read_exact(&mut vec![0; size_bytes]).await?;
    near.write_all(&greeting).await?;
    copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER_BYTES, BUFFER_BYTES).await?;
    Ok(())
}

/// A socket on which libpq is awaited.
struct LocalSocket {
    listener: UnixListener,
    /// What libpq has as its host.
    host: String,
}

impl LocalSocket {
    /// On Linux, a socket with a name instead of a file, which ends with its process. Nobody can guess the name.
    #[cfg(target_os = "linux")]
    fn bind() -> io::Result<Self> {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("metricd-{}", Uuid::new_v4());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(format!("{name}/.s.PGSQL.{PORT}"))?;
        let listener = StdListener::bind_addr(&address)?;
        Ok(Self { listener: listen(listener)?, host: format!("@{name}") })
    }

    /// Elsewhere, a file in a folder that only this user can enter. It is removed once libpq has connected.
    #[cfg(not(target_os = "linux"))]
    fn bind() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let folder = format!("/tmp/metricd-{}", Uuid::new_v4());
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let bound = StdListener::bind(format!("{folder}/.s.PGSQL.{PORT}")).and_then(listen);
        match bound {
            Ok(listener) => Ok(Self { listener, host: folder }),
            Err(error) => {
                drop(std::fs::remove_dir_all(folder));
                Err(error)
            }
        }
    }

    /// The connection of libpq. Other processes are turned away.
    async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let peer = stream.peer_cred()?.pid();
            if peer.and_then(|peer| u32::try_from(peer).ok()) == Some(std::process::id()) {
                return Ok(stream);
            }
            log::warn!("another process has connected to a socket of metricd's own, and was turned away");
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Drop for LocalSocket {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.host));
    }
}

fn listen(listener: StdListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream as StdStream};
    use std::process::Stdio;

    use tokio::process::Command;

    use super::*;

    #[tokio::test]
    async fn only_this_process_is_served() {
        let local = LocalSocket::bind().unwrap();
        // libpq in another process, if it is installed.
        let info = format!("host='{}' port={PORT} user=x dbname=x sslmode=disable", local.host);
        let psql = Command::new("psql").args(["-X", &info]).stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        if let Ok(mut psql) = psql {
            tokio::select! {
                _ = local.accept() => panic!("another process was accepted"),
                status = psql.wait() => assert!(!status.unwrap().success()),
            }
        }
        let name = format!("{}/.s.PGSQL.{PORT}", local.host.trim_start_matches('@'));
        let own = StdStream::connect_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
        let accepted = timeout(ACCEPT_TIMEOUT, local.accept()).await.unwrap();
        assert!(accepted.is_ok());
        drop(own);
    }
}
