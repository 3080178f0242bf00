//! Whether a certificate is issued for a host, by libpq's rule.

use std::net::IpAddr;

use super::certificate::SubjectNames;

impl SubjectNames {
    /// Whether the certificate is issued for the host of a URL.
    ///
    /// libpq (`pq_verify_peer_name_matches_certificate`) compares all alternative names with the host, whatever their
    /// kind. The common name counts if there is no alternative name of the host's kind, an address or a name.
    pub(super) fn include(&self, host: &str) -> bool {
        let address = host.parse().ok().map(|address| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        });
        let has_names_of_kind = if address.is_some() { !self.ip.is_empty() } else { !self.dns.is_empty() };
        let is_alternative = self.dns.iter().any(|name| matches(name, host));
        let is_common = || !has_names_of_kind && self.common.as_deref().is_some_and(|name| matches(name, host));
        is_alternative || address.is_some_and(|address| self.ip.contains(&address)) || is_common()
    }

    /// The names, for messages.
    pub(super) fn list(&self) -> Vec<String> {
        let ip = self.ip.iter().filter_map(|bytes| match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes.as_slice()).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(bytes.as_slice()).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        });
        let names: Vec<_> = self.dns.iter().cloned().chain(ip).collect();
        if names.is_empty() { self.common.clone().into_iter().collect() } else { names }
    }
}

/// Whether a name of a certificate is that of the host. `*` stands for the whole of the first label only.
fn matches(name: &str, host: &str) -> bool {
    let is_wildcard_of_host = || {
        let domain = name.strip_prefix("*.").filter(|domain| !domain.is_empty());
        let (label, rest) = host.split_once('.').unwrap_or_default();
        domain.is_some_and(|domain| !label.is_empty() && rest.eq_ignore_ascii_case(domain))
    };
    name.eq_ignore_ascii_case(host) || is_wildcard_of_host()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(common: &str, dns: &[&str], ip: &[IpAddr]) -> SubjectNames {
        SubjectNames {
            common: Some(common.to_owned()).filter(|name| !name.is_empty()),
            dns: dns.iter().map(|name| (*name).to_owned()).collect(),
            ip: ip
                .iter()
                .map(|ip| match ip {
                    IpAddr::V4(ip) => ip.octets().to_vec(),
                    IpAddr::V6(ip) => ip.octets().to_vec(),
                })
                .collect(),
        }
    }

    #[test]
    fn follows_the_rule_of_libpq() {
        let ip: IpAddr = "127.0.0.1".parse().unwrap();
        let ip6: IpAddr = "::1".parse().unwrap();
        for (names, host, expected) in [
            (names("", &["db.example"], &[]), "DB.Example", true),
            (names("", &["db.example"], &[]), "db.example.", false),
            (names("db.example", &[], &[]), "db.example", true),
            // The common name does not count next to alternative names of the host's kind.
            (names("db.example", &["other.example"], &[]), "db.example", false),
            (names("db.example", &[], &[ip]), "db.example", true),
            (names("127.0.0.1", &["db.example"], &[]), "127.0.0.1", true),
            (names("127.0.0.1", &["db.example"], &[ip6]), "127.0.0.1", false),
            (names("", &[], &[ip]), "127.0.0.1", true),
            (names("", &[], &[ip6]), "::1", true),
            (names("", &[], &[ip]), "127.0.0.2", false),
            (names("", &["127.0.0.1"], &[]), "127.0.0.1", true),
            (names("", &["*.example"], &[]), "db.example", true),
            (names("", &["*.example"], &[]), "a.db.example", false),
            (names("", &["*.example"], &[]), ".example", false),
            (names("", &["*.example"], &[]), "example", false),
            (names("", &["d*.example"], &[]), "db.example", false),
            (names("", &["*"], &[]), "localhost", false),
            (names("", &["*."], &[]), "localhost.", false),
            (names("", &["db.example\0.evil"], &[]), "db.example", false),
            (names("", &[], &[]), "db.example", false),
        ] {
            assert_eq!(names.include(host), expected, "{names:?} {host}");
        }
        assert_eq!(names("x", &["a"], &[ip, ip6]).list(), ["a", "127.0.0.1", "::1"]);
        assert_eq!(names("x", &[], &[]).list(), ["x"]);
    }
}
