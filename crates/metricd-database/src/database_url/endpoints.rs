//! The hosts of a URL, and URLs that differ in their hosts or their role.

use std::net::IpAddr;

use secrecy::ExposeSecret;

use super::address::{Address, with_parameter, without_port};
use super::parameters::{Parameters, decoded, encoded_parameters, with_parameters};
use super::{DatabaseUrl, InvalidDatabaseUrl};
use crate::target::{self, TargetSession};
use crate::tls::TlsMode;

impl DatabaseUrl {
    /// A URL for each host, in the order of the hosts, without a [`Self::target`].
    ///
    /// # Errors
    ///
    /// [`InvalidDatabaseUrl`] if a host cannot stand alone.
    pub fn by_host(&self) -> Result<Vec<Self>, InvalidDatabaseUrl> {
        let left_out = ["host", "hostaddr", "port", "load_balance_hosts", target::NAME];
        let text = with_parameters(self.url.expose_secret(), |name, _| (!left_out.contains(&name)).then_some(None));
        let (start, end) = hosts_in(&text);
        let alone = format!("{}{}", &text[..start], &text[end..]);
        let of_host = |Endpoint { host, address, port }: Endpoint| {
            let mut url = alone.clone();
            for (name, value) in [("host", host), ("hostaddr", address), ("port", port)] {
                if !value.is_empty() {
                    url = with_parameter(&url, name, &value);
                }
            }
            self.replaced_by(url)
        };
        self.endpoints().into_iter().map(of_host).collect()
    }

    /// The URL of the owner, which writes: of several hosts, any is the primary.
    #[must_use]
    pub fn of_owner(self) -> Self {
        match self.target {
            TargetSession::Any if self.endpoints().len() > 1 => Self { target: TargetSession::Primary, ..self },
            _ => self,
        }
    }

    /// The hosts with their ports, for messages: `primary:5432,standby:5433`.
    #[must_use]
    pub fn hosts(&self) -> String {
        let shown = |Endpoint { host, address, port }: Endpoint| {
            let host = if host.is_empty() { address } else { host };
            format!("{host}:{port}")
        };
        self.endpoints().into_iter().map(shown).collect::<Vec<_>>().join(",")
    }

    /// Whether both URLs name the same hosts and ports in the same way.
    #[must_use]
    pub fn is_at_address_of(&self, other: &Self) -> bool {
        self.endpoints() == other.endpoints()
    }

    /// Whether a login by this URL is protected by TLS at least as well as one by the other URL.
    #[must_use]
    pub fn is_as_protected_as(&self, other: &Self) -> bool {
        let is_remote = |url: &Self| !url.endpoints().iter().all(Endpoint::is_local);
        // Without a mode, a server on another machine is verified. What does not leave the machine needs no TLS.
        let required = other.tls.mode.filter(|_| is_remote(other)).unwrap_or(TlsMode::VerifyFull);
        !is_remote(self) || self.tls.mode.is_none_or(|mode| mode >= required)
    }

    /// The hosts, decoded, each with its address and its port.
    fn endpoints(&self) -> Vec<Endpoint> {
        let url = self.url.expose_secret();
        let (Ok(Address { hosts, .. }), Ok(parameters)) = (Address::of(url), Parameters::parse(url)) else {
            return Vec::new();
        };
        let list = |name: &str| -> Vec<String> {
            parameters.last(name).map(|value| value.split(',').map(str::to_owned).collect()).unwrap_or_default()
        };
        let (addresses, ports) = (list("hostaddr"), list("port"));
        let mut names = list("host");
        let mut own_ports = Vec::new();
        if !hosts.is_empty() {
            let split = hosts.split(',').map(|host| host.split_at(without_port(host).len()));
            let host = |name: &str| decoded(name.trim_matches(['[', ']'])).unwrap_or_default();
            (names, own_ports) =
                split.map(|(name, port)| (host(name), port.trim_start_matches(':').to_owned())).unzip();
        }
        let endpoint = |index: usize| {
            let own = own_ports.get(index).filter(|port| !port.is_empty());
            // One port is that of all hosts.
            let port = own.or_else(|| ports.get(if ports.len() == 1 { 0 } else { index }));
            Endpoint {
                host: names.get(index).cloned().unwrap_or_default(),
                address: addresses.get(index).cloned().unwrap_or_default(),
                port: port.filter(|port| !port.is_empty()).map_or("5432", String::as_str).to_owned(),
            }
        };
        (0..names.len().max(addresses.len()).max(1)).map(endpoint).collect()
    }

    /// The URL of the same database on the same servers, for the role of another URL: with its password and its client
    /// certificate.
    ///
    /// # Errors
    ///
    /// [`InvalidDatabaseUrl`] if the parameters about TLS cannot be used together.
    pub fn as_role_of(&self, other: &Self) -> Result<Self, InvalidDatabaseUrl> {
        let of_role = ["user", "password", "sslcert", "sslkey", "sslpassword", "channel_binding"];
        let text = with_parameters(self.url.expose_secret(), |name, _| (!of_role.contains(&name)).then_some(None));
        let (start, _) = hosts_in(&text);
        let mut url = with_parameter(&format!("postgres://{}", &text[start..]), "user", &other.user);
        if let Some(password) = &other.password {
            url = with_parameter(&url, "password", password.expose_secret());
        }
        for (name, value) in encoded_parameters(other.url.expose_secret()) {
            if of_role[2..].contains(&name) {
                url = format!("{url}&{name}={value}");
            }
        }
        self.replaced_by(url)
    }

