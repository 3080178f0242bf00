//! Opens sockets, with or without TLS.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use metricd_database::{TlsMode, TlsSettings};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::Config;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::endpoint::Endpoint;
use crate::error::{ConnectError, tls_sentence};
use crate::tls::{ALPN, end_point_hash, server_name, tls_config};

/// The request for TLS: its length, and a code in the place of the protocol's version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// A byte stream to PostgreSQL.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// An open socket, on which nobody has logged in yet.
pub(crate) struct OpenSocket {
    pub(crate) socket: Box<dyn Socket>,
    pub(crate) peer: Peer,
    pub(crate) security: Option<TlsTarget>,
    /// The hash of the server's certificate, to which the login is bound.
    pub(crate) end_point_hash: Option<Vec<u8>>,
    /// Whether the password may be sent as it is.
    pub(crate) may_send_password: bool,
}

/// The server of a session: one of those that a host name may resolve to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Peer {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// The TLS of a connection to a server.
#[derive(Debug, Clone)]
pub(crate) struct TlsTarget {
    settings: Arc<TlsSettings>,
    mode: TlsMode,
    /// The host of the URL. `None` if the URL has only an address.
    host: Option<String>,
    /// The server's name in messages.
    endpoint: String,
}

/// What a server answers to the request for TLS.
enum Negotiated {
    Tls(Box<TlsStream<TcpStream>>),
    /// The server has no TLS. The login may go on without.
    None(TcpStream),
}

impl TlsTarget {
    pub(crate) fn new(settings: &Arc<TlsSettings>, mode: TlsMode, endpoint: &Endpoint) -> Self {
        let host = match endpoint {
            Endpoint::Tcp { host, .. } => host.clone(),
            Endpoint::Unix(_) => None,
        };
        Self { settings: Arc::clone(settings), mode, host, endpoint: endpoint.to_string() }
    }

    async fn negotiate(&self, mut stream: TcpStream) -> Result<Negotiated, ConnectError> {
        if !self.settings.is_direct && !self.request(&mut stream).await? {
            return Ok(Negotiated::None(stream));
        }
        let config = tls_config(&self.settings, self.mode, self.host.as_deref()).await?;
        let connector = TlsConnector::from(config);
        let connected = connector.connect(server_name(self.host.as_deref()), stream).await;
        let stream = connected.map_err(|error| self.handshake_error(&error))?;
        if self.settings.is_direct && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(self.error(DIRECT));
        }
        Ok(Negotiated::Tls(Box::new(stream)))
    }

    /// Asks whether the server has TLS. Exactly one byte is read: what a man in the middle has sent behind it fails the
    /// handshake.
    async fn request(&self, stream: &mut TcpStream) -> Result<bool, ConnectError> {
        let lost = |error| self.error(&format!("the server does not answer the request for TLS: {error}"));
        stream.write_all(&SSL_REQUEST).await.map_err(lost)?;
        match stream.read_u8().await.map_err(lost)? {
            b'S' => Ok(true),
            b'N' => Ok(false),
            b'E' => Err(self.error("the server has refused the request for TLS: its log says why")),
            _ => Err(self.error("the server does not know the request for TLS: is it PostgreSQL?")),
        }
    }

    fn handshake_error(&self, error: &io::Error) -> ConnectError {
        match tls_sentence(error) {
            Some(sentence) => self.error(&sentence),
            None if self.settings.is_direct => self.error(DIRECT),
            None => self.error(&format!("the TLS handshake has failed: {error}")),
        }
    }

    fn error(&self, sentence: &str) -> ConnectError {
        ConnectError::failed(format!("{}: {sentence}", self.endpoint))
    }
}

const DIRECT: &str = "the server takes no direct TLS handshake: leave `sslnegotiation=direct` out, or use PostgreSQL 17 or later without a pooler";

