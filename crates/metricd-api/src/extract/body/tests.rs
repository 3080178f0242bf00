use actix_web::test::TestRequest;
use actix_web::web::Bytes;
use actix_web::{ResponseError, http::StatusCode};
use futures_util::stream;
use serde::Deserialize;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with a name")]
struct Named {
    name: String,
}

async fn read_as(content_type: &str, body: &[u8]) -> Result<Named, Problem> {
    let request = TestRequest::post().insert_header(("content-type", content_type)).set_payload(body.to_vec());
    let (request, mut payload) = request.to_http_parts();
    Json::from_request(&request, &mut payload).await.map(|Json(named)| named)
}

/// Code, status and detail of the body's problem.
async fn problem(body: &[u8]) -> (&'static str, u16, String) {
    parts_of(read_as("application/json", body).await.unwrap_err()).await
}

fn arriving(chunks: impl stream::Stream<Item = Result<Bytes, PayloadError>> + 'static) -> Payload {
    Payload::Stream { payload: Box::pin(chunks) }
}

async fn parts_of(problem: Problem) -> (&'static str, u16, String) {
    let response = problem.respond("/");
    let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
    let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
    (problem.code().code(), problem.status_code().as_u16(), document["detail"].as_str().unwrap().to_owned())
}

#[actix_web::test]
async fn json_is_read_whatever_its_exact_type() {
    for content_type in ["application/json", "Application/JSON; charset=UTF-8", "application/merge-patch+json"] {
        let named = read_as(content_type, b" {\"name\": \"\xc3\xa4\"}\n").await.unwrap();
        assert_eq!(named, Named { name: "ä".to_owned() });
    }
}

#[actix_web::test]
async fn a_body_not_declared_as_json_is_not_read() {
    for content_type in ["", "text/plain", "text/json", "application/jsonp", "application/json; charset=latin1", "json"]
    {
        let problem = read_as(content_type, b"{\"name\": \"x\"}").await.unwrap_err();
        assert_eq!(problem.status_code(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
        assert_eq!(problem.respond("/").headers().get("accept").unwrap(), "application/json", "{content_type}");
    }
    let compressed = TestRequest::post().insert_header(("content-type", "application/json"));
    let (request, payload) = compressed.insert_header(("content-encoding", "gzip")).to_http_parts();
    let problem = read_json::<Named>(&request, payload).await.unwrap_err();
    assert_eq!(problem.respond("/").headers().get("accept-encoding").unwrap(), "identity");
}

#[actix_web::test]
async fn malformed_json_is_reported_with_its_position() {
    let (code, status, detail) = problem(b"{\"name\": \"x\",\n}").await;
    assert_eq!((code, status), ("malformed-json", 400));
    assert_eq!(detail, "The body is not JSON: there is a comma after the last entry at line 2 column 1.");
    assert_eq!(problem(b"").await.2, "The body is not JSON: it is empty at line 1 column 1.");
}

#[actix_web::test]
async fn json_of_another_shape_gets_the_types_message() {
    for (body, expected) in [
        ("{}", "the field `name` is missing at line 1 column 2"),
        ("{\"name\": 1}", "expected a string, not `1` at line 1 column 10"),
        ("{\"name\": \"x\", \"nome\": 1}", "the field `nome` is not known: expected `name` at line 1 column 20"),
        ("1", "expected an object with a name, not `1` at line 1 column 1"),
    ] {
        let (code, status, detail) = problem(body.as_bytes()).await;
        assert_eq!((code, status), ("invalid-body", 422));
        assert_eq!(detail, format!("The body is not what this path expects: {expected}."));
    }
    let long = format!("{{\"{}\": 1}}", "x".repeat(100_000));
    assert!(problem(long.as_bytes()).await.2.len() < 400);
}

#[actix_web::test]
async fn the_size_limit_applies_to_declared_and_chunked_bodies() {
    let body_of = |size_bytes: usize| format!("{{\"name\": \"{}\"}}", "x".repeat(size_bytes - 12));
    assert!(read_as("application/json", body_of(MAX_BODY_BYTES).as_bytes()).await.is_ok());
    let (code, status, _) = problem(body_of(MAX_BODY_BYTES + 1).as_bytes()).await;
    assert_eq!((code, status), ("content-too-large", 413));

    let request = TestRequest::post().insert_header(("content-type", "application/json"));
    let request = request.insert_header(("content-length", MAX_BODY_BYTES + 1)).to_http_request();
    let problem = read_json::<Named>(&request, arriving(stream::pending())).await.unwrap_err();
    assert_eq!(problem.code(), ProblemCode::ContentTooLarge, "nothing of it is waited for");
}

#[actix_web::test]
async fn a_body_that_does_not_arrive_times_out() {
    let request = TestRequest::post().insert_header(("content-type", "application/json")).to_http_request();
    tokio::time::pause();
    let trickling = stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok(Bytes::from_static(b" ")), ()))
    });
    let began = tokio::time::Instant::now();
    let problem = read_json::<Named>(&request, arriving(trickling)).await.unwrap_err();
    assert_eq!(parts_of(problem).await, ("request-timeout", 408, "The body did not arrive within 10 s.".to_owned()));
    assert!(began.elapsed() < Duration::from_secs(11));

    let cut = stream::iter([Ok(Bytes::from_static(b"{")), Err(PayloadError::Incomplete(None))]);
    let problem = read_json::<Named>(&request, arriving(cut)).await.unwrap_err();
    assert_eq!(parts_of(problem).await.2, "The body is incomplete.");
}
