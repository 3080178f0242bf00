//! Clients that occupy connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use metricd_api::{ConnectionLimits, ServerOptions};
use metricd_repository::MetricRepository;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{interval, sleep, timeout};

use crate::support::{HANG_TIMEOUT, TestApp};

/// The web server's timer has a resolution of half a second.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
const REQUEST_TIMEOUT: Duration = Duration::from_millis(500);

fn options() -> ServerOptions {
    ServerOptions { keep_alive: KEEP_ALIVE, request_timeout: REQUEST_TIMEOUT, ..ServerOptions::default() }
}

/// Sends the bytes one by one, repeatedly, until the server closes the connection.
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
    let ended = timeout(HANG_TIMEOUT, async {
        tokio::select! {
            _ = reader.read_to_end(&mut answer) => {}
            () = trickled => {}
        }
    });
    ensure!(ended.await.is_ok(), "the connection is still open");
    Ok(())
}

/// Reads up to the end of a body that ends with this text.
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
async fn trickling_a_head_after_a_response_closes_the_connection() -> Result<()> {
    let app = TestApp::builder().options(options()).start()?;
    let mut stream = app.connect().await?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    read_until(&mut stream, "}").await?;
    stream.write_all(b"GET /health HTTP/1.1\r\na: ").await?;
    trickle_until_ended(&mut stream, b"b").await
}

#[actix_web::test]
async fn trickling_a_body_after_the_response_closes_the_connection() -> Result<()> {
    let app = TestApp::builder().options(options()).start()?;
    let mut stream = app.connect().await?;
    stream.write_all(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    read_until(&mut stream, "}").await?;
    trickle_until_ended(&mut stream, b"1\r\nx\r\n").await
}

#[actix_web::test]
async fn an_active_connection_stays_open() -> Result<()> {
    let app = TestApp::builder().options(options()).start()?;
    let mut stream = app.connect().await?;
    let began = Instant::now();
    while began.elapsed() < 2 * (KEEP_ALIVE + REQUEST_TIMEOUT) {
        // In two chunks with a short pause.
        stream.write_all(b"GET /health HTTP/1.1\r\n").await?;
        tokio::task::yield_now().await;
        stream.write_all(b"Host: localhost\r\n\r\n").await?;
        read_until(&mut stream, "}").await?;
    }
    Ok(())
}

#[actix_web::test]
async fn a_response_that_is_read_slowly_is_sent_completely() -> Result<()> {
    const ROW_BYTES: usize = 1 << 20;
    const ROWS: usize = 14;
    let repository: Arc<dyn MetricRepository> = TestApp::store().await?;
    let app = TestApp::builder().repository(repository).options(options()).start()?;
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

/// A server whose metric `m1` has a result of this many bytes.
async fn app_with_result(size_bytes: usize, limits: ConnectionLimits) -> Result<TestApp> {
    let app = TestApp::builder()
        .repository(TestApp::store().await?)
        .options(ServerOptions { limits, ..ServerOptions::default() })
        .start()?;
    app.runner.script("SELECT 1", move || Ok(vec![Some("x".repeat(size_bytes / 8)); 8]));
    Ok(app)
}

/// A client that sends this and reads nothing.
async fn request_unread(app: &TestApp, path: &str) -> Result<TcpStream> {
    request_unread_from(1, app, path).await
}

/// The same from this loopback address.
async fn request_unread_from(host: u8, app: &TestApp, path: &str) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, host], 0).into())?;
    // A small receive buffer leaves most of the response with the server.
    socket.set_recv_buffer_size(64 << 10)?;
    let mut stream = socket.connect(app.address().parse()?).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    Ok(stream)
}

/// Reads until the connection is closed; returns the number of bytes.
async fn read_to_end(mut stream: TcpStream) -> Result<usize> {
    let mut bytes = Vec::new();
    // It may also be reset.
    let read = timeout(HANG_TIMEOUT, stream.read_to_end(&mut bytes)).await;
    ensure!(read.is_ok(), "the connection is still open");
    Ok(bytes.len())
}

