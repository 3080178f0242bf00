//! Negotiation between HTML and JSON.

use actix_web::HttpRequest;
use actix_web::http::header::{Accept, Header};

/// Whether `Accept` prefers HTML to JSON, as a browser's does.
pub(crate) fn prefers_html(request: &HttpRequest) -> bool {
    let ranges = Accept::parse(request).map(|accept| accept.ranked()).unwrap_or_default();
    let named = ranges.iter().map(|range| (range.type_().as_str(), range.subtype().as_str()));
    let liked =
        named.filter(|range| matches!(range, ("text", "html" | "*") | ("application", "json" | "*") | ("*", _)));
    matches!(liked.into_iter().next(), Some(("text", _)))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn browsers_get_html_and_programs_json() {
        let accepts =
            |accept: &str| prefers_html(&TestRequest::default().insert_header(("accept", accept)).to_http_request());
        for html in
            ["text/html", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "image/png, text/*"]
        {
            assert!(accepts(html), "{html}");
        }
        for json in ["", "*/*", "application/json, text/html;q=0.9", "text/html;q=0.1, */*", "text/csv"] {
            assert!(!accepts(json), "{json}");
        }
    }
}
