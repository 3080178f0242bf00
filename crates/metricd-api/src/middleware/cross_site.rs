//! Protects a server without tokens from web pages in a browser on the same machine or network.
//!
//! Without tokens the browser's network position is the only credential, and every page can use it: by a "simple"
//! request, which needs no preflight, or by DNS rebinding, which makes a foreign name resolve to a loopback address.
//! The server therefore serves only known hosts, and refuses requests that browsers label as cross-site.

mod host;

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use metricd_access::Access;

pub use self::host::{AllowedHost, InvalidHost};
use super::Cors;
use crate::{Problem, ProblemCode};

/// Fetch metadata (<https://www.w3.org/TR/fetch-metadata/>), which pages cannot set.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Refuses unknown hosts and requests of other origins' pages.
#[derive(Debug)]
pub(crate) struct CrossSiteGuard {
    /// The hosts that are served in addition to loopback; `None` serves any host.
    hosts: Option<Vec<AllowedHost>>,
    /// Whether requests of other origins' pages are refused.
    refuses_foreign_pages: bool,
}

impl CrossSiteGuard {
    /// The guard of a server. Tokens are no ambient authority, so a server with tokens serves any host unless its
    /// operator names some.
    pub(crate) fn new(access: &Access, allowed: Vec<AllowedHost>) -> Self {
        let is_anonymous = matches!(access, Access::Anonymous);
        let hosts = (is_anonymous || !allowed.is_empty()).then_some(allowed);
        Self { hosts, refuses_foreign_pages: is_anonymous }
    }

    /// Refuses a request for an unknown host, and a request of another origin's page.
    ///
    /// # Errors
    ///
    /// 421 for the host, 403 for the page.
    pub(super) fn check(&self, request: &ServiceRequest, cors: &Cors) -> Result<(), Problem> {
        let authority = authority(request);
        if let Some(allowed) = &self.hosts
            && !authority.is_some_and(|authority| host::is_served(authority, allowed))
        {
            return Err(Problem::new(ProblemCode::MisdirectedRequest).caused_by(shown(&HOST, request.headers())));
        }
        if self.refuses_foreign_pages && is_foreign(request, authority.unwrap_or_default(), cors) {
            return Err(Problem::new(ProblemCode::ForeignOrigin).caused_by(shown(&ORIGIN, request.headers())));
        }
        Ok(())
    }
}

/// The host and port that the request addresses; `None` if it has none, or two. An authority in the request target
/// takes precedence (RFC 9112, section 3.2.2), and must equal `Host`.
fn authority(request: &ServiceRequest) -> Option<&str> {
    let mut headers = request.headers().get_all(HOST);
    let header = headers.next()?.to_str().ok()?;
    let target = request.uri().authority().map_or(header, |authority| authority.as_str());
    (headers.next().is_none() && target.eq_ignore_ascii_case(header)).then_some(header)
}

/// Whether a page of another origin, which the operator has not allowed, makes the request.
fn is_foreign(request: &ServiceRequest, authority: &str, cors: &Cors) -> bool {
    let headers = request.headers();
    let (origin, site) = (headers.get(ORIGIN), headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes));
    if cors.allows(origin) {
        return false;
    }
    let is_own = |origin: &HeaderValue| match origin.as_bytes() {
        // A form on a page with `Referrer-Policy: no-referrer`, such as ours, hides even its own origin.
        b"null" => site == Some(b"same-origin"),
        origin => of_scheme(origin).is_some_and(|of| of.eq_ignore_ascii_case(authority.as_bytes())),
    };
    if origin.is_some_and(|origin| !is_own(origin)) {
        return true;
    }
    matches!(site, Some(b"cross-site" | b"same-site")) && !is_navigation(request)
}

/// Whether a person follows a link. The linking page cannot read the response.
fn is_navigation(request: &ServiceRequest) -> bool {
    let is = |name: HeaderName, value: &[u8]| request.headers().get(name).is_some_and(|of| of.as_bytes() == value);
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    is_read && is(SEC_FETCH_MODE, b"navigate") && is(SEC_FETCH_DEST, b"document")
}

/// The host and port of an origin.
fn of_scheme(origin: &[u8]) -> Option<&[u8]> {
    origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"))
}

/// The header for the log.
fn shown(name: &HeaderName, headers: &HeaderMap) -> String {
    let values: Vec<_> = headers.get_all(name).map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    format!("`{name}` is `{}`", values.join("`, `").chars().take(200).collect::<String>())
}
