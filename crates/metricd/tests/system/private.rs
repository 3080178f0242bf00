//! The quick start: a private PostgreSQL, the sample, requests to paste.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Server, definitions, eventually, folder, lives, metricd, postmaster, run, taken_port, write};

#[actix_web::test]
async fn the_first_run_loads_the_sample_and_every_suggested_request_works() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = Server::start(&mut metricd(&data_dir))?;
    assert!(server.greeting.contains("6 read: 6 added") && server.greeting.contains("nothing was refused"));
    let expected = [
        ("alerts-by-type", 4),
        ("alerts-share-by-month", 7),
        ("approvals-overdue", 0),
        ("cost-avoided-daily", 30),
        ("obsolescence-value", 60),
        ("parts-flagged-last-week", 1),
    ];
    for (id, rows) in expected {
        let (status, result) = server.get(&format!("/metrics/{id}")).await?;
        assert_eq!(status, 200, "{result}");
        let count = result["row_count"].as_u64().context("a count")?;
        // The sample's half year touches six or seven months.
        assert!(count == rows || (id.ends_with("month") && count == 6), "{id}: {result}");
    }
    assert_eq!(server.get("/health/ready").await?.0, 200);

    let database = postmaster(&data_dir)?;
    assert_eq!(server.stop(Signal::SIGINT)?.0, 0);
    assert!(!lives(database), "the database ends with the server");

    let again = Server::start(&mut metricd(&data_dir))?;
    assert!(!again.greeting.contains("added"), "the sample is loaded once: {}", again.greeting);
    assert_eq!(again.get("/metrics/alerts-by-type").await?.0, 200);
    assert_eq!(again.stop(Signal::SIGTERM)?.0, 0);
    Ok(())
}

#[actix_web::test]
async fn comes_up_after_it_was_killed_with_its_database() -> Result<()> {
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
async fn a_private_database_that_ends_by_itself_is_started_again() -> Result<()> {
    let folder = folder()?;
    let server = Server::start(&mut metricd(folder.path()))?;
    let before = postmaster(folder.path())?;
    kill(Pid::from_raw(before), Signal::SIGKILL)?;
    let is_back = || async { Ok(server.get("/metrics/alerts-by-type").await?.0 == 200 && !lives(before)) };
    eventually("the metric is answered again", is_back).await
}

/// A server with the metric `m1`, which sleeps, and the metric `m2`, which counts how often `m1` runs just then.
fn sleeping(folder: &Path, seconds: u32) -> Result<Server> {
    let files = definitions(folder, &format!("SELECT pg_sleep({seconds}), 42 AS answer"))?;
    let watch = "SELECT count(*) AS count FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%42 AS answer'";
    write(&files, "more.csv", &format!("id,query\nq2,\"{watch}\"\n"))?;
    write(&files, "more.json", r#"{"items": [{"id": "m2", "queryId": "q2", "isEditable": true}]}"#)?;
    let server = Server::start(metricd(&folder.join("data")).arg("--no-sample"))?;
    assert_eq!(run(metricd(&folder.join("data")).arg("ingest").arg(&files))?.0, 0);
    Ok(server)
}

async fn until_sleeping(server: &Server, count: u32) -> Result<()> {
    let is_so = || async { Ok(server.get("/metrics/m2").await?.1["rows"][0]["count"] == count) };
    eventually("the query runs as often as that", is_so).await
}

#[actix_web::test]
async fn a_statement_stops_when_its_client_goes_away() -> Result<()> {
    let folder = folder()?;
    let server = sleeping(folder.path(), 4)?;
    let began = Instant::now();
    let request = actix_web::rt::spawn(reqwest::get(format!("{}/metrics/m1", server.address)));
    until_sleeping(&server, 1).await?;
    request.abort();
    until_sleeping(&server, 0).await?;
    assert!(began.elapsed() < Duration::from_secs(4), "the statement has ended by itself");
    Ok(())
}

#[actix_web::test]
async fn requests_in_flight_are_finished() -> Result<()> {
    let folder = folder()?;
    let server = sleeping(folder.path(), 1)?;
    let request = actix_web::rt::spawn(reqwest::get(format!("{}/metrics/m1", server.address)));
    until_sleeping(&server, 1).await?;
    let stopped = actix_web::rt::task::spawn_blocking(move || server.stop(Signal::SIGTERM));
    let response = request.await??;
    assert_eq!(response.status(), 200);
    assert!(response.text().await?.contains("\"answer\":42"));
    assert_eq!(stopped.await??.0, 0);
    Ok(())
}

#[actix_web::test]
async fn what_stands_in_the_way_is_said_in_a_sentence() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let (_listener, address) = taken_port()?;
    let (code, _, error) = run(metricd(&data_dir).args(["--listen", &address]))?;
    assert_eq!(code, 1);
    assert!(error.contains("is taken by another program: stop it, or give another --listen"), "{error}");

    let (code, _, error) = run(metricd(&data_dir).env("PATH", "").arg("--postgres-bin-dir").arg(folder.path()))?;
    assert_eq!(code, 1);
    assert!(error.contains("initdb") && error.lines().count() == 1, "{error}");

    let server = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    let (code, _, error) = run(metricd(&data_dir).arg("serve"))?;
    assert_eq!(code, 1);
    let expected = format!("another metricd (process {}) serves the data folder", server.process.id());
    assert!(error.contains(&expected) && error.contains("--data-dir"), "{error}");
    Ok(())
}