#[actix_web::test]
async fn each_pipelined_request_gets_its_own_response() -> Result<()> {
    const GET: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const HEAD: &str = "HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const CLOSE: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    const OLD: &str = "GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n";
    const UPGRADE: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\n\r\n";
    const CHUNKED: &str = "POST /metrics/m1/restore HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
                           5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n";
    const SIZED: &str = "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: \
                         \t                                                                   5\r\n\r\nhello";
    /// The HTTP version of a response, whether it closes the connection, and whether it has a body.
    type Shape = (char, bool, bool);
    const PLAIN: Shape = ('1', false, true);
    const BODILESS: Shape = ('1', false, false);
    const LAST: Shape = ('1', true, true);
    const OLDEST: Shape = ('0', false, true);

    let app = TestApp::start().await?;
    let cases: [(&[&str], &[Shape]); 6] = [
        (&[GET, HEAD, CLOSE], &[PLAIN, BODILESS, LAST]),
        (&[GET, UPGRADE, GET, HEAD, CLOSE], &[PLAIN, PLAIN, PLAIN, BODILESS, LAST]),
        (&[CHUNKED, GET, HEAD, CLOSE], &[PLAIN, PLAIN, BODILESS, LAST]),
        (&[CHUNKED, CHUNKED, HEAD, CHUNKED, OLD], &[PLAIN, PLAIN, BODILESS, PLAIN, OLDEST]),
        (&[SIZED, HEAD, CLOSE], &[PLAIN, BODILESS, LAST]),
        (&[GET, OLD], &[PLAIN, OLDEST]),
    ];
    for (requests, expected) in cases {
        for size in [1, 50, 10_000] {
            let mut stream = app.connect().await?;
            for piece in requests.concat().as_bytes().chunks(size) {
                stream.write_all(piece).await?;
            }
            let mut answers = String::new();
            timeout(HANG_TIMEOUT, stream.read_to_string(&mut answers)).await??;
            let shape = |answer: &str| {
                let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
                (head.chars().next().unwrap_or_default(), head.contains("connection: close"), !body.is_empty())
            };
            let shapes: Vec<_> = answers.split("HTTP/1.").skip(1).map(shape).collect();
            assert_eq!(shapes, expected, "{requests:?} by {size}: {answers}");
        }
    }
    Ok(())
}

/// Waits until the server has closed the connection, without reading from it: the system resets a connection on which
/// something arrives after that.
async fn until_closed(stream: &mut TcpStream) -> Result<()> {
    let mut ticks = interval(Duration::from_millis(25));
    let closed = async {
        while stream.write_all(b"x").await.is_ok() {
            ticks.tick().await;
        }
    };
    ensure!(timeout(HANG_TIMEOUT, closed).await.is_ok(), "the connection is still open");
    Ok(())
}

#[actix_web::test]
async fn a_client_that_does_not_read_its_response_is_disconnected() -> Result<()> {
    let rate_window = Duration::from_millis(400);
    let app = app_with_result(14 << 20, ConnectionLimits { rate_window, ..ConnectionLimits::default() }).await?;
    let mut stream = request_unread(&app, "/metrics/m1").await?;
    stream.readable().await?;
    until_closed(&mut stream).await?;
    // Only what the system has buffered can still be read.
    assert!(read_to_end(stream).await? < 14 << 20);
    Ok(())
}

/// While the SQL runs, its own limits apply. Afterwards the rest is a response like others.
#[actix_web::test]
async fn a_client_that_stops_reading_a_stream_is_disconnected() -> Result<()> {
    let rate_window = Duration::from_millis(400);
    let limits = ConnectionLimits { rate_window, ..ConnectionLimits::default() };
    let app = TestApp::builder()
        .repository(TestApp::store().await?)
        .options(ServerOptions { limits, ..ServerOptions::default() })
        .start()?;
    // The second row exceeds the buffers of the system.
    app.runner.script("SELECT 1", || Ok(vec![Some("x".repeat(100 << 10)), Some("x".repeat(14 << 20))]));
    let mut stream = request_unread(&app, "/metrics/m1?format=csv").await?;
    stream.readable().await?;
    until_closed(&mut stream).await?;
    let count = read_to_end(stream).await?;
    assert!((1..14 << 20).contains(&count), "{count}");

    // A client that reads gets the whole response.
    assert_eq!(
        app.get("/metrics/m1?format=csv").await?.body.len(),
        "value\r\n\r\n\r\n".len() + (100 << 10) + (14 << 20)
    );
    Ok(())
}

/// Limits under which no client is too slow.
fn limits_without_time(max_unread_bytes: usize) -> ConnectionLimits {
    let hour = Duration::from_secs(3_600);
    ConnectionLimits { max_unread_bytes, rate_window: hour, stall_timeout: hour, ..ConnectionLimits::default() }
}

#[actix_web::test]
async fn the_memory_of_unread_responses_is_limited() -> Result<()> {
    let app = app_with_result(14 << 20, limits_without_time(40 << 20)).await?;
    let mut held = Vec::new();
    let fill = async {
        for host in 2.. {
            // One caller alone could not use all of it.
            held.push(request_unread_from(host, &app, "/metrics/m1").await?);
            let answer = app.call("GET", "/metrics/m1?limit=7", &[], None).await?;
            if answer.status == 503 {
                return Ok::<_, anyhow::Error>(answer);
            }
        }
        anyhow::bail!("no address is left")
    };
    let refused = timeout(HANG_TIMEOUT, fill).await??;
    refused.assert_problem(503, "server-busy", "/metrics/m1")?;
    assert_eq!(app.get("/health").await?.status, 200, "a small response reserves no memory");
    Ok(())
}

#[actix_web::test]
async fn static_documents_use_no_memory_of_unread_responses() -> Result<()> {
    let app = app_with_result(1 << 20, limits_without_time(0)).await?;
    app.get("/metrics/m1").await?.assert_problem(503, "server-busy", "/metrics/m1")?;
    assert_eq!(app.get("/openapi.json").await?.status, 200);
    Ok(())
}

