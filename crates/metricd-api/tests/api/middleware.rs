//! What holds for every request, whatever its path.

use anyhow::{Context, Result};
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::TestApp;

#[actix_web::test]
async fn an_unknown_path_is_a_problem() -> Result<()> {
    let app = TestApp::start().await?;
    for path in ["/", "/metric", "/metrics/", "/metrics/m1/x", "/health/", "/%2e%2e/etc"] {
        let answer = app.get(path).await?;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
    }
    app.get("/nowhere").await?.assert_problem(404, "not-found", "/nowhere")?;
    Ok(())
}

#[actix_web::test]
async fn an_unsupported_method_is_a_problem() -> Result<()> {
    let app = TestApp::start().await?;
    for path in ["/health", "/health/ready", "/metrics/m1/definition", "/ingestions/x"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = app.send(app.client.request(method, app.url(path)).body("{")).await?;
            answer.assert_problem(405, "method-not-allowed", path)?;
            assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
        }
    }
    Ok(())
}

#[actix_web::test]
async fn options_lists_the_methods_of_a_path() -> Result<()> {
    let app = TestApp::start().await?;
    let options = |path: &str| app.send(app.client.request(Method::OPTIONS, app.url(path)));
    let reads = "GET, HEAD, OPTIONS";
    for (path, allow) in [
        ("/health", reads),
        ("/health/ready", reads),
        ("/metrics", "GET, HEAD, OPTIONS, POST"),
        ("/metrics/m1", "GET, HEAD, OPTIONS, PATCH, DELETE"),
        ("/metrics/none/definition", reads),
        ("/metrics/m1/restore", "OPTIONS, POST"),
        ("/ingestions/x", reads),
    ] {
        let answer = options(path).await?;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{path}");
        assert_eq!(answer.header("allow"), allow, "{path}");
        assert_eq!(answer.header("content-length"), "", "{path}");
    }
    options("/nowhere").await?.assert_problem(404, "not-found", "/nowhere")?;
    Ok(())
}

#[actix_web::test]
async fn head_equals_get_without_the_body() -> Result<()> {
    let app = TestApp::start().await?;
    let client = &app.client;
    for path in
        ["/health", "/health/ready", "/metrics/m1/definition", "/metrics/none", "/nowhere", "/metrics/m1?limit=0"]
    {
        let (get, head) = (app.get(path).await?, app.send(client.head(app.url(path))).await?);
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        for header in ["content-type", "content-length", "allow"] {
            assert_eq!(head.header(header), get.header(header), "{path}: {header}");
        }
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{path}");
    }
    Ok(())
}

#[actix_web::test]
async fn every_response_has_security_headers() -> Result<()> {
    let app = TestApp::start().await?;
    for (path, is_problem) in [("/health", false), ("/metrics/m1/definition", false), ("/nowhere", true)] {
        let answer = app.get(path).await?;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        let policy = "default-src 'none'; frame-ancestors 'none'";
        assert_eq!(answer.header("content-security-policy"), policy, "{path}");
        assert_eq!(answer.header("cache-control") == "no-store", is_problem, "{path}");
    }
    Ok(())
}

#[actix_web::test]
async fn every_response_has_a_request_id_and_timing() -> Result<()> {
    let app = TestApp::start().await?;
    for path in ["/health", "/nowhere", "/metrics/none", "/metrics/m1?limit=0"] {
        let answer = app.get(path).await?;
        assert_eq!(answer.header("x-request-id").len(), 36, "{path}");
        assert!(answer.header("server-timing").starts_with("total;dur="), "{path}");
    }
    Ok(())
}

#[actix_web::test]
async fn a_valid_request_id_is_kept_and_an_invalid_one_replaced() -> Result<()> {
    let app = TestApp::start().await?;
    let with_id = |id: String| app.send(app.client.get(app.url("/health")).header("x-request-id", id));
    assert_eq!(with_id("trace-1.a_B".to_owned()).await?.header("x-request-id"), "trace-1.a_B");
    for id in ["a b", "a\"b", "a;b", &"x".repeat(129)] {
        assert_eq!(with_id(id.to_owned()).await?.header("x-request-id").len(), 36, "{id}");
    }
    Ok(())
}

#[actix_web::test]
async fn invalid_http_is_refused_and_the_server_continues() -> Result<()> {
    let app = TestApp::start().await?;
    let address = app.url("").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await?;
    stream.write_all(b"GET / HTTP/9.9\r\nnonsense\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.context("the server closes what it cannot read")?;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(app.get("/health").await?.status, 200);
    Ok(())
}
