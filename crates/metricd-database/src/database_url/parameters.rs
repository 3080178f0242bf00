//! The parameters of a URL: their names, their values and their encoding.

use std::net::IpAddr;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::InvalidDatabaseUrl;
use crate::target::{self, TargetSession};

/// The values that a parameter may have.
#[derive(Debug, Clone, Copy)]
enum Values {
    Any,
    /// A whole number, such as of seconds.
    Whole(&'static str),
    OneOf(&'static [&'static str], &'static str),
    Ports,
    Addresses,
    Target,
}

/// The values of `sslmode`, as a message lists them.
const SSL_MODES: &str = "`disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`";

/// The parameters that a URL may have. libpq and tokio-postgres know each of them, except those that
/// [`DatabaseUrl::driver_url`](super::DatabaseUrl::driver_url) leaves out.
const PARAMETERS: [(&str, Values); 26] = [
    ("application_name", Values::Any),
    ("channel_binding", Values::OneOf(&["disable", "prefer", "require"], "`disable`, `prefer` or `require`")),
    ("connect_timeout", Values::Whole("whole seconds")),
    ("dbname", Values::Any),
    ("gssencmode", Values::OneOf(&["disable", "prefer", "require"], "`disable` or `prefer`")),
    ("host", Values::Any),
    ("hostaddr", Values::Addresses),
    ("keepalives", Values::Whole("`0` or `1`")),
    ("keepalives_count", Values::Whole("a whole number")),
    ("keepalives_idle", Values::Whole("whole seconds")),
    ("keepalives_interval", Values::Whole("whole seconds")),
    ("load_balance_hosts", Values::OneOf(&["disable", "random"], "`disable` or `random`")),
    ("options", Values::Any),
    ("password", Values::Any),
    ("port", Values::Ports),
    ("sslcert", Values::Any),
    ("sslcrl", Values::Any),
    ("sslkey", Values::Any),
    ("sslmode", Values::OneOf(&["disable", "allow", "prefer", "require", "verify-ca", "verify-full"], SSL_MODES)),
    ("sslnegotiation", Values::OneOf(&["postgres", "direct"], "`postgres` or `direct`")),
    ("sslpassword", Values::Any),
    ("sslrootcert", Values::Any),
    ("sslsni", Values::OneOf(&["0", "1"], "`0` or `1`")),
    (target::NAME, Values::Target),
    ("tcp_user_timeout", Values::Whole("whole milliseconds")),
    ("user", Values::Any),
];

/// Whether a URL may have the parameter.
pub(crate) fn is_parameter(name: &str) -> bool {
    PARAMETERS.iter().any(|(known, _)| *known == name)
}

/// The names of all parameters, as a message lists them.
pub(super) fn known_parameters() -> String {
    PARAMETERS.map(|(name, _)| name).join(", ")
}

impl Values {
    /// Rejects a value that only one driver would reject, or would reject without naming the parameter.
    fn check(self, name: &'static str, value: &str) -> Result<(), InvalidDatabaseUrl> {
        let (is_valid, expected) = match self {
            Self::Any => return Ok(()),
            Self::Whole(expected) => (value.parse::<u32>().is_ok(), expected),
            Self::OneOf(values, expected) => (values.contains(&value), expected),
            Self::Ports => (is_list_of::<u16>(value, true), "ports"),
            Self::Addresses => (is_list_of::<IpAddr>(value, false), "IP addresses"),
            Self::Target => (value.parse::<TargetSession>().is_ok(), target::EXPECTED),
        };
        if is_valid { Ok(()) } else { Err(InvalidDatabaseUrl::Value(name, expected)) }
    }
}

/// Whether these are values of the type with commas between them.
fn is_list_of<T: FromStr>(text: &str, may_be_empty: bool) -> bool {
    text.split(',').all(|value| may_be_empty && value.is_empty() || value.parse::<T>().is_ok())
}

/// The decoded parameters of a URL. Their values are valid.
pub(super) struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    pub(super) fn parse(url: &str) -> Result<Self, InvalidDatabaseUrl> {
        let parsed = encoded_parameters(url).map(|(name, value)| {
            let known = PARAMETERS.into_iter().find(|(known, _)| *known == name);
            let (name, values) = known.ok_or(InvalidDatabaseUrl::Parameter)?;
            let value = decoded(value).ok_or(InvalidDatabaseUrl::Encoding)?;
            values.check(name, &value)?;
            Ok::<_, InvalidDatabaseUrl>((name, value))
        });
        Ok(Self(parsed.collect::<Result<_, _>>()?))
    }

    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn last(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn target(&self) -> TargetSession {
        self.last(target::NAME).and_then(|value| value.parse().ok()).unwrap_or_default()
    }
}

/// The encoded parameters of a URL.
pub(super) fn encoded_parameters(url: &str) -> impl Iterator<Item = (&str, &str)> {
    let (_, parameters) = url.split_once('?').unwrap_or_default();
    parameters.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Drops the parameters for which `keep` returns `None`, and replaces the values of those for which it returns one.
pub(super) fn with_parameters(url: &str, keep: impl Fn(&str, &str) -> Option<Option<String>>) -> String {
    let kept = encoded_parameters(url).filter_map(|(name, value)| {
        let value = keep(name, value)?.unwrap_or_else(|| value.to_owned());
        Some(format!("{name}={value}"))
    });
    let kept: Vec<_> = kept.collect();
    let (address, _) = url.split_once('?').unwrap_or((url, ""));
    if kept.is_empty() { address.to_owned() } else { format!("{address}?{}", kept.join("&")) }
}

/// Decodes percent-encoding; `None` if the result is not UTF-8, or contains NUL.
pub(super) fn decoded(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    (!decoded.contains('\0')).then(|| decoded.into_owned())
}
