//! Neither a statement that PostgreSQL does not stop nor a client that does not read starves other requests.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::support::{Server, eventually, folder, metricd, processes, show};

/// Compares every element of one array with every element of the other, without checking for interrupts. With 60 000 elements,
/// this takes at least half a minute.
const UNSTOPPABLE: &str = "SELECT s.a && s.b AS overlap FROM (SELECT array_agg(i) AS a, array_agg(-i) AS b
                           FROM generate_series(1, :n) AS i) AS s";

/// Another metric, from the sample.
const OTHER: &str = "alerts-by-type";

async fn create(server: &Server, metric: &Value) -> Result<()> {
    let answer = reqwest::Client::new().post(format!("{}/metrics", server.address)).json(metric).send().await?;
    let status = answer.status();
    ensure!(status == 201, "{status}: {}", answer.text().await?);
    Ok(())
}

async fn timed(server: &Server, path: &str) -> Result<(u16, Value, Duration)> {
    let began = Instant::now();
    let (status, body) = server.get(path).await?;
    Ok((status, body, began.elapsed()))
}

#[actix_web::test]
async fn a_statement_that_does_not_stop_is_reported_quarantined_and_does_not_block_shutdown() -> Result<()> {
    let folder = folder()?;
    let serve = || Server::start(metricd(folder.path()).args(["--query-timeout-seconds", "2"]));
    let server = serve()?;
    let parameters = json!([{"name": "n", "type": "integer"}]);
    create(&server, &json!({"id": "u", "title": "U", "sql": UNSTOPPABLE, "parameters": parameters})).await?;
    assert_eq!(server.get("/metrics/u?n=10").await?.0, 200);

    let (status, problem, took) = timed(&server, "/metrics/u?n=60000").await?;
    assert_eq!((status, &problem["code"]), (504, &json!("query-not-stopped")), "{problem}");
    show(&format!("the first caller: {status} {} after {took:?}", problem["code"]));
    for path in ["/metrics/u?n=60000", "/metrics/u?n=10", "/metrics/u?n=10&format=csv"] {
        let (status, problem, took) = timed(&server, path).await?;
        assert_eq!((status, &problem["code"]), (503, &json!("statement-quarantined")), "{path}: {problem}");
        show(&format!("a second caller, {path}: {status} {} after {took:?}", problem["code"]));
    }
    let answer = reqwest::get(format!("{}/metrics/u?n=10", server.address)).await?;
    assert_eq!(answer.headers().get("retry-after").context("a header")?, "30");

    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let (status, body, took) = timed(&server, &format!("/metrics/{OTHER}")).await?;
        assert_eq!(status, 200, "{body}");
        slowest = slowest.max(took);
    }
    show(&format!("20 requests for another metric: 200, the slowest after {slowest:?}"));
    let (status, body) = server.get(&format!("/results?metric_id=u&metric_id={OTHER}&n=10")).await?;
    let entries = [&body["results"][0]["status"], &body["results"][1]["status"]];
    assert_eq!((status, entries), (200, [&json!(503), &json!(200)]), "{body}");
    let (status, body, took) = timed(&server, "/health/ready").await?;
    assert_eq!(status, 200, "{body}");
    let statements = body["checks"]["statements"].as_str().unwrap_or_default();
    assert!(
        statements.starts_with("1 statement still runs") && took < Duration::from_secs(2),
        "{statements}: {took:?}"
    );

    let began = Instant::now();
    let (code, _) = server.stop(Signal::SIGINT)?;
    let took = began.elapsed();
    show(&format!("Ctrl-C: exit code {code} after {took:?}"));
    assert!(code == 0 && took < Duration::from_secs(25), "{code}, {took:?}");
    let began = Instant::now();
    let server = serve()?;
    show(&format!("the next start took {:?}", began.elapsed()));
    assert_eq!(server.get(&format!("/metrics/{OTHER}")).await?.0, 200);
    assert_eq!(server.get("/metrics/u?n=10").await?.0, 200);
    Ok(())
}

