//! Identical concurrent requests.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use metricd_execution::RunError;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::streams::SQL;
use crate::support::{TestApp, eventually};

/// The number of requests besides the first two, each of which starts a run.
const OTHERS: usize = 8;

/// A persistent connection on which the server has responded.
struct Client(TcpStream);

impl Client {
    async fn connect(app: &TestApp) -> Result<Self> {
        let mut client = Self(app.connect().await?);
        client.send("/health").await?;
        client.answer().await?;
        Ok(client)
    }

    async fn send(&mut self, path: &str) -> Result<()> {
        Ok(self.0.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await?)
    }

    /// Head and body of the next response.
    async fn answer(&mut self) -> Result<(String, Value)> {
        let mut received = Vec::new();
        loop {
            let text = String::from_utf8(received.clone())?;
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).context("a length")?;
                if body.len() == length.parse::<usize>()? {
                    return Ok((head.to_owned(), serde_json::from_str(body)?));
                }
            }
            self.0.read_buf(&mut received).await?;
        }
    }

    /// Waits until the server has read the previous requests of other clients.
    async fn settle(&mut self) -> Result<()> {
        for _ in 0..3 {
            self.send("/health").await?;
            self.answer().await?;
        }
        Ok(())
    }
}

/// Two requests wait for a connection, and identical ones arrive meanwhile. Another client is idle.
async fn herd(app: &TestApp) -> Result<(Vec<Client>, Client)> {
    let mut clients = Vec::new();
    let mut other = Client::connect(app).await?;
    for runs in [1, 2] {
        let mut client = Client::connect(app).await?;
        client.send("/metrics/m1").await?;
        eventually("it runs", || app.runner.running() == runs).await?;
        clients.push(client);
    }
    for _ in 0..OTHERS {
        let mut client = Client::connect(app).await?;
        client.send("/metrics/m1").await?;
        clients.push(client);
    }
    other.settle().await?;
    Ok((clients, other))
}

fn header<'a>(head: &'a str, name: &str) -> Result<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(of, _)| *of == name).map(|(_, value)| value).next().with_context(|| format!("{name}: {head}"))
}

#[actix_web::test]
async fn coalesced_requests_share_a_run_and_have_their_own_responses() -> Result<()> {
    let app = TestApp::start().await?;
    app.runner.script(SQL, || Ok(vec![Some("a".into())]));
    let held = app.runner.hold_connections().await;
    let (clients, _) = herd(&app).await?;
    drop(held);
    let (mut bodies, mut tags, mut ids) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for mut client in clients {
        let (head, body) = client.answer().await?;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let timing = header(&head, "server-timing")?;
        // The scripted timing of the database is over before the others arrive.
        assert!(["encode;dur=", "total;dur="].iter().all(|part| timing.contains(part)), "{timing}");
        bodies.insert(body.to_string());
        tags.insert(header(&head, "etag")?.to_owned());
        ids.insert(header(&head, "x-request-id")?.to_owned());
    }
    assert_eq!((app.runner.begun(), bodies.len(), tags.len()), (2, 1, 1), "{bodies:?}");
    assert_eq!(ids.len(), OTHERS + 2);
    assert_eq!(app.get("/metrics/m1").await?.status, 200);
    assert_eq!(app.runner.begun(), 3, "a later request starts a run");
    Ok(())
}

#[actix_web::test]
async fn coalesced_requests_share_a_failure() -> Result<()> {
    let app = TestApp::start().await?;
    app.runner.script(SQL, || Err(RunError::TimedOut { limit: Duration::from_secs(5) }));
    let held = app.runner.hold_connections().await;
    let (clients, _) = herd(&app).await?;
    drop(held);
    for mut client in clients {
        let (head, body) = client.answer().await?;
        assert!(head.starts_with("HTTP/1.1 504"), "{head}");
        assert_eq!(body["code"], "query-timeout");
    }
    assert_eq!(app.runner.begun(), 2);
    Ok(())
}

#[actix_web::test]
async fn a_disconnected_client_does_not_affect_the_others() -> Result<()> {
    let app = TestApp::start().await?;
    app.runner.script(SQL, || Ok(vec![Some("a".into())]));
    let held = app.runner.hold_connections().await;
    let (mut clients, mut other) = herd(&app).await?;
    // They include the requests that started the two runs.
    let mut last = clients.pop().context("the last one")?;
    drop(clients);
    eventually("the first run is cancelled", || app.runner.running() == 1).await?;
    other.settle().await?;
    assert_eq!(app.runner.running(), 1);
    drop(held);
    assert_eq!(last.answer().await?.1["rows"][0]["value"], "a");
    assert_eq!(app.runner.begun(), 2);

    let held = app.runner.hold_connections().await;
    drop(herd(&app).await?);
    eventually("no request waits for either run", || app.runner.running() == 0).await?;
    drop(held);
    assert_eq!(app.get("/metrics/m1").await?.status, 200);
    Ok(())
}
