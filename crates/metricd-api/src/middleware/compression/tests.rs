use actix_web::HttpResponse;
use actix_web::body::to_bytes;
use actix_web::http::header::{ACCEPT_ENCODING, HeaderName};
use actix_web::test::TestRequest;

use super::*;

/// The response to a request that accepts gzip.
fn compressed(response: HttpResponse) -> ServiceResponse<BoxBody> {
    let request = TestRequest::default().insert_header((ACCEPT_ENCODING, "gzip"));
    compress(request.to_srv_response(response))
}

fn text(size_bytes: usize) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("x".repeat(size_bytes))
}

fn header(response: &ServiceResponse<BoxBody>, name: HeaderName) -> &str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[test]
fn long_text_is_compressed() {
    for (size_bytes, coding, vary) in [(1023, "", ""), (1024, "gzip", "accept-encoding")] {
        let response = compressed(text(size_bytes));
        assert_eq!((header(&response, CONTENT_ENCODING), header(&response, VARY)), (coding, vary), "{size_bytes}");
    }
}

#[test]
fn bodies_that_must_not_change_are_not_compressed() {
    let large = "x".repeat(4096);
    let mut image = HttpResponse::Ok();
    image.content_type("image/png");
    let mut encoded = HttpResponse::Ok();
    encoded.content_type("text/css").insert_header((CONTENT_ENCODING, "br"));
    let mut kept = HttpResponse::Ok();
    kept.content_type("text/css").insert_header((CACHE_CONTROL, "private, no-transform"));
    let mut part = HttpResponse::PartialContent();
    part.content_type("text/css").insert_header((CONTENT_RANGE, "bytes 0-4095/9999"));
    for mut builder in [image, encoded, kept, part, HttpResponse::Ok()] {
        let response = compressed(builder.body(large.clone()));
        assert_ne!(header(&response, CONTENT_ENCODING), "gzip", "{response:?}");
        assert_eq!(header(&response, VARY), "", "{response:?}");
    }
    assert_eq!(header(&compressed(HttpResponse::NoContent().finish()), VARY), "");
}

#[test]
fn not_modified_varies_by_accept_encoding() {
    let response = compressed(HttpResponse::NotModified().finish());
    assert_eq!((header(&response, CONTENT_ENCODING), header(&response, VARY)), ("", "accept-encoding"));
}

#[test]
fn text_types_are_recognized() {
    for worth in ["text/csv; charset=utf-8", "application/json", "application/problem+json", "image/svg+xml"] {
        assert!(gains_from_coding(worth.as_bytes()), "{worth}");
    }
    for other in ["", "image/png", "application/octet-stream", "application/json-seq"] {
        assert!(!gains_from_coding(other.as_bytes()), "{other}");
    }
}

#[test]
fn a_response_with_a_strong_etag_is_not_compressed() {
    for (tag, coding) in [("\"7\"", ""), ("W/\"7\"", "gzip")] {
        let mut response = HttpResponse::Ok();
        response.content_type("text/css").insert_header((ETAG, tag));
        let response = compressed(response.body("x".repeat(4096)));
        assert_eq!((header(&response, ETAG), header(&response, CONTENT_ENCODING)), (tag, coding));
    }
}

#[actix_web::test]
async fn an_incompressible_body_is_sent_unchanged() {
    let mut noise = Vec::new();
    let mut state = 1_u64;
    while noise.len() < 4096 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        noise.extend_from_slice(&state.to_be_bytes()[..4]);
    }
    let response = compressed(HttpResponse::Ok().content_type("text/plain").body(noise.clone()));
    assert_eq!((header(&response, CONTENT_ENCODING), header(&response, VARY)), ("", "accept-encoding"));
    assert_eq!(to_bytes(response.into_body()).await.unwrap(), noise);
}