/// Requests a stream, sends its status to the channel, and reads a kibibyte per second until the task is aborted.
async fn read_slowly(address: String, status: tokio::sync::mpsc::Sender<u16>) -> Result<()> {
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).await?;
    stream.write_all(b"GET /metrics/long?format=ndjson HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await?;
    let mut head = [0; 1024];
    let count = stream.read(&mut head).await?;
    let line = String::from_utf8_lossy(&head[..count]).into_owned();
    status.send(line.split(' ').nth(1).context("a status")?.parse()?).await?;
    while stream.read(&mut head).await? > 0 {
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

#[actix_web::test]
async fn slow_readers_leave_connections_to_buffered_requests() -> Result<()> {
    let folder = folder()?;
    let server = Server::start(&mut metricd(folder.path()))?;
    let sql = "SELECT repeat('x', 1000) AS x FROM (SELECT generate_series(1, 900000)) AS s";
    create(&server, &json!({"id": "long", "title": "Long", "sql": sql})).await?;
    let (status, mut statuses) = tokio::sync::mpsc::channel(16);
    let readers: Vec<_> =
        (0..16).map(|_| actix_web::rt::spawn(read_slowly(server.address.clone(), status.clone()))).collect();
    let mut received = Vec::new();
    for _ in 0..16 {
        received.push(timeout(Duration::from_secs(60), statuses.recv()).await?.context("a status")?);
    }
    let held = received.iter().filter(|status| **status == 200).count();
    assert_eq!(held, 6, "three quarters of the permits for streams: {received:?}");
    // The others time out waiting for a permit of their address.
    assert!(received.iter().all(|status| [200, 429].contains(status)), "{received:?}");

    let mut measured = Vec::new();
    for _ in 0..50 {
        let (status, body, took) = timed(&server, &format!("/metrics/{OTHER}")).await?;
        assert_eq!(status, 200, "{body}");
        measured.push(took);
        assert_eq!(server.get("/health/ready").await?.0, 200);
    }
    measured.sort();
    show(&format!("50 responses next to 16 slow readers: median {:?}, slowest {:?}", measured[25], measured[49]));
    // A busy machine delays a few of them.
    assert!(measured[25] < Duration::from_secs(2), "{measured:?}");
    let (status, problem) = server.get("/metrics/long?format=csv").await?;
    assert_eq!((status, &problem["code"]), (429, &json!("too-many-queries")), "{problem}");
    let another = reqwest::Client::builder().local_address(Some([127, 0, 0, 2].into())).build()?;
    let streamed = another.get(format!("{}/metrics/{OTHER}?format=csv", server.address)).send().await?;
    assert_eq!(streamed.status(), 200, "another address has streams of its own");
    readers.iter().for_each(actix_web::rt::task::JoinHandle::abort);
    Ok(())
}

#[actix_web::test]
async fn a_database_that_hangs_is_reported_in_time_and_does_not_block_shutdown() -> Result<()> {
    let folder = folder()?;
    let server = Server::start(metricd(folder.path()).args(["--query-timeout-seconds", "1"]))?;
    assert_eq!(server.get(&format!("/metrics/{OTHER}")).await?.0, 200);
    let hang = || processes(folder.path())?.into_iter().try_for_each(|pid| anyhow::Ok(kill(pid, Signal::SIGSTOP)?));
    hang()?;
    for _ in 0..3 {
        let (status, _, took) = timed(&server, "/health").await?;
        assert!(status == 200 && took < Duration::from_secs(1), "{status}, {took:?}");
        let (status, _, took) = timed(&server, "/health/ready").await?;
        assert!(status == 503 && took < Duration::from_secs(2), "{status}, {took:?}");
    }
    for path in
        [format!("/metrics/{OTHER}"), format!("/metrics/{OTHER}?format=csv"), format!("/results?metric_id={OTHER}")]
    {
        let (status, body, took) = timed(&server, &path).await?;
        show(&format!("{path} while PostgreSQL hangs: {status} after {took:?}"));
        assert!(took < Duration::from_secs(20), "{path}: {status} after {took:?}, {body}");
    }
    processes(folder.path())?.into_iter().try_for_each(|pid| kill(pid, Signal::SIGCONT))?;
    eventually("the metric is served again", || async { Ok(server.get(&format!("/metrics/{OTHER}")).await?.0 == 200) })
        .await?;
    assert_eq!(server.get("/health/ready").await?.0, 200);

    hang()?;
    let began = Instant::now();
    let (code, _) = server.stop(Signal::SIGINT)?;
    let took = began.elapsed();
    show(&format!("Ctrl-C while PostgreSQL hangs: exit code {code} after {took:?}"));
    assert!(code == 0 && took < Duration::from_secs(40), "{code}, {took:?}");
    Ok(())
}
