//! Headers that every response has, so that what a browser makes of it is not left to the browser.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

/// A response is data: nothing in it is run, loaded or framed.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Adds what is missing. A policy that a route has set for a page of its own stays.
pub(super) fn secure(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, NOTHING);
    }
}

/// Keeps the response out of every cache: what went wrong now may go well the next time.
pub(super) fn keep_out_of_caches(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_a_page_stays() {
        let mut headers = HeaderMap::new();
        secure(&mut headers);
        assert_eq!(headers.get(CONTENT_SECURITY_POLICY), Some(&NOTHING));
        let of_page = HeaderValue::from_static("default-src 'self'");
        headers.insert(CONTENT_SECURITY_POLICY, of_page.clone());
        secure(&mut headers);
        assert_eq!(headers.get_all(CONTENT_SECURITY_POLICY).collect::<Vec<_>>(), [&of_page]);
    }
}
