//! The quick start: a private PostgreSQL, the sample, requests to paste.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_postgres::{Client, NoTls};

use crate::support::{Server, definitions, eventually, folder, lives, metricd, postmaster, run, taken_port};

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

/// A server with the metric `m1`, which counts to a number, and a look into its database.
async fn counting(folder: &Path, to: u64) -> Result<(Server, Client)> {
    let sql = format!("SELECT count(*) - count(*) + 42 AS answer FROM generate_series(1, {to}) AS n");
    let files = definitions(folder, &sql)?;
    let data_dir = folder.join("data");
    let server = Server::start(metricd(&data_dir).args(["serve", "--no-sample", "--query-cost", "1000000000000"]))?;
    assert_eq!(run(metricd(&data_dir).arg("ingest").arg(&files))?.0, 0);
    let (client, connection) = tokio_postgres::connect(&owner_url(&data_dir)?, NoTls).await?;
    actix_web::rt::spawn(connection);
    Ok((server, client))
}

/// The private database as its owner, over the loopback.
fn owner_url(data_dir: &Path) -> Result<String> {
    let credentials: serde_json::Value = serde_json::from_str(&fs::read_to_string(data_dir.join("credentials.json"))?)?;
    let pid_file = fs::read_to_string(data_dir.join("cluster/postmaster.pid"))?;
    let port = pid_file.lines().nth(3).context("a port")?;
    let password = credentials["metricd"].as_str().context("a password")?;
    Ok(format!("postgres://metricd:{password}@127.0.0.1:{port}/metricd"))
}

async fn until_counting(client: &Client, is_counting: bool) -> Result<()> {
    let sql = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'metricd_reader' AND state = 'active'
                              AND query LIKE 'SELECT count(*) - %')";
    let is_so = || async { Ok(client.query_one(sql, &[]).await?.get::<_, bool>(0) == is_counting) };
    eventually("the query runs, or does not", is_so).await
}

#[actix_web::test]
async fn a_statement_stops_when_its_client_goes_away() -> Result<()> {
    let folder = folder()?;
    let (server, client) = counting(folder.path(), 10_000_000_000).await?;
    let began = Instant::now();
    let request = actix_web::rt::spawn(reqwest::get(format!("{}/metrics/m1", server.address)));
    until_counting(&client, true).await?;
    request.abort();
    until_counting(&client, false).await?;
    assert!(began.elapsed() < Duration::from_secs(4), "the statement has ended by itself");
    Ok(())
}

#[actix_web::test]
async fn requests_in_flight_are_finished() -> Result<()> {
    let folder = folder()?;
    let (server, client) = counting(folder.path(), 5_000_000).await?;
    let request = actix_web::rt::spawn(reqwest::get(format!("{}/metrics/m1", server.address)));
    until_counting(&client, true).await?;
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
