//! The configuration of the middleware: allowed origins, and the format of the log.

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Server, folder, metricd, run, taken_port};

/// Request targets that would forge or break log lines if they were not escaped.
const HOSTILE: [&str; 5] = [
    "/a%0A[2026-01-01T00:00:00Z INFO  metricd] forged",
    "/\"}%22,\"level\":\"ERROR",
    "/\u{1b}[2J",
    "/\u{9b}2J\u{2028}",
    "/%1b[31m%00%e2%80%a8",
];

/// Sends a request for each hostile target, which an HTTP client would encode or refuse.
async fn send_hostile_requests(server: &Server) -> Result<()> {
    for target in HOSTILE {
        let mut stream = TcpStream::connect(server.address.trim_start_matches("http://")).await?;
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: a\"b\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await?;
        assert!(response.starts_with(b"HTTP/1.1 4"), "{target}: {}", String::from_utf8_lossy(&response));
    }
    Ok(())
}

#[actix_web::test]
async fn the_json_log_has_one_object_per_line() -> Result<()> {
    let folder = folder()?;
    let mut command = metricd(folder.path());
    let server =
        Server::start(command.args(["serve", "--log-format", "json", "--cors-origin", "https://example.org"]))?;
    let client = reqwest::Client::new();
    let request = client.get(format!("{}/health", server.address)).header("x-request-id", "mine");
    let response = request.header("origin", "https://example.org").send().await?;
    assert_eq!(response.headers()["access-control-allow-origin"], "https://example.org");
    let metric = client.get(format!("{}/metrics/parts-flagged-last-week", server.address)).send().await?;
    let header = metric.headers()["server-timing"].to_str()?.to_owned();
    send_hostile_requests(&server).await?;
    let log = server.log()?;
    let lines =
        log.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>().with_context(|| log.clone())?;
    let health = lines.iter().find(|line| line["path"] == "/health").context("a line for the request")?;
    assert_eq!((&health["method"], &health["status"]), (&"GET".into(), &200.into()));
    assert_eq!((&health["request_id"], &health["level"]), (&"mine".into(), &"INFO".into()));
    assert!(health["duration_ms"].is_f64() && health["time"].is_string(), "{health}");
    assert!(health.get("queue_ms").is_none(), "{health}");
    let metric = lines.iter().find(|line| line["path"] == "/metrics/parts-flagged-last-week").context("a line")?;
    let mut timings = Vec::new();
    for (part, field) in
        [("queue", "queue_ms"), ("database", "database_ms"), ("encode", "encode_ms"), ("total", "duration_ms")]
    {
        timings.push(format!("{part};dur={:.3}", metric[field].as_f64().context(field)?));
    }
    assert_eq!(timings.join(", "), header);
    for line in &lines {
        assert!(line["message"].is_string() && line["target"].is_string(), "{line}");
        assert!(!line["message"].as_str().is_some_and(|message| message.starts_with("forged")), "{line}");
        let is_from_metricd = line["target"].as_str().is_some_and(|target| target.starts_with("metricd"));
        assert!(line["level"] != "ERROR" || !is_from_metricd, "{line}");
    }
    Ok(())
}

#[actix_web::test]
async fn the_text_log_has_one_line_per_record_for_hostile_targets() -> Result<()> {
    let folder = folder()?;
    let server = Server::start(&mut metricd(folder.path()))?;
    send_hostile_requests(&server).await?;
    let log = server.log()?;
    for line in log.lines() {
        assert!(line.starts_with("[20") && !line.contains(char::is_control), "{line:?}");
    }
    assert!(log.contains("GET /\"}%22,\"level\":\"ERROR 404"), "{log}");
    Ok(())
}

#[test]
fn a_failed_start_is_reported_in_the_json_log() -> Result<()> {
    let folder = folder()?;
    let (_listener, address) = taken_port()?;
    let (code, _, error) = run(metricd(folder.path()).args(["--log-format", "json", "--listen", &address]))?;
    let last: Value = serde_json::from_str(error.lines().last().context("a line")?)?;
    assert_eq!((code, &last["level"]), (1, &"ERROR".into()));
    assert!(last["message"].as_str().is_some_and(|message| message.contains("is in use")), "{error}");
    Ok(())
}

#[test]
fn an_invalid_origin_is_refused_at_startup() -> Result<()> {
    let folder = folder()?;
    for (origin, expected) in [("example.org", "expected `*`"), ("https://example.org/", "`https://example.org`")] {
        let (code, _, error) = run(metricd(folder.path()).env("METRICD_CORS_ORIGINS", origin))?;
        assert!(code == 2 && error.contains(expected), "{origin}: {error}");
    }
    Ok(())
}

#[actix_web::test]
async fn origins_are_read_from_the_environment() -> Result<()> {
    let folder = folder()?;
    let mut command = metricd(folder.path());
    let origins = "https://a.example.org,https://b.example.org";
    let server = Server::start(command.env("METRICD_CORS_ORIGINS", origins).env("METRICD_NO_SAMPLE", "true"))?;
    for origin in origins.split(',') {
        let request = reqwest::Client::new().get(format!("{}/health", server.address)).header("origin", origin);
        assert_eq!(request.send().await?.headers()["access-control-allow-origin"], origin);
    }
    assert_eq!(server.stop(Signal::SIGTERM)?.0, 0);
    Ok(())
}
