//! Requests that are too large or too slow, and bodies that no route reads.

use std::time::Duration;

use anyhow::Result;
use metricd_api::ServerOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::TestApp;

#[actix_web::test]
async fn a_target_that_is_too_long_is_refused_and_not_repeated() -> Result<()> {
    let app = TestApp::start().await?;
    let path = |length: usize| format!("/{}", "x".repeat(length - 1));
    app.get(&path(8192)).await?.assert_problem(404, "not-found", &path(8192))?;
    app.get(&path(8193)).await?.assert_problem(414, "uri-too-long", &path(200))?;
    let query = format!("/health?{}", "x".repeat(8192));
    app.get(&query).await?.assert_problem(414, "uri-too-long", "/health")?;
    Ok(())
}

#[actix_web::test]
async fn headers_that_are_too_large_are_refused() -> Result<()> {
    let app = TestApp::start().await?;
    let send_header = |bytes: usize| app.send(app.client.get(app.url("/health")).header("x-large", "x".repeat(bytes)));
    assert_eq!(send_header(32_000).await?.status, 200);
    send_header(32 << 10).await?.assert_problem(431, "headers-too-large", "/health")?;
    Ok(())
}

#[actix_web::test]
async fn a_head_beyond_the_parsers_limits_closes_the_connection() -> Result<()> {
    let app = TestApp::start().await?;
    let many = "x: y\r\n".repeat(101);
    let large = format!("x: {}\r\n", "y".repeat(200 << 10));
    for headers in [many, large] {
        let mut stream = app.connect().await?;
        let _ = stream.write_all(format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes()).await;
        let mut answer = Vec::new();
        // Unread data makes the system reset the connection, which is as good.
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer)?;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    assert_eq!(app.get("/health").await?.status, 200);
    Ok(())
}

#[actix_web::test]
async fn an_unread_body_is_discarded_and_not_parsed_as_a_request() -> Result<()> {
    let app = TestApp::start().await?;
    let size_bytes = 64 << 20;
    let mut stream = app.connect().await?;
    let head = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size_bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let body = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000);
    let mut sent = 0;
    while sent < size_bytes && stream.write_all(&body).await.is_ok() {
        sent += body.len();
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer)?;
    assert!(answer.matches("HTTP/1.1 ").count() <= 1 && !answer.contains("404"), "{answer}");
    assert_eq!(app.get("/health").await?.status, 200);
    Ok(())
}

#[actix_web::test]
async fn a_large_unread_body_is_refused() -> Result<()> {
    let app = TestApp::start().await?;
    let client = &app.client;
    for (size_bytes, status) in [(0, 200), (64 << 10, 200), ((64 << 10) + 1, 413)] {
        let answer = app.send(client.get(app.url("/health")).body(vec![b'x'; size_bytes])).await?;
        assert_eq!(answer.status, status, "{size_bytes}");
    }
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>("x")]);
    let chunked = client.delete(app.url("/metrics/m1")).body(reqwest::Body::wrap_stream(pieces));
    app.send(chunked).await?.assert_problem(413, "content-too-large", "/metrics/m1")?;
    Ok(())
}

#[actix_web::test]
async fn a_small_unread_body_gets_a_response() -> Result<()> {
    let app = TestApp::start().await?;
    let mut stream = app.connect().await?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nGET /").await?;
    stream.write_all(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer)?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.contains("HTTP/1.1 400"), "{answer}");
    Ok(())
}

#[actix_web::test]
async fn a_request_that_takes_too_long_to_arrive_times_out() -> Result<()> {
    let options = ServerOptions { request_timeout: Duration::from_millis(50), ..ServerOptions::default() };
    let app = TestApp::builder().options(options).start()?;
    let mut stream = app.connect().await?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    Ok(())
}
