//! Security headers of every response.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

/// Responses are data: nothing in them is executed, loaded or framed.
const DENY_ALL_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Adds the missing headers. A page's own `Content-Security-Policy` is kept.
pub(super) fn add_security_headers(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, DENY_ALL_POLICY);
    }
}

/// Forbids caching of errors, which may be transient.
pub(super) fn forbid_caching(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_a_page_stays() {
        let mut headers = HeaderMap::new();
        add_security_headers(&mut headers);
        assert_eq!(headers.get(CONTENT_SECURITY_POLICY), Some(&DENY_ALL_POLICY));
        let of_page = HeaderValue::from_static("default-src 'self'");
        headers.insert(CONTENT_SECURITY_POLICY, of_page.clone());
        add_security_headers(&mut headers);
        assert_eq!(headers.get_all(CONTENT_SECURITY_POLICY).collect::<Vec<_>>(), [&of_page]);
    }
}
