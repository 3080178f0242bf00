//! The quick start: a private PostgreSQL, the sample, requests to paste.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_postgres::Client;

use crate::support::{
    Server, connect_as_owner, definitions, eventually, folder, is_running, metricd, postmaster, run, taken_port,
};

#[actix_web::test]
async fn the_first_run_loads_the_sample_and_every_suggested_request_works() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = Server::start(&mut metricd(&data_dir))?;
    assert!(server.greeting.contains("6 read: 6 added") && server.greeting.contains("nothing was refused"));
    let expected = [
        ("alerts-by-type", 4),
        ("alerts-share-by-month", 6),
        ("approvals-overdue", 0),
        ("cost-avoided-daily", 30),
        ("obsolescence-value", 60),
        ("parts-flagged-last-week", 1),
    ];
    for (id, rows) in expected {
        let (status, result) = server.get(&format!("/metrics/{id}")).await?;
        assert_eq!(status, 200, "{result}");
        assert_eq!(result["row_count"], rows, "{id}: {result}");
    }
    assert_eq!(server.get("/health/ready").await?.0, 200);

    // README's second step: the sample's own files change nothing.
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
    let (code, report, _) = run(metricd(&data_dir).arg("ingest").arg(files).args(["--format", "json"]))?;
    let report: serde_json::Value = serde_json::from_str(&report)?;
    assert_eq!(code, 0, "{report}");
    for kind in ["queries", "metrics", "dashboards", "layout_entries", "records"] {
        assert_eq!(report[kind]["unchanged"], report[kind]["read"], "{kind}: {report}");
    }

    let database = postmaster(&data_dir)?;
    assert_eq!(server.stop(Signal::SIGINT)?.0, 0);
    assert!(!is_running(database), "the database ends with the server");

    let again = Server::start(&mut metricd(&data_dir))?;
    assert!(!again.greeting.contains("added"), "the sample is loaded once: {}", again.greeting);
    assert_eq!(again.get("/metrics/alerts-by-type").await?.0, 200);
    assert_eq!(again.stop(Signal::SIGTERM)?.0, 0);
    Ok(())
}

#[actix_web::test]
async fn a_server_starts_after_it_was_killed_with_its_database() -> Result<()> {
    let folder = folder()?;
    let mut server = Server::start(&mut metricd(folder.path()))?;
    kill(Pid::from_raw(postmaster(folder.path())?), Signal::SIGKILL)?;
    server.process.kill()?;
    server.process.wait()?;
    let again = Server::start(&mut metricd(folder.path()))?;
    assert_eq!(again.get("/metrics/alerts-by-type").await?.0, 200);
    Ok(())
}

#[actix_web::test]
async fn a_private_database_that_stops_unexpectedly_is_restarted() -> Result<()> {
    let folder = folder()?;
    let server = Server::start(&mut metricd(folder.path()))?;
    let before = postmaster(folder.path())?;
    kill(Pid::from_raw(before), Signal::SIGKILL)?;
    let is_back = || async { Ok(server.get("/metrics/alerts-by-type").await?.0 == 200 && !is_running(before)) };
    eventually("the metric is served again", is_back).await
}

/// Starts a server with the metric `m1`, whose SQL joins each of `left` rows with each of `right` rows. Connects as the owner.
async fn start_computing(folder: &Path, left: u32, right: u32) -> Result<(Server, Client)> {
    let sql = format!(
        "SELECT 42 AS answer FROM (SELECT count(*) FROM generate_series(1, {left}) AS a, generate_series(1, {right}) AS b) AS s"
    );
    let files = definitions(folder, &sql)?;
    let data_dir = folder.join("data");
    let limits = ["--no-sample", "--query-timeout-seconds=60", "--query-cost=1000000000000"];
    let server = Server::start(metricd(&data_dir).args(limits))?;
    assert_eq!(run(metricd(&data_dir).arg("ingest").arg(&files))?.0, 0);
    Ok((server, connect_as_owner(&data_dir).await?))
}

/// Waits until this number of statements run. Those that are only being prepared or explained do not count.
async fn wait_until_computing(owner: &Client, count: i64) -> Result<()> {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'metricd_reader' AND state = 'active'
               AND query LIKE 'SELECT 42%' AND clock_timestamp() - query_start > interval '50 ms'";
    let is_reached = || async { Ok(owner.query_one(sql, &[]).await?.get::<_, i64>(0) == count) };
    eventually("that many statements run", is_reached).await
}

#[actix_web::test]
async fn a_statement_stops_when_its_client_disconnects() -> Result<()> {
    let folder = folder()?;
    let (server, owner) = start_computing(folder.path(), 100_000, 100_000).await?;
    let request = actix_web::rt::spawn(reqwest::get(format!("{}/metrics/m1", server.address)));
    wait_until_computing(&owner, 1).await?;
    request.abort();
    let began = Instant::now();
    wait_until_computing(&owner, 0).await?;
    assert!(began.elapsed() < Duration::from_secs(4), "the statement was not cancelled");
    Ok(())
}

