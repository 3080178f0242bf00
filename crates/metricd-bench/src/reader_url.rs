//! The reader's URL as libpq gets it from pgbench.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;

/// The URL without its password, and the variables that complete it.
///
/// libpq reads the same URL as metricd, and the same service and password files. Where it differs, it gets what metricd
/// takes.
pub(crate) struct ReaderUrl {
    pub(crate) url: String,
    /// They have the password: every user of the machine can see arguments.
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl ReaderUrl {
    /// Splits the URL. `variable` reads a variable of the environment.
    ///
    /// The URL is not validated: metricd does that before pgbench gets it.
    pub(crate) fn new(url: &str, variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let (scheme, address) = address.split_once("://").unwrap_or(("postgres", address));
        let (authority, path) = address.split_at(address.find('/').unwrap_or(address.len()));
        let (role, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = role.split_once(':').map_or((role, None), |(user, password)| (user, Some(password)));
        let parameter = |name: &str| {
            let mut parameters = query.split('&').filter_map(|pair| pair.split_once('='));
            parameters.rfind(|(known, _)| *known == name).map(|(_, value)| value)
        };

        let at = if user.is_empty() { "" } else { "@" };
        let query = query.split('&').filter_map(for_libpq).collect::<Vec<_>>().join("&");
        let mut variables = Vec::new();
        if let Some(password) = parameter("password").or(password) {
            variables.push(("PGPASSWORD", decoded(password)));
        }
        let named = [parameter("hostaddr"), Some(hosts), parameter("host")].into_iter().flatten().map(decoded);
        let defaults = ["PGHOSTADDR", "PGHOST"].into_iter().filter_map(variable);
        let is_local = if let Some(hosts) = named.chain(defaults).find(|hosts| !hosts.is_empty()) {
            hosts.split(',').all(is_local)
        } else {
            // libpq would use a socket. A service names another host.
            variables.push(("PGHOST", "localhost".to_owned()));
            parameter("service").is_none() && variable("PGSERVICE").is_none()
        };
        // metricd connects to another machine with TLS only. It has verified the server's certificate before.
        if !is_local && variable("PGSSLMODE").is_none() {
            variables.push(("PGSSLMODE", "require".to_owned()));
        }
        let separator = if query.is_empty() { "" } else { "?" };
        Self { url: format!("{scheme}://{user}{at}{hosts}{path}{separator}{query}"), variables }
    }
}

/// A parameter of the URL as libpq gets it. The password is left out.
fn for_libpq(parameter: &str) -> Option<&str> {
    match parameter {
        // Every session of the reader is read-only, so that libpq would find none that is not.
        "target_session_attrs=read-write" => Some("target_session_attrs=primary"),
        "target_session_attrs=read-only" => Some("target_session_attrs=standby"),
        _ => Some(parameter).filter(|parameter| !parameter.is_empty() && !parameter.starts_with("password=")),
    }
}

/// Whether a host, with or without a port, is this machine.
fn is_local(host: &str) -> bool {
    let without_port = host.rsplit_once(':').map_or(host, |(name, _)| name);
    [host, without_port].into_iter().map(|name| name.trim_matches(['[', ']'])).any(|name| {
        let is_loopback = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        is_loopback || name.is_empty() || name.starts_with('/') || name.eq_ignore_ascii_case("localhost")
    })
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(url: &str, environment: &[(&str, &str)]) -> (String, Vec<(&'static str, String)>) {
        let variable =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let ReaderUrl { url, variables } = ReaderUrl::new(url, variable);
        (url, variables)
    }

    fn variables(url: &str, environment: &[(&str, &str)]) -> String {
        let (_, variables) = reader(url, environment);
        variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_password_is_in_a_variable_only() {
        for (url, expected) in [
            ("postgres://ann:s%40cret@localhost:5433/shop", "postgres://ann@localhost:5433/shop"),
            ("postgres:///shop?user=ann&password=s%40cret&host=/run", "postgres:///shop?user=ann&host=/run"),
            ("postgres://ann:other@::1/shop?password=s%40cret", "postgres://ann@::1/shop"),
        ] {
            let (url, variables) = reader(url, &[]);
            assert_eq!((url.as_str(), variables), (expected, vec![("PGPASSWORD", "s@cret".to_owned())]));
        }
    }

    #[test]
    fn a_server_on_another_machine_needs_tls() {
        for url in ["a/m", "localhost,b:5/m", "10.0.0.1:5432/m", "localhost/m?hostaddr=10.0.0.1", "/m?host=a"] {
            assert_eq!(variables(&format!("postgres://ann@{url}"), &[]), "PGSSLMODE=require", "{url}");
        }
        for url in ["127.0.0.1:5/m", "LOCALHOST/m", "[::1]:5/m", "/m?host=%2Frun", "%2Frun/m", "a/m?hostaddr=127.0.0.1"]
        {
            assert_eq!(variables(&format!("postgres://ann@{url}"), &[]), "", "{url}");
        }
        assert_eq!(variables("postgres://ann@a/m", &[("PGSSLMODE", "disable")]), "");
    }

    #[test]
    fn what_the_url_leaves_out_is_what_metricd_takes() {
        assert_eq!(variables("postgres://ann@/m", &[]), "PGHOST=localhost");
        assert_eq!(variables("postgres://ann@/m", &[("PGHOST", "a")]), "PGSSLMODE=require");
        assert_eq!(variables("postgres://ann@/m?service=s", &[]), "PGHOST=localhost PGSSLMODE=require");
        let (url, _) = reader("postgres://ann@a,b/m?target_session_attrs=read-write&sslmode=disable", &[]);
        assert_eq!(url, "postgres://ann@a,b/m?target_session_attrs=primary&sslmode=disable");
    }
}
