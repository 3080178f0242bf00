//! Clients that hold connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use metricd_api::ServerOptions;
use metricd_repository::MetricRepository;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, sleep, timeout};

use crate::support::TestApp;

/// The web server's clock for this has half seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
const REQUEST_TIMEOUT: Duration = Duration::from_millis(200);

/// Far longer than any of these connections may live.
const PATIENCE: Duration = Duration::from_secs(20);

fn options() -> ServerOptions {
    ServerOptions { keep_alive: KEEP_ALIVE, request_timeout: REQUEST_TIMEOUT, ..ServerOptions::default() }
}

/// Sends the bytes one by one, over and over, until the server ends the connection.
async fn trickle_until_ended(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    let (mut reader, mut writer) = stream.split();
    let mut ticks = interval(Duration::from_millis(25));
    let trickled = async {
        for byte in bytes.iter().cycle() {
            ticks.tick().await;
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    };
    let mut answer = Vec::new();
    let ended = timeout(PATIENCE, async {
        tokio::select! {
            _ = reader.read_to_end(&mut answer) => {}
            () = trickled => {}
        }
    });
    ensure!(ended.await.is_ok(), "the connection is still open");
    Ok(())
}

/// Reads what is answered, up to the end of a body that ends so.
async fn read_until(stream: &mut TcpStream, end: &str) -> Result<()> {
    let mut answer = String::new();
    while !answer.ends_with(end) {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).await?;
        ensure!(count > 0, "ended with {answer}");
        answer += std::str::from_utf8(bytes.get(..count).unwrap_or_default())?;
    }
    Ok(())
}

#[actix_web::test]
async fn a_head_that_is_trickled_after_an_answer_ends_the_connection() -> Result<()> {
    let app = TestApp::with_options(options())?;
    let mut stream = app.connect().await?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    read_until(&mut stream, "}").await?;
    stream.write_all(b"GET /health HTTP/1.1\r\na: ").await?;
    trickle_until_ended(&mut stream, b"b").await
}

#[actix_web::test]
async fn a_body_that_is_trickled_after_its_answer_ends_the_connection() -> Result<()> {
    let app = TestApp::with_options(options())?;
    let mut stream = app.connect().await?;
    stream.write_all(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    read_until(&mut stream, "}").await?;
    trickle_until_ended(&mut stream, b"1\r\nx\r\n").await
}

#[actix_web::test]
async fn a_connection_that_is_used_stays_open() -> Result<()> {
    let app = TestApp::with_options(options())?;
    let mut stream = app.connect().await?;
    let began = Instant::now();
    while began.elapsed() < 2 * (KEEP_ALIVE + REQUEST_TIMEOUT) {
        // In two pieces, with little between them.
        stream.write_all(b"GET /health HTTP/1.1\r\n").await?;
        tokio::task::yield_now().await;
        stream.write_all(b"Host: localhost\r\n\r\n").await?;
        read_until(&mut stream, "}").await?;
    }
    Ok(())
}

#[actix_web::test]
async fn an_answer_that_is_read_slowly_is_sent_whole() -> Result<()> {
    const ROW_BYTES: usize = 1 << 20;
    const ROWS: usize = 14;
    let repository: Arc<dyn MetricRepository> = TestApp::store().await?;
    let app = TestApp::with_options_on(repository, options())?;
    app.runner.script("SELECT 1", || Ok(vec![Some("x".repeat(ROW_BYTES)); ROWS]));
    let mut stream = app.connect().await?;
    stream.write_all(b"GET /metrics/m1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut bytes = vec![0; 1 << 20];
    let mut count = 0;
    for _ in 0..3 {
        sleep(KEEP_ALIVE + 2 * REQUEST_TIMEOUT).await;
        let read = stream.read(&mut bytes).await?;
        ensure!(read > 0, "ended after {count} bytes");
        count += read;
    }
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await?;
    count += rest.len();
    assert!(count > ROWS * ROW_BYTES, "{count}");
    Ok(())
}
