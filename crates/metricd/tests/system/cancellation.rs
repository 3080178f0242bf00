//! A request that ends early leaves no statement running in the database.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use metricd_embedded::Cluster;
use nix::sys::signal::Signal;
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, NoTls};

use crate::external_database::{cluster, external_metricd};
use crate::support::{Server, definitions, folder, run, show};

/// The time within which the statement of an abandoned request must stop.
const STOP_DEADLINE: Duration = Duration::from_millis(250);

/// The number of measurements per case. The median counts, because a single one may fall into a pause of the machine.
const ATTEMPTS: usize = 5;

/// A server on an external database, and a connection that observes its statements.
struct Watched {
    server: Server,
    client: Client,
    folder: TempDir,
    cluster: Cluster,
}

impl Watched {
    /// Starts a server that serves this SQL as the metric `m1`.
    async fn start(sql: &str, arguments: &[&str]) -> Result<Self> {
        let (cluster, folder) = (cluster()?, folder()?);
        let command = || external_metricd(cluster.connection(), folder.path());
        assert_eq!(run(command()?.arg("migrate"))?.0, 0);
        let files = definitions(folder.path(), sql)?;
        let (code, report, error) = run(command()?.args(["ingest", "--allow-function", "pg_sleep"]).arg(&files))?;
        assert!(code == 0 && report.contains("nothing was refused"), "{report}{error}");
        let url = cluster.connection().owner_url("postgres")?;
        let (client, connection) = tokio_postgres::connect(url.expose_secret(), NoTls).await?;
        actix_web::rt::spawn(connection);
        let server = serve(&cluster, folder.path(), arguments)?;
        Ok(Self { server, client, folder, cluster })
    }

    fn url(&self, query: &str) -> String {
        format!("{}/metrics/m1?{query}", self.server.address)
    }

    /// Waits until a statement of the reader runs, or until none does. Returns how long that took.
    async fn wait_until_running(&self, is_running: bool) -> Result<Duration> {
        // 50 ms exclude the statements that metricd sends before the metric's.
        let min_age = if is_running { "50ms" } else { "0" };
        let sql = format!(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'reader' AND state = 'active'
                            AND clock_timestamp() - query_start >= '{min_age}')"
        );
        let began = Instant::now();
        while self.client.query_one(&sql, &[]).await?.get::<_, bool>(0) != is_running {
            ensure!(began.elapsed() < Duration::from_secs(20), "running = {is_running}: not within 20 s");
        }
        Ok(began.elapsed())
    }
}

fn serve(cluster: &Cluster, folder: &Path, arguments: &[&str]) -> Result<Server> {
    Server::start(external_metricd(cluster.connection(), folder)?.arg("serve").args(arguments))
}

fn assert_stopped_in_time(what: &str, mut measured: Vec<Duration>) {
    measured.sort();
    let median = measured[measured.len() / 2];
    show(&format!("{what}: stopped after {median:?}, of {measured:?}"));
    assert!(median < STOP_DEADLINE, "{what}: {measured:?}");
}