    /// Another URL with this one's folder for the files about TLS.
    fn replaced_by(&self, url: String) -> Result<Self, InvalidDatabaseUrl> {
        let mut parsed = Self::parse(url)?;
        parsed.tls.default_folder.clone_from(&self.tls.default_folder);
        Ok(parsed)
    }
}

/// Where the hosts begin and end in a URL.
fn hosts_in(url: &str) -> (usize, usize) {
    let start = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url[start..].find(['/', '?']).map_or(url.len(), |end| start + end);
    (url[start..end].rfind('@').map_or(start, |at| start + at + 1), end)
}

/// A host of a URL: its name, its IP address if the URL has one, and its port.
#[derive(Debug, PartialEq, Eq)]
struct Endpoint {
    host: String,
    address: String,
    port: String,
}

impl Endpoint {
    fn is_local(&self) -> bool {
        let host = if self.address.is_empty() { &self.host } else { &self.address };
        host.is_empty()
            || host.starts_with('/')
            || host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatabaseUrl, InvalidDatabaseUrl> {
        DatabaseUrl::parse(text.to_owned())
    }

    #[test]
    fn hosts_stand_alone() {
        let alone = |url: &str| -> Vec<String> {
            let urls = parse(url).unwrap().by_host().unwrap();
            urls.iter().map(|url| url.url.expose_secret().to_owned()).collect()
        };
        assert_eq!(
            alone("postgres://ann:pw@a:1,b:2/m?sslmode=require&target_session_attrs=any"),
            [
                "postgres://ann:pw@/m?sslmode=require&host=a&port=1",
                "postgres://ann:pw@/m?sslmode=require&host=b&port=2"
            ]
        );
        assert_eq!(
            alone("postgres:///m?user=ann&host=/run/x,b&port=5"),
            ["postgres:///m?user=ann&host=%2Frun%2Fx&port=5", "postgres:///m?user=ann&host=b&port=5"]
        );
        assert_eq!(alone("postgres://ann@[::1]:7/m"), ["postgres://ann@/m?host=%3A%3A1&port=7"]);
        assert_eq!(
            alone("postgres://ann@a,b/m?hostaddr=127.0.0.1,127.0.0.2")[1],
            "postgres://ann@/m?host=b&hostaddr=127%2E0%2E0%2E2&port=5432"
        );
    }

    #[test]
    fn any_of_several_hosts_is_the_primary_for_the_owner() {
        let target = |url: &str| parse(url).unwrap().of_owner().target();
        assert_eq!(target("postgres://ann@a,b/m"), TargetSession::Primary);
        assert_eq!(target("postgres://ann@a/m"), TargetSession::Any);
        assert_eq!(target("postgres://ann@a,b/m?target_session_attrs=read-write"), TargetSession::ReadWrite);
    }

    #[test]
    fn another_role_keeps_the_servers() {
        let owner = parse("postgres://ann:p%40ss@primary/m?sslcert=ann.crt&sslkey=ann.key").unwrap();
        let as_owner = |url: &str| parse(url).unwrap().as_role_of(&owner).unwrap();
        let at = as_owner("postgres://bob:pw@a:1,b:2/m?sslmode=require&sslcert=bob.crt&sslkey=bob.key");
        assert_eq!(
            at.url.expose_secret(),
            "postgres://a:1,b:2/m?sslmode=require&user=ann&password=p%40ss&sslcert=ann.crt&sslkey=ann.key"
        );
        assert_eq!((at.user(), at.password().map(ExposeSecret::expose_secret)), ("ann", Some("p@ss")));
        let socket = as_owner("postgres:///m?host=%2Frun&user=bob&password=pw");
        assert!(socket.url.expose_secret().starts_with("postgres:///m?host=%2Frun&user=ann&password=p%40ss&"));
    }

    #[test]
    fn hosts_are_shown_with_their_ports() {
        let hosts = |url: &str| parse(url).unwrap().hosts();
        assert_eq!(hosts("postgres://ann:pw@a:1,b/m"), "a:1,b:5432");
        assert_eq!(hosts("postgres://ann@/m?host=%2Frun&port=5"), "/run:5");
        assert_eq!(hosts("postgres://ann@/m?hostaddr=127.0.0.1"), "127.0.0.1:5432");
    }

    #[test]
    fn knows_which_login_is_better_protected() {
        let url = |mode: &str| parse(&format!("postgres://a@h/m{mode}")).unwrap();
        let is = |one: &str, other: &str| url(one).is_as_protected_as(&url(other));
        assert!(is("", "") && is("", "?sslmode=verify-full") && is("?sslmode=disable", "?sslmode=disable"));
        assert!(!is("?sslmode=require", "") && !is("?sslmode=prefer", "?sslmode=verify-ca"));
        let local = parse("postgres://a@localhost/m?sslmode=disable").unwrap();
        assert!(local.is_as_protected_as(&url("")));
        assert!(!url("?sslmode=disable").is_as_protected_as(&local), "the password would leave the machine");
    }

    #[test]
    fn knows_whether_two_urls_have_one_address() {
        let is_same = |one: &str, other: &str| parse(one).unwrap().is_at_address_of(&parse(other).unwrap());
        assert!(is_same("postgres://a:pw@h:5433/m", "postgres://b@h:5433/n?sslmode=disable"));
        assert!(!is_same("postgres://a@h:5433/m", "postgres://a@h/m"));
        assert!(!is_same("postgres://a@h/m", "postgres://a@i/m"));
    }
}
