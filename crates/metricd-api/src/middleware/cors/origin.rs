//! Origins in the operator's configuration.

use std::fmt;
use std::str::FromStr;

use actix_web::http::Uri;

/// An origin whose pages may read responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// Any origin.
    Any,
    /// One origin, as browsers send it: `https://example.org`, `http://localhost:3000`.
    Origin(String),
}

impl AllowedOrigin {
    /// Whether the origin that a browser sent matches.
    pub(super) fn is(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Origin(allowed) => allowed.as_bytes() == origin,
        }
    }
}

impl FromStr for AllowedOrigin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if text == "*" {
            return Ok(Self::Any);
        }
        // Origins are compared as text, so another spelling would never match, and nobody would notice.
        let as_sent = parse(text).ok_or(InvalidOrigin::NoOrigin)?;
        if as_sent == text { Ok(Self::Origin(as_sent)) } else { Err(InvalidOrigin::WrittenOtherwise { as_sent }) }
    }
}

/// Normalizes an origin to the browsers' spelling: lower case, without a path and the scheme's default port.
fn parse(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let host = uri.host().filter(|host| !host.is_empty() && !host.contains('*'))?.to_ascii_lowercase();
    let authority = uri.authority()?.as_str();
    let is_origin = matches!(uri.path(), "" | "/") && uri.query().is_none() && !text.contains('#');
    if !is_origin || authority.contains('@') || !matches!(scheme.as_str(), "http" | "https") {
        return None;
    }
    let own_port = if scheme == "https" { 443 } else { 80 };
    match uri.port_u16() {
        // The parser also drops an invalid port.
        None if authority.len() == host.len() => Some(format!("{scheme}://{host}")),
        Some(port) if port == own_port => Some(format!("{scheme}://{host}")),
        Some(port) => Some(format!("{scheme}://{host}:{port}")),
        None => None,
    }
}

/// Why a text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidOrigin {
    /// It has no scheme or host, or more than scheme, host and port.
    NoOrigin,
    /// It is an origin in another spelling than the browsers'.
    WrittenOtherwise {
        /// The browsers' spelling.
        as_sent: String,
    },
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOrigin => {
                formatter.write_str("expected `*`, or a scheme, a host and a port, as in `https://example.org`")
            }
            Self::WrittenOtherwise { as_sent } => write!(formatter, "browsers write this `{as_sent}`"),
        }
    }
}

impl std::error::Error for InvalidOrigin {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_must_be_spelled_as_browsers_send_it() {
        assert_eq!("*".parse(), Ok(AllowedOrigin::Any));
        for good in ["https://example.org", "http://localhost:3000", "https://[::1]:8443", "http://10.0.0.1:443"] {
            assert_eq!(good.parse(), Ok(AllowedOrigin::Origin(good.to_owned())), "{good}");
        }
        for (text, as_sent) in [
            ("https://example.org/", "https://example.org"),
            ("https://Example.org", "https://example.org"),
            ("HTTPS://example.org:443", "https://example.org"),
            ("http://example.org:080", "http://example.org"),
            ("http://example.org:080/", "http://example.org"),
        ] {
            let as_sent = as_sent.to_owned();
            let refused = text.parse::<AllowedOrigin>();
            assert_eq!(refused, Err(InvalidOrigin::WrittenOtherwise { as_sent }), "{text}");
        }
        for text in [
            "",
            "null",
            "example.org",
            "example.org:443",
            "//example.org",
            "https://",
            "https://*.example.org",
            "**",
            "https://example.org/path",
            "https://example.org?x",
            "https://example.org#x",
            "https://user@example.org",
            "https://example.org:",
            "https://example.org:99999",
            "ftp://example.org",
            "https://a https://b",
            "https://é.fr",
        ] {
            assert_eq!(text.parse::<AllowedOrigin>(), Err(InvalidOrigin::NoOrigin), "{text}");
        }
    }
}