/// Whether the server answers that it has TLS.
pub(crate) async fn offers_tls(endpoint: &Endpoint, settings: &Arc<TlsSettings>) -> Result<bool, ConnectError> {
    let Endpoint::Tcp { address, port, .. } = endpoint else { return Ok(false) };
    let reached = TcpStream::connect((address.as_str(), *port)).await;
    let mut stream = reached.map_err(|error| unreachable(endpoint, &error))?;
    TlsTarget::new(settings, TlsMode::Prefer, endpoint).request(&mut stream).await
}

impl OpenSocket {
    /// Connects to the server, with TLS if there is a target for it. A server without TLS is accepted if the mode of
    /// the target allows it.
    pub(crate) async fn connect(
        endpoint: &Endpoint,
        config: &Config,
        tls: Option<TlsTarget>,
        may_send_password: bool,
    ) -> Result<Self, ConnectError> {
        let unreachable = |error: io::Error| unreachable(endpoint, &error);
        let (address, port) = match endpoint {
            Endpoint::Unix(path) => {
                let socket = UnixStream::connect(path).await.map_err(unreachable)?;
                return Ok(Self::plain(socket, Peer::Unix(path.clone()), true));
            }
            Endpoint::Tcp { address, port, .. } => (address.as_str(), *port),
        };
        let stream = TcpStream::connect((address, port)).await.map_err(unreachable)?;
        let peer = keep_alive(&stream, config).and_then(|()| stream.peer_addr()).map(Peer::Tcp).map_err(unreachable)?;
        let Some(target) = tls else { return Ok(Self::plain(stream, peer, may_send_password)) };
        match target.negotiate(stream).await? {
            Negotiated::Tls(stream) => {
                let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let end_point_hash = certificate.and_then(|certificate| end_point_hash(certificate));
                Ok(Self { socket: stream, peer, security: Some(target), end_point_hash, may_send_password: true })
            }
            Negotiated::None(_) if target.mode.requires_tls() => Err(target.error(&format!(
                "the server has no TLS, and `sslmode={}` requires it: set `ssl = on` in the server's configuration, or write `sslmode=disable` if you trust the network",
                target.mode
            ))),
            Negotiated::None(stream) => Ok(Self::plain(stream, peer, may_send_password)),
        }
    }

    fn plain(socket: impl Socket + 'static, peer: Peer, may_send_password: bool) -> Self {
        Self { socket: Box::new(socket), peer, security: None, end_point_hash: None, may_send_password }
    }
}

/// Connects to the server of a session once more, with the same kind of connection.
pub(crate) async fn connect_again(peer: &Peer, tls: Option<&TlsTarget>) -> io::Result<Box<dyn Socket>> {
    let stream = match peer {
        Peer::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
        Peer::Tcp(address) => TcpStream::connect(address).await?,
    };
    let Some(target) = tls else { return Ok(Box::new(stream)) };
    match target.negotiate(stream).await.map_err(io::Error::other)? {
        Negotiated::Tls(stream) => Ok(stream),
        Negotiated::None(_) => Err(io::Error::other("the server has no TLS any more")),
    }
}

fn unreachable(endpoint: &Endpoint, error: &io::Error) -> ConnectError {
    let advice = match error.kind() {
        io::ErrorKind::ConnectionRefused => ": check the host and the port, and that PostgreSQL runs and listens there",
        io::ErrorKind::NotFound => ": check the folder of the socket, and that PostgreSQL runs",
        _ => "",
    };
    ConnectError::Unreachable(format!("{endpoint} cannot be reached: {error}{advice}"))
}

fn keep_alive(stream: &TcpStream, config: &Config) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if config.get_keepalives() {
        let mut keepalive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
        if let Some(interval) = config.get_keepalives_interval() {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(retries) = config.get_keepalives_retries() {
            keepalive = keepalive.with_retries(retries);
        }
        SockRef::from(stream).set_tcp_keepalive(&keepalive)?;
    }
    #[cfg(target_os = "linux")]
    SockRef::from(stream).set_tcp_user_timeout(config.get_tcp_user_timeout().copied())?;
    Ok(())
}
