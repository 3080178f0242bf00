//! Results that are longer than a chunk.

use anyhow::{Context, Result};
use metricd_execution::testing::{Ending, ScriptedResult, ScriptedRunner};
use metricd_execution::{Column, FieldType, RunError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{TestApp, eventually};

pub(crate) const SQL: &str = "-- Title \"one\"\nSELECT 1";

/// This many rows of 100 bytes, and an outcome.
pub(crate) fn script(runner: &ScriptedRunner, rows: usize, ending: Ending) {
    let column = Column { name: "value".into(), type_name: "text".into(), field_type: FieldType::Text };
    let rows = vec![vec![Some(vec![b'x'; 100])]; rows];
    runner.script_result(SQL, move || Ok(ScriptedResult { columns: vec![column.clone()], rows: rows.clone(), ending }));
}

pub(crate) fn failing() -> Ending {
    Ending::Fails(|| RunError::Failed { sqlstate: "22012".into(), message: "division by zero".into() })
}

#[actix_web::test]
async fn a_long_result_is_sent_in_chunks_and_ends_well() -> Result<()> {
    let app = TestApp::start().await?;
    script(&app.runner, 50_000, Ending::Complete);
    for (format, lines) in [("csv", 50_001), ("ndjson", 50_000)] {
        let answer = app.get(&format!("/metrics/m1?format={format}")).await?;
        assert_eq!(answer.body.lines().count(), lines);
        assert_eq!(answer.header("transfer-encoding"), "chunked");
        assert_eq!(answer.header("x-row-limit"), "1000000");
        assert_eq!(answer.header("content-length"), "");
    }
    Ok(())
}

#[actix_web::test]
async fn a_stream_that_reaches_the_requested_limit_completes() -> Result<()> {
    let app = TestApp::start().await?;
    script(&app.runner, 50_000, Ending::Complete);
    let answer = app.get("/metrics/m1?format=csv&limit=20000").await?;
    assert_eq!((answer.body.lines().count(), answer.header("x-row-limit")), (20_001, "20000"));
    Ok(())
}

#[actix_web::test]
async fn a_stream_truncated_by_the_server_is_aborted() -> Result<()> {
    let app = TestApp::start().await?;
    script(&app.runner, 1_000_001, Ending::Complete);
    let mut response = reqwest::get(app.url("/metrics/m1?format=csv")).await?;
    assert_eq!(response.status(), 200);
    let mut size_bytes = 0;
    let ended = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => size_bytes += chunk.len(),
            other => break other,
        }
    };
    assert!(ended.is_err(), "{ended:?}");
    assert!(size_bytes > 100_000_000, "{size_bytes}");
    Ok(())
}

#[actix_web::test]
async fn an_error_before_the_first_chunk_is_a_problem() -> Result<()> {
    let app = TestApp::start().await?;
    script(&app.runner, 10, failing());
    for format in ["csv", "ndjson"] {
        let answer = app.get(&format!("/metrics/m1?format={format}")).await?;
        answer.assert_problem(500, "query-failed", "/metrics/m1")?;
        assert_eq!(answer.header("content-disposition"), "");
    }
    Ok(())
}

#[actix_web::test]
async fn an_error_in_the_middle_aborts_the_stream() -> Result<()> {
    let app = TestApp::start().await?;
    script(&app.runner, 50_000, failing());
    let response = reqwest::get(app.url("/metrics/m1?format=ndjson")).await?;
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err(), "the client notices");

    let mut stream = TcpStream::connect(app.url("").trim_start_matches("http://")).await?;
    stream.write_all(b"GET /metrics/m1?format=ndjson HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut answer = Vec::new();
    // The server may also reset the connection, which is as good.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer)?;
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("\r\n0\r\n"), "{}", answer.len());
    assert_eq!(app.get("/health").await?.status, 200, "the server continues");
    Ok(())
}

#[actix_web::test]
async fn rows_are_sent_during_the_run_which_is_cancelled_with_its_client() -> Result<()> {
    let app = TestApp::start().await?;
    for rows in [1, 10_000] {
        script(&app.runner, rows, Ending::Never);
        let mut response = reqwest::get(app.url("/metrics/m1?format=csv")).await?;
        let first = response.chunk().await?.context("a chunk")?;
        assert!(first.starts_with(b"value\r\nxxx"), "{first:?}");
        assert_eq!(app.runner.running(), 1);
        drop(response);
        eventually("the run is given up", || app.runner.running() == 0).await?;
    }
    // Before the first chunk there is no response to drop.
    script(&app.runner, 0, Ending::Never);
    let request = actix_web::rt::spawn(reqwest::get(app.url("/metrics/m1?format=csv")));
    eventually("the run has begun", || app.runner.running() == 1).await?;
    request.abort();
    eventually("the run is given up", || app.runner.running() == 0).await?;
    Ok(())
}

#[actix_web::test]
async fn a_client_that_does_not_read_applies_back_pressure_to_the_run() -> Result<()> {
    let app = TestApp::start().await?;
    script(&app.runner, 300_000, Ending::Complete);
    let response = reqwest::get(app.url("/metrics/m1?format=csv")).await?;
    // Thirty megabytes are more than sockets and buffers hold, so the run cannot have ended.
    assert_eq!(app.runner.running(), 1);
    assert_eq!(response.text().await?.lines().count(), 300_001);
    assert_eq!(app.runner.running(), 0);
    Ok(())
}

#[actix_web::test]
async fn a_client_without_chunked_coding_gets_a_buffered_result() -> Result<()> {
    let app = TestApp::start().await?;
    script(&app.runner, 20_000, Ending::Complete);
    let mut stream = TcpStream::connect(app.url("").trim_start_matches("http://")).await?;
    stream.write_all(b"GET /metrics/m1?format=ndjson HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("a head")?;
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    assert_eq!(body.lines().count(), 20_000);
    Ok(())
}

#[actix_web::test]
async fn head_cancels_a_long_run_and_keeps_the_connection() -> Result<()> {
    let app = TestApp::start().await?;
    script(&app.runner, 50_000, Ending::Never);
    let mut stream = app.connect().await?;
    stream.write_all(b"HEAD /metrics/m1?format=csv HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
    eventually("the run is given up", || app.runner.running() == 0).await?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    Ok(())
}
