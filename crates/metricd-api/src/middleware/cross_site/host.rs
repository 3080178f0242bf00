//! Hosts that a server may be reached by.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A host that is served in addition to loopback: a name or an address, at any port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost(String);

impl AllowedHost {
    /// The host of an address.
    #[must_use]
    pub fn of_address(address: IpAddr) -> Self {
        Self(match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        })
    }
}

impl FromStr for AllowedHost {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(Self::of_address(address));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if text.is_empty() || !text.bytes().all(is_plain) {
            return Err(InvalidHost);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// The text is not a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidHost;

impl fmt::Display for InvalidHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("expected a name or an address without a port, as in `metrics.example.org`")
    }
}

impl std::error::Error for InvalidHost {}

/// Whether the host of an authority (`host` or `host:port`) is a loopback host or allowed.
pub(super) fn is_served(authority: &str, allowed: &[AllowedHost]) -> bool {
    let Some(host) = host_of(authority) else { return false };
    let host = host.to_ascii_lowercase();
    is_loopback(&host) || allowed.iter().any(|allowed| allowed.0 == host)
}

/// The host, if it is followed by nothing or a port.
fn host_of(authority: &str) -> Option<&str> {
    let end = match authority.strip_prefix('[') {
        Some(address) => address.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at_checked(end)?;
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port)).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok_and(|address| address.to_canonical().is_loopback()),
        None => host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_host_is_served_at_any_port_and_no_other_is() {
        for host in ["localhost", "LocalHost", "127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]"] {
            for authority in [host.to_owned(), format!("{host}:8080"), format!("{host}:")] {
                assert!(is_served(&authority, &[]), "{authority}");
            }
        }
        for authority in [
            "",
            ":8080",
            "attacker.example",
            "localhost.attacker.example",
            "127.0.0.1.attacker.example",
            "localhost:8080@attacker.example",
            "localhost:x",
            "127.1",
            "2130706433",
            "128.0.0.1",
            "0.0.0.0:8080",
            "[::]",
            "::1",
            "[::1]x",
            "[::1",
            "[::1%lo]",
            "localhost, attacker.example",
        ] {
            assert!(!is_served(authority, &[]), "{authority}");
        }
    }

    #[test]
    fn other_hosts_are_served_by_name() {
        let allowed = |text: &str| vec![text.parse::<AllowedHost>().unwrap()];
        assert!(is_served("metrics.example.org:80", &allowed("Metrics.Example.ORG")));
        assert!(!is_served("metrics.example.org.evil", &allowed("metrics.example.org")));
        assert!(is_served("[2001:db8::1]:80", &allowed("2001:db8:0::1")));
        assert!(is_served("[2001:db8::1]", &allowed("[2001:db8::1]")));
        for wrong in ["", "a:80", "http://a", "*", "a b", "*.a"] {
            assert_eq!(wrong.parse::<AllowedHost>(), Err(InvalidHost), "{wrong}");
        }
    }
}
