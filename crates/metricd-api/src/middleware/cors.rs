//! CORS: which other origins' pages may read responses (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! Without an allowed origin no CORS header is sent, and browsers hide responses from pages of other origins.
//! Credentials of the browser are never allowed: a page must set the token in a header itself. Decision 0047 says why this is
//! not actix-cors.

mod origin;

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
};

pub use self::origin::{AllowedOrigin, InvalidOrigin};

/// The methods of all paths. A path refuses other methods itself, with a problem that the page can read.
const ALLOW_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE");

/// The request headers that a page may send in addition to the safelisted ones.
const ALLOW_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, if-match, if-none-match, metricd-after, x-request-id",
);

/// The response headers that a page may read in addition to the safelisted ones.
const EXPOSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "accept, accept-encoding, allow, content-disposition, etag, idempotent-replayed, location, metricd-lag, metricd-lsn, metricd-snapshot, ratelimit, ratelimit-policy, \
     retry-after, server-timing, www-authenticate, x-request-id, x-row-limit, x-time-zone, x-truncated",
);

/// How many seconds a browser may cache a preflight response.
const PREFLIGHT_MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// The origins whose pages may read responses.
#[derive(Debug, Default)]
pub(crate) struct Cors {
    allowed: Vec<AllowedOrigin>,
}

impl Cors {
    pub(crate) fn new(allowed: Vec<AllowedOrigin>) -> Self {
        Self { allowed }
    }

    /// Whether pages of the origin may read responses. Browsers omit the origin of some requests, so an operator who
    /// allows any origin allows these as well.
    pub(super) fn allows(&self, origin: Option<&HeaderValue>) -> bool {
        self.allowed.contains(&AllowedOrigin::Any) || self.allowed_origin(origin).is_some()
    }

    /// Answers a preflight request. It has no token, so it is answered before authentication, and for every path.
    pub(super) fn preflight(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        let is_preflight =
            request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight || self.allowed_origin(request.headers().get(ORIGIN)).is_none() {
            return None;
        }
        let mut response = HttpResponse::NoContent();
        response.insert_header((ACCESS_CONTROL_ALLOW_METHODS, ALLOW_METHODS));
        response.insert_header((ACCESS_CONTROL_ALLOW_HEADERS, ALLOW_HEADERS));
        response.insert_header((ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE_SECONDS));
        Some(response.finish())
    }

    /// Adds the headers that let the origin's pages read the response.
    pub(super) fn add_headers(&self, response: &mut ServiceResponse<BoxBody>) {
        if self.allowed.is_empty() {
            return;
        }
        let allowed_origin = self.allowed_origin(response.request().headers().get(ORIGIN));
        let headers = response.headers_mut();
        if !self.allowed.contains(&AllowedOrigin::Any) {
            // A cache must not serve one origin's response to another.
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        if let Some(allowed_origin) = allowed_origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed_origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSE_HEADERS);
        }
    }

    /// The value of `Access-Control-Allow-Origin`, if the origin is allowed.
    fn allowed_origin(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        let origin = origin?;
        let fitting = self.allowed.iter().filter(|allowed| allowed.is(origin.as_bytes()));
        // A constant value lets caches share the response.
        let is_any = fitting.clone().any(|allowed| *allowed == AllowedOrigin::Any);
        let allowed_origin = if is_any { HeaderValue::from_static("*") } else { origin.clone() };
        fitting.last().map(|_| allowed_origin)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::openapi::api_document;

    /// The safelisted response headers (<https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name>), and
    /// headers for caches.
    const SAFELISTED: &[&str] = &["cache-control", "content-length", "content-type", "last-modified", "vary"];

    fn names(header: &HeaderValue) -> BTreeSet<String> {
        header.to_str().unwrap().split(", ").map(str::to_owned).collect()
    }

    fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
        value.as_object().into_iter().flatten()
    }

    #[test]
    fn pages_may_use_what_the_document_names() {
        let document: Value = serde_json::from_str(api_document()).unwrap();
        let (mut methods, mut sent, mut answered) =
            (BTreeSet::from(["HEAD".to_owned()]), BTreeSet::new(), BTreeSet::new());
        let shared = members(&document["components"]["responses"]).map(|(_, response)| response.clone());
        let mut responses: Vec<_> = shared.collect();
        for (method, operation) in members(&document["paths"]).flat_map(|(_, path)| members(path)) {
            methods.insert(method.to_uppercase());
            responses.extend(members(&operation["responses"]).map(|(_, response)| response.clone()));
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let headers = parameters.filter(|parameter| parameter["in"] == "header");
            sent.extend(headers.map(|parameter| parameter["name"].as_str().unwrap().to_lowercase()));
        }
        for response in &responses {
            answered.extend(members(&response["headers"]).map(|(name, _)| name.to_lowercase()));
        }
        assert_eq!(names(&ALLOW_METHODS), methods);
        let missing: Vec<_> = sent.difference(&names(&ALLOW_HEADERS)).cloned().collect();
        assert!(sent.contains("if-match") && missing.is_empty(), "{missing:?}");
        answered.retain(|name| !SAFELISTED.contains(&name.as_str()));
        let missing: Vec<_> = answered.difference(&names(&EXPOSE_HEADERS)).cloned().collect();
        assert!(answered.contains("etag") && missing.is_empty(), "{missing:?}");
    }
}