#[actix_web::test]
async fn requests_in_flight_are_finished() -> Result<()> {
    let folder = folder()?;
    // Takes several seconds.
    let (server, owner) = start_computing(folder.path(), 10_000, 3_000).await?;
    let request = actix_web::rt::spawn(reqwest::get(format!("{}/metrics/m1", server.address)));
    wait_until_computing(&owner, 1).await?;
    let address = server.address.clone();
    let stopped = actix_web::rt::task::spawn_blocking(move || server.stop(Signal::SIGTERM));
    let is_stopping = || async { Ok(reqwest::get(format!("{address}/health")).await.is_err()) };
    eventually("no new connection is accepted", is_stopping).await?;
    let response = request.await??;
    assert_eq!(response.status(), 200);
    assert!(response.text().await?.contains("\"answer\":42"));
    assert_eq!(stopped.await??.0, 0);
    Ok(())
}

#[actix_web::test]
async fn the_reader_has_the_time_limit_of_the_command_line() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let files = definitions(folder.path(), "SELECT current_setting('statement_timeout') AS own")?;
    for (seconds, own) in [("20", "21s"), ("2", "3s")] {
        let server =
            Server::start(metricd(&data_dir).args(["serve", "--no-sample", "--query-timeout-seconds", seconds]))?;
        // The ingestion joins the server's database, and does not change the limit.
        let mut ingest = metricd(&data_dir);
        assert_eq!(run(ingest.args(["ingest", "--allow-function", "current_setting"]).arg(&files))?.0, 0);
        assert_eq!(server.get("/metrics/m1").await?.1["rows"][0]["own"], own);
        let owner = connect_as_owner(&data_dir).await?;
        let settings = "SELECT array_to_string(rolconfig, ' ') FROM pg_roles WHERE rolname = 'metricd_reader'";
        let settings: String = owner.query_one(settings, &[]).await?.get(0);
        assert!(settings.contains(&format!("statement_timeout={}000ms", own.trim_end_matches('s'))), "{settings}");
        server.stop(Signal::SIGTERM)?;
    }
    Ok(())
}

#[actix_web::test]
async fn a_private_database_is_always_hardened() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let harm = "SELECT pg_notify('everybody', 'hello')";
    let files = definitions(folder.path(), harm)?;
    let server = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    assert_eq!(run(metricd(&data_dir).arg("ingest").arg(&files))?.0, 2, "the guard refuses all of it");
    assert_ne!(server.get("/metrics/m1").await?.0, 200);
    let owner = connect_as_owner(&data_dir).await?;
    let open = "SELECT has_function_privilege('public', 'pg_notify(text, text)', 'EXECUTE')
                OR has_database_privilege('public', current_database(), 'TEMPORARY')";
    assert!(!owner.query_one(open, &[]).await?.get::<_, bool>(0));
    let (code, _, error) = run(metricd(&data_dir).args(["migrate", "--undo-hardening"]))?;
    assert!(code == 2 && error.contains("a private database is always hardened"), "{error}");
    Ok(())
}

#[actix_web::test]
async fn the_reason_of_a_failed_start_is_reported_in_one_line() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let (_listener, address) = taken_port()?;
    let (code, _, error) = run(metricd(&data_dir).args(["--listen", &address]))?;
    assert_eq!(code, 1);
    assert!(error.contains("is in use by another program: stop it, or give another --listen"), "{error}");

    let (code, _, error) = run(metricd(&data_dir).env("PATH", "").arg("--postgres-bin-dir").arg(folder.path()))?;
    assert_eq!(code, 1);
    assert!(error.contains("initdb") && error.lines().count() == 1, "{error}");

    let server = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    let (code, _, error) = run(metricd(&data_dir).arg("serve"))?;
    assert_eq!(code, 1);
    let expected = format!("another metricd (process {}) serves the data folder", server.process.id());
    assert!(error.contains(&expected) && error.contains("METRICD_DATA_DIR"), "{error}");
    Ok(())
}

#[tokio::test]
async fn the_log_is_complete_when_the_server_stops() -> Result<()> {
    let data_dir = folder()?;
    let server = Server::start(metricd(data_dir.path()).arg("--no-sample"))?;
    for _ in 0..50 {
        server.get("/health").await?;
    }
    let log = server.log()?;
    assert_eq!(log.matches("GET /health 200").count(), 50, "{log}");
    assert!(log.contains("stopping"), "{log}");
    Ok(())
}

#[test]
fn other_data_schemas_than_those_of_the_running_server_are_refused() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    let (code, printed, error) = run(metricd(&data_dir).args(["check", "--data-schema", "public"]))?;
    let expected = "reads the schemas `warehouse`, and this command expects the schema `public`: give every command";
    assert!(code == 1 && error.contains(expected), "{printed}{error}");
    assert_eq!(run(metricd(&data_dir).arg("check"))?.0, 0);
    assert_eq!(server.stop(Signal::SIGTERM)?.0, 0);
    Ok(())
}
