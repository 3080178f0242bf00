//! The servers of a URL.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::path::PathBuf;

use tokio_postgres::config::{Config, Host, LoadBalanceHosts};

/// PostgreSQL's default port.
const DEFAULT_PORT: u16 = 5_432;

/// A server of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Tcp {
        /// The host of the URL, which the certificate must name. `None` if the URL has only an address.
        host: Option<String>,
        /// What to connect to: `hostaddr`, or the host.
        address: String,
        port: u16,
    },
    Unix(PathBuf),
}

impl Endpoint {
    /// All servers of the URL, in the order in which to try them: that of the URL, or rotated at random if the URL
    /// asks for load balancing.
    pub(crate) fn candidates(config: &Config) -> Vec<Self> {
        let mut endpoints = Self::all(config);
        if config.get_load_balance_hosts() == LoadBalanceHosts::Random {
            let random = usize::try_from(RandomState::new().build_hasher().finish() % (1 << 16)).unwrap_or_default();
            let first = random % endpoints.len().max(1);
            endpoints.rotate_left(first);
        }
        endpoints
    }

    fn all(config: &Config) -> Vec<Self> {
        let ports = config.get_ports();
        let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(DEFAULT_PORT);
        let tcp = |index: usize, host: Option<&str>| {
            let host = host.filter(|host| !host.is_empty());
            // A numeric address needs no name resolution.
            let number = config.get_hostaddrs().get(index).map(ToString::to_string);
            let address = number.or_else(|| host.map(str::to_owned)).unwrap_or_else(|| "localhost".to_owned());
            Self::Tcp { host: host.map(str::to_owned), address, port: port(index) }
        };
        let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| match host {
            Host::Unix(folder) => Self::Unix(folder.join(format!(".s.PGSQL.{}", port(index)))),
            Host::Tcp(host) => tcp(index, Some(host)),
        });
        let mut all: Vec<_> = hosts.collect();
        if all.is_empty() {
            all = (0..config.get_hostaddrs().len()).map(|index| tcp(index, None)).collect();
        }
        if all.is_empty() {
            all.push(tcp(0, Some("localhost")));
        }
        all
    }

    /// Whether what is sent stays on this machine.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { address, .. } => {
                address.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
            }
        }
    }
}

impl fmt::Display for Endpoint {
    /// For messages: the host and the port, or the path of the socket.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, address, port } => write!(formatter, "`{}:{port}`", host.as_ref().unwrap_or(address)),
            Self::Unix(path) => write!(formatter, "`{}`", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(url: &str) -> Vec<Endpoint> {
        Endpoint::all(&url.parse().unwrap())
    }

    fn tcp(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp { host: Some(host.to_owned()), address: host.to_owned(), port }
    }

    #[test]
    fn lists_every_server_of_a_url() {
        let at = |host: Option<&str>, address: &str| Endpoint::Tcp {
            host: host.map(str::to_owned),
            address: address.to_owned(),
            port: 5_432,
        };
        assert_eq!(all("postgres://ann@db/m"), [tcp("db", 5_432)]);
        assert_eq!(all("postgres://ann@a:1,b:2/m"), [tcp("a", 1), tcp("b", 2)]);
        assert_eq!(all("postgres://ann@a/m?hostaddr=10.0.0.1"), [at(Some("a"), "10.0.0.1")]);
        assert_eq!(all("postgres:///m?user=ann&hostaddr=10.0.0.1"), [at(None, "10.0.0.1")]);
        assert_eq!(all("postgres:///m?user=ann"), [tcp("localhost", 5_432)]);
        assert_eq!(all("postgres://ann@/m?host=%2Frun&port=5"), [Endpoint::Unix("/run/.s.PGSQL.5".into())]);
    }

    #[test]
    fn knows_which_servers_are_local() {
        for (url, expected) in [
            ("postgres://ann@localhost/m", true),
            ("postgres://ann@127.1.2.3/m", true),
            ("postgres://ann@[::1]/m", true),
            ("postgres://ann@/m?host=%2Frun", true),
            ("postgres://ann@db.example/m?hostaddr=127.0.0.1", true),
            ("postgres://ann@localhost/m?hostaddr=10.0.0.1", false),
            ("postgres://ann@localhost.example/m", false),
            ("postgres://ann@10.0.0.1/m", false),
        ] {
            assert_eq!(all(url)[0].is_local(), expected, "{url}");
        }
    }

    #[test]
    fn starts_at_random_if_the_url_asks_for_load_balancing() {
        let first = |url: &str| {
            let config = url.parse().unwrap();
            (0..200).map(|_| Endpoint::candidates(&config)[0].clone()).collect::<Vec<_>>()
        };
        let named = all("postgres://ann@a,b,c/m");
        assert!(first("postgres://ann@a,b,c/m").iter().all(|first| *first == named[0]));
        let random = first("postgres://ann@a,b,c/m?load_balance_hosts=random");
        assert!(named.iter().all(|endpoint| random.contains(endpoint)), "{random:?}");
    }
}