#[actix_web::test]
async fn one_callers_unread_responses_leave_memory_to_others() -> Result<()> {
    // Half of it are three responses.
    let app = app_with_result(14 << 20, limits_without_time(90 << 20)).await?;
    let mut held = Vec::new();
    let fill = async {
        loop {
            held.push(request_unread_from(2, &app, "/metrics/m1").await?);
            let mut last = request_unread_from(2, &app, "/metrics/m1").await?;
            if status(&mut last).await? == "429" {
                return Ok::<_, anyhow::Error>(last);
            }
            held.push(last);
        }
    };
    let mut refused = timeout(HANG_TIMEOUT, fill).await??;
    read_until(&mut refused, r#""code":"answers-unread"}"#).await?;
    assert_eq!(app.get("/metrics/m1").await?.status, 200, "another caller has its own share");
    Ok(())
}

#[actix_web::test]
async fn clients_that_read_nothing_are_disconnected_when_memory_is_short() -> Result<()> {
    // Three responses exceed all of it, two exceed one caller's half.
    let limits = ConnectionLimits { stall_timeout: Duration::from_millis(100), ..limits_without_time(40 << 20) };
    let app = app_with_result(14 << 20, limits).await?;
    for hosts in [[2, 3, 4], [2, 2, 2]] {
        let mut held = Vec::new();
        for host in &hosts[..2] {
            let mut stream = request_unread_from(*host, &app, "/metrics/m1").await?;
            if status(&mut stream).await? == "200" {
                held.push(stream);
            }
        }
        let served = async {
            while status(&mut request_unread_from(hosts[2], &app, "/metrics/m1").await?).await? != "200" {
                sleep(Duration::from_millis(20)).await;
            }
            Ok::<_, anyhow::Error>(())
        };
        timeout(HANG_TIMEOUT, served).await??;
        assert!(read_to_end(held.remove(0)).await? < 14 << 20, "the first one was disconnected");
    }
    Ok(())
}

/// Reads the status of a response.
async fn status(stream: &mut TcpStream) -> Result<String> {
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    Ok(String::from_utf8_lossy(&head[9..]).into_owned())
}

#[actix_web::test]
async fn a_callers_only_response_may_exceed_the_callers_share() -> Result<()> {
    let limits = ConnectionLimits { max_unread_bytes: 20 << 20, ..ConnectionLimits::default() };
    let app = app_with_result(14 << 20, limits).await?;
    assert_eq!(app.get("/metrics/m1").await?.status, 200);
    Ok(())
}

#[actix_web::test]
async fn one_connection_too_many_closes_the_most_stalled_one() -> Result<()> {
    for limits in [
        ConnectionLimits { max_connections: 3, ..ConnectionLimits::default() },
        ConnectionLimits { max_connections_per_address: 3, ..ConnectionLimits::default() },
    ] {
        // No connection is closed for idleness.
        let keep_alive = Duration::from_secs(3_600);
        let app =
            TestApp::builder().options(ServerOptions { limits, keep_alive, ..ServerOptions::default() }).start()?;
        let use_once = async |stream: &mut TcpStream| {
            stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
            read_until(stream, "}").await
        };
        let mut streams = Vec::new();
        for _ in 0..3 {
            let mut stream = app.connect().await?;
            use_once(&mut stream).await?;
            streams.push(stream);
        }
        // The server counts milliseconds. The oldest connection is now the one that was used last.
        sleep(Duration::from_millis(2)).await;
        use_once(&mut streams[0]).await?;
        assert_eq!(app.get("/health").await?.status, 200);
        assert_eq!(read_to_end(streams.remove(1)).await?, 0);
        for stream in &mut streams {
            use_once(stream).await?;
        }
    }
    Ok(())
}

#[actix_web::test]
async fn clients_that_pipeline_and_do_not_read_leave_memory_to_others() -> Result<()> {
    const CONNECTIONS: usize = 20;
    const PATH: &str = "/docs/swagger-ui-bundle.js";
    const REQUESTS: usize = 10;
    let limits = ConnectionLimits { max_connections: CONNECTIONS, ..ConnectionLimits::default() };
    let app = TestApp::builder().options(ServerOptions { limits, ..ServerOptions::default() }).start()?;
    let size_bytes = app.get(PATH).await?.body.len();
    let requests = format!("GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(REQUESTS - 1);
    let mut streams = Vec::new();
    for count in 1..=2 * CONNECTIONS {
        let mut stream = request_unread(&app, PATH).await?;
        stream.write_all(requests.as_bytes()).await?;
        stream.readable().await?;
        streams.push(stream);
        if count % 10 == 0 {
            assert_eq!(timeout(HANG_TIMEOUT, app.get("/health")).await??.status, 200);
        }
    }
    // The system has buffered less of a closed connection than all responses.
    let read = try_join_all(streams.into_iter().map(read_to_end)).await?;
    let open = read.iter().filter(|count| **count >= REQUESTS * size_bytes).count();
    assert!((1..=CONNECTIONS).contains(&open), "{open} are open: {read:?}");
    Ok(())
}
