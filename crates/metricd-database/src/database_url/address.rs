//! The parts of a URL before its query, and URLs with other parameters.

use std::fmt::Write as _;

use super::InvalidDatabaseUrl;
use super::parameters::{decoded, encoded_parameters, with_parameters};

/// The parts of a URL before its query, still percent-encoded.
pub(super) struct Address<'a> {
    pub(super) user: &'a str,
    pub(super) password: Option<&'a str>,
    /// The hosts with their ports, separated by commas.
    pub(super) hosts: &'a str,
    /// The path without its first slash: the database.
    pub(super) path: &'a str,
}

impl<'a> Address<'a> {
    pub(super) fn of(url: &'a str) -> Result<Self, InvalidDatabaseUrl> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or(InvalidDatabaseUrl::Syntax)?;
        if !is_well_encoded(rest) {
            return Err(InvalidDatabaseUrl::Encoding);
        }
        let address = rest.split('?').next().unwrap_or_default();
        let (authority, path) = address.split_once('/').unwrap_or((address, ""));
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) =
            credentials.split_once(':').map_or((credentials, None), |(user, password)| (user, Some(password)));
        Ok(Self { user, password, hosts, path })
    }
}

/// The parameters of the URL, decoded, known or not, and the parts of its address under the names of parameters.
pub(crate) fn given_parameters(url: &str) -> Result<Vec<(String, String)>, InvalidDatabaseUrl> {
    let Address { user, password, hosts, path } = Address::of(url)?;
    let ports: Vec<_> = hosts.split(',').map(|host| host[without_port(host).len()..].trim_start_matches(':')).collect();
    let names: Vec<_> = hosts.split(',').map(without_port).collect();
    let (names, ports) = (names.join(","), ports.join(","));
    let has_ports = !ports.split(',').any(str::is_empty);
    let address = [("user", user), ("password", password.unwrap_or_default()), ("host", &names), ("dbname", path)];
    let address = address.into_iter().chain(has_ports.then_some(("port", ports.as_str())));
    let given = address.filter(|(_, value)| !value.is_empty()).chain(encoded_parameters(url)).map(|(name, value)| {
        let value = decoded(value).ok_or(InvalidDatabaseUrl::Encoding)?;
        Ok((name.to_owned(), value))
    });
    given.collect()
}

/// The URL with one more parameter.
pub(crate) fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let mut encoded = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    let query = url.find('?').unwrap_or(url.len());
    let start = url.find("://").map_or(0, |scheme| scheme + 3);
    let path = url[start..query].find('/').map_or(query, |slash| start + slash);
    let hosts = url[start..path].rfind('@').map_or(start, |at| start + at + 1);
    if name == "port" && hosts < path {
        // The driver takes the default port for a host without one, whatever the parameter says.
        let with_port =
            |host: &str| if without_port(host) == host { format!("{host}:{encoded}") } else { host.to_owned() };
        let all: Vec<_> = url[hosts..path].split(',').map(with_port).collect();
        return format!("{}{}{}", &url[..hosts], all.join(","), &url[path..]);
    }
    let separator = if query == url.len() {
        "?"
    } else if url.ends_with(['?', '&']) {
        ""
    } else {
        "&"
    };
    format!("{url}{separator}{name}={encoded}")
}

/// The URL without a parameter.
pub(crate) fn without_parameter(url: &str, left_out: &str) -> String {
    with_parameters(url, |name, _| (name != left_out).then_some(None))
}

/// Whether the URL is unambiguous. Otherwise a part of the password could be read as the host, the port or the
/// database, which messages show.
fn is_well_encoded(rest: &str) -> bool {
    let address = rest.split('?').next().unwrap_or_default();
    let authority = address.split('/').next().unwrap_or_default();
    let has_one_at =
        address.matches('@').count() == authority.matches('@').count() && authority.matches('@').count() <= 1;
    let mut escapes = rest.split('%').skip(1);
    has_one_at && escapes.all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether the host has no port, or a numeric one.
pub(super) fn has_port(host: &str) -> bool {
    let port = host[without_port(host).len()..].strip_prefix(':');
    port.is_none_or(|port| port.is_empty() || port.parse::<u16>().is_ok())
}

/// The host without the port. An IPv6 address keeps its brackets.
pub(super) fn without_port(host: &str) -> &str {
    let end = host.find(']').map_or(0, |bracket| bracket + 1);
    let colon = host[end..].find(':').map_or(host.len(), |colon| end + colon);
    &host[..colon]
}
