//! The addresses of a server.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_postgres::config::{Config, Host, LoadBalanceHosts};
use tokio_postgres::{CancelToken, NoTls};

use super::framed::Socket;

/// The time limit of a cancel request.
pub(crate) const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause before a statement that still runs is cancelled again.
pub(crate) const CANCEL_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// PostgreSQL's default port.
const DEFAULT_PORT: u16 = 5_432;

/// An address on which PostgreSQL listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Address {
    /// All addresses of the URL, in the order in which to try them: that of the URL, or rotated at random if the URL
    /// asks for load balancing.
    pub(super) fn candidates(config: &Config) -> Vec<Self> {
        let mut addresses = Self::all(config);
        if config.get_load_balance_hosts() == LoadBalanceHosts::Random {
            let random = usize::try_from(RandomState::new().build_hasher().finish() % (1 << 16)).unwrap_or_default();
            let first = random % addresses.len().max(1);
            addresses.rotate_left(first);
        }
        addresses
    }

    fn all(config: &Config) -> Vec<Self> {
        let ports = config.get_ports();
        let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(DEFAULT_PORT);
        let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| match host {
            Host::Unix(folder) => Self::Unix(folder.join(format!(".s.PGSQL.{}", port(index)))),
            Host::Tcp(host) => {
                // A numeric address needs no name resolution.
                let number = config.get_hostaddrs().get(index).map(ToString::to_string);
                Self::Tcp(number.unwrap_or_else(|| host.clone()), port(index))
            }
        });
        let mut all: Vec<_> = hosts.collect();
        if all.is_empty() {
            let numbers = config.get_hostaddrs().iter().enumerate();
            all = numbers.map(|(index, number)| Self::Tcp(number.to_string(), port(index))).collect();
        }
        if all.is_empty() {
            all.push(Self::Tcp("localhost".to_owned(), port(0)));
        }
        all
    }

    pub(super) async fn connect(&self, config: &Config) -> io::Result<(Box<dyn Socket>, Peer)> {
        match self {
            Self::Unix(path) => Ok((Box::new(UnixStream::connect(path).await?), Peer::Unix(path.clone()))),
            Self::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                if config.get_keepalives() {
                    SockRef::from(&stream).set_tcp_keepalive(&keepalive(config))?;
                }
                #[cfg(target_os = "linux")]
                SockRef::from(&stream).set_tcp_user_timeout(config.get_tcp_user_timeout().copied())?;
                let peer = Peer::Tcp(stream.peer_addr()?);
                Ok((Box::new(stream), peer))
            }
        }
    }
}

/// The server of a session: one of those that a host name may resolve to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Peer {
    /// Cancels the statement of the token's session.
    pub(super) async fn cancel(&self, token: &CancelToken) -> io::Result<()> {
        timeout(CANCEL_TIMEOUT, self.send_cancel(token)).await?
    }

    async fn send_cancel(&self, token: &CancelToken) -> io::Result<()> {
        let mut socket: Box<dyn Socket> = match self {
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Self::Tcp(address) => Box::new(TcpStream::connect(address).await?),
        };
        token.cancel_query_raw(&mut socket, NoTls).await.map_err(io::Error::other)?;
        // PostgreSQL closes the connection once it has processed the request.
        while socket.read(&mut [0; 64]).await? > 0 {}
        Ok(())
    }
}

fn keepalive(config: &Config) -> TcpKeepalive {
    let mut keepalive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
    if let Some(interval) = config.get_keepalives_interval() {
        keepalive = keepalive.with_interval(interval);
    }
    match config.get_keepalives_retries() {
        Some(retries) => keepalive.with_retries(retries),
        None => keepalive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(url: &str) -> Vec<Address> {
        Address::all(&url.parse().unwrap())
    }

    #[test]
    fn lists_every_address_of_a_url() {
        let tcp = |host: &str, port| Address::Tcp(host.to_owned(), port);
        assert_eq!(all("postgres://ann@db/m"), [tcp("db", 5_432)]);
        assert_eq!(all("postgres://ann@a:1,b:2/m"), [tcp("a", 1), tcp("b", 2)]);
        assert_eq!(all("postgres://ann@a/m?hostaddr=10.0.0.1"), [tcp("10.0.0.1", 5_432)]);
        assert_eq!(all("postgres:///m?user=ann"), [tcp("localhost", 5_432)]);
        assert_eq!(all("postgres://ann@/m?host=%2Frun&port=5"), [Address::Unix("/run/.s.PGSQL.5".into())]);
    }

    #[test]
    fn starts_at_random_if_the_url_asks_for_load_balancing() {
        let first = |url: &str| {
            let config = url.parse().unwrap();
            (0..200).map(|_| Address::candidates(&config)[0].clone()).collect::<Vec<_>>()
        };
        let named = all("postgres://ann@a,b,c/m");
        assert!(first("postgres://ann@a,b,c/m").iter().all(|first| *first == named[0]));
        let random = first("postgres://ann@a,b,c/m?load_balance_hosts=random");
        assert!(named.iter().all(|address| random.contains(address)), "{random:?}");
    }
}