#[actix_web::test]
async fn an_unread_body_does_not_hide_that_its_client_has_disconnected() -> Result<()> {
    let watched = Watched::start("SELECT pg_sleep(60) IS NULL AS slept", &["--query-timeout-seconds", "60"]).await?;
    let address = watched.server.address.trim_start_matches("http://").to_owned();
    for size_bytes in [0_usize, 60 << 10, 300 << 10] {
        let mut stream = TcpStream::connect(&address).await?;
        let head = format!("GET /metrics/m1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size_bytes}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        // The server need not read the body.
        let _ = timeout(Duration::from_millis(300), stream.write_all(&vec![b'x'; size_bytes])).await;
        let is_running = size_bytes <= 64 << 10;
        if is_running {
            watched.wait_until_running(true).await?;
        }
        drop(stream);
        let stopped = watched.wait_until_running(false).await?;
        assert!(stopped < 2 * STOP_DEADLINE, "{size_bytes}: {stopped:?}");
    }
    Ok(())
}

#[actix_web::test]
async fn the_statement_stops_when_the_client_disconnects_before_the_first_row() -> Result<()> {
    let watched = Watched::start("SELECT pg_sleep(60) IS NULL AS slept", &["--query-timeout-seconds", "60"]).await?;
    for format in ["json", "csv"] {
        let mut measured = Vec::new();
        for _ in 0..ATTEMPTS {
            let request = actix_web::rt::spawn(reqwest::get(watched.url(&format!("format={format}"))));
            watched.wait_until_running(true).await?;
            request.abort();
            measured.push(watched.wait_until_running(false).await?);
        }
        assert_stopped_in_time(&format!("client disconnected, {format}"), measured);
    }
    Ok(())
}

#[actix_web::test]
async fn the_statement_stops_when_the_client_disconnects_in_the_middle_of_a_stream() -> Result<()> {
    // A megabyte of rows, then none for 60 s.
    let sql = "SELECT repeat('x', 1000) AS x, CASE WHEN n > 1000 THEN pg_sleep(60) END IS NULL AS slept
               FROM (SELECT generate_series(1, 2000) AS n) AS s";
    let watched = Watched::start(sql, &["--query-timeout-seconds", "60"]).await?;
    let mut measured = Vec::new();
    for _ in 0..ATTEMPTS {
        let mut response = reqwest::get(watched.url("format=csv")).await?;
        let mut size_bytes = 0;
        while size_bytes < 900_000 {
            size_bytes += response.chunk().await?.context("a chunk")?.len();
        }
        watched.wait_until_running(true).await?;
        drop(response);
        measured.push(watched.wait_until_running(false).await?);
    }
    assert_stopped_in_time("client disconnected in the middle", measured);
    Ok(())
}

#[actix_web::test]
async fn the_statement_stops_when_a_client_that_does_not_read_disconnects_or_exceeds_its_limit() -> Result<()> {
    let sql = "SELECT repeat('x', 1000) AS x FROM (SELECT generate_series(1, 900000)) AS s";
    let watched = Watched::start(sql, &["--query-timeout-seconds", "2", "--stream-patience-seconds", "4"]).await?;
    let mut measured = Vec::new();
    for _ in 0..ATTEMPTS {
        let response = reqwest::get(watched.url("format=ndjson")).await?;
        watched.wait_until_running(true).await?;
        drop(response);
        measured.push(watched.wait_until_running(false).await?);
    }
    assert_stopped_in_time("client disconnected without reading", measured);

    let response = reqwest::get(watched.url("format=ndjson")).await?;
    let held = watched.wait_until_running(false).await?;
    show(&format!("client that does not read: stopped after {held:?}"));
    // The time that the client makes the database wait does not count as the statement's, and has its own limit.
    assert!(held > Duration::from_secs(3) && held < Duration::from_secs(8), "{held:?}");
    assert!(response.bytes().await.is_err(), "the client notices");
    Ok(())
}

#[actix_web::test]
async fn the_statement_stops_at_its_time_limit() -> Result<()> {
    let watched = Watched::start("SELECT pg_sleep(60) IS NULL AS slept", &["--query-timeout-seconds", "1"]).await?;
    for format in ["json", "csv"] {
        let mut measured = Vec::new();
        for _ in 0..3 {
            assert_eq!(watched.server.get(&format!("/metrics/m1?format={format}")).await?.0, 504);
            measured.push(watched.wait_until_running(false).await?);
        }
        assert_stopped_in_time(&format!("time limit, {format}"), measured);
    }
    Ok(())
}

#[actix_web::test]
async fn no_statement_outlives_the_process() -> Result<()> {
    // Computes longer than any test, and sends nothing to its client meanwhile.
    let sql = "SELECT count(*) AS n FROM generate_series(1, 100000) AS a, generate_series(1, 100000) AS b";
    let arguments =
        ["--query-timeout-seconds", "600", "--shutdown-timeout-seconds", "2", "--query-cost", "1000000000000"];
    let mut watched = Watched::start(sql, &arguments).await?;
    let ends: [(&str, &[Signal], Duration); 3] = [
        ("the graceful shutdown times out", &[Signal::SIGTERM], Duration::from_secs(2)),
        ("a second signal", &[Signal::SIGTERM, Signal::SIGINT], Duration::ZERO),
        ("kill -9", &[Signal::SIGKILL], Duration::ZERO),
    ];
    for (what, signals, min_duration) in ends {
        let request = actix_web::rt::spawn(reqwest::get(watched.url("format=csv")));
        watched.wait_until_running(true).await?;
        let began = Instant::now();
        for signal in signals {
            watched.server.signal(*signal)?;
            // The second signal must not arrive before the first is handled.
            if signals.len() > 1 {
                wait_until_stopping(&watched.server.address).await?;
            }
        }
        watched.server.process.wait()?;
        let took = began.elapsed();
        assert!(
            took >= min_duration && took < min_duration + Duration::from_secs(1),
            "{what}: the process took {took:?}"
        );
        let measured = watched.wait_until_running(false).await?;
        show(&format!("{what}: the process ended after {took:?}, the statement {measured:?} later"));
        assert!(measured < STOP_DEADLINE, "{what}: {measured:?}");
        assert!(request.await?.is_err(), "{what}: the client notices");
        watched.server = serve(&watched.cluster, watched.folder.path(), &arguments)?;
    }
    Ok(())
}

/// Waits until the server accepts no new connections.
async fn wait_until_stopping(address: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    // A SYN that finds the server's backlog full is retransmitted only after a second.
    let connect = || timeout(Duration::from_millis(50), TcpStream::connect(address.trim_start_matches("http://")));
    while !matches!(connect().await, Ok(Err(_))) {
        ensure!(Instant::now() < deadline, "the server does not stop");
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
