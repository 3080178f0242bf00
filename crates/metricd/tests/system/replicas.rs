//! Several hosts in both URLs: reads from standbys that are recent enough, and fail-over.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use metricd_embedded::{Cluster, OWNER_ROLE};
use metricd_test_support::Standby;
use nix::sys::signal::{Signal, kill};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::data_apart::owner_of;
use crate::definitions::call;
use crate::external_database::{cluster, external_metricd};
use crate::support::{Server, eventually, folder, processes, run, show};

/// A primary with a migrated database and its standby, both in the URLs of both roles.
struct Pair {
    cluster: Cluster,
    standby: Standby,
    folder: TempDir,
    owner: String,
    reader: String,
}

impl Pair {
    /// Starts both. The reader connects to the server of this `target_session_attrs`.
    async fn start(target: &str) -> Result<Self> {
        let cluster = cluster()?;
        let standby = Standby::of(&cluster).await?;
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", cluster.connection().port(), standby.port());
        let url = |role: &str, target: &str| -> Result<String> {
            let password = cluster.connection().password(role)?.expose_secret();
            Ok(format!("postgres://{role}:{password}@{hosts}/postgres?target_session_attrs={target}"))
        };
        let (owner, reader) = (url(OWNER_ROLE, "read-write")?, url("reader", target)?);
        let pair = Self { cluster, standby, folder: folder()?, owner, reader };
        let (code, printed, error) = run(&mut pair.command(&["migrate"])?)?;
        assert_eq!(code, 0, "{printed}{error}");
        Ok(pair)
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = external_metricd(self.cluster.connection(), &self.folder.path().join("data"))?;
        command.env("DATABASE_URL", &self.owner).env("READER_DATABASE_URL", &self.reader).args(arguments);
        Ok(command)
    }
}

/// Creates a metric and returns the status of the response.
async fn create(server: &Server, id: &str) -> Result<u16> {
    let metric = json!({"id": id, "title": id, "sql": "SELECT 1 AS one"});
    Ok(call("POST", format!("{}/metrics", server.address), None, Some(metric)).await?.0)
}

/// Both URLs name both servers. When the primary is gone and the standby is promoted, requests and changes go on.
#[actix_web::test]
async fn a_promoted_standby_is_followed_without_a_restart() -> Result<()> {
    let mut pair = Pair::start("prefer-standby").await?;
    let server = Server::start(&mut pair.command(&[])?)?;
    let create = async |id: &str| create(&server, id).await;
    assert_eq!(create("before").await?, 201);
    assert_eq!(server.get("/metrics/before").await?.0, 200);
    pair.standby.catch_up(&pair.cluster).await?;

    pair.cluster.stop_database()?;
    assert_eq!(create("between").await?, 503, "no server accepts changes");
    let began = Instant::now();
    pair.standby.promote(&pair.cluster).await?;
    eventually("the promoted server is written to", || async { Ok(create("after").await? == 201) }).await?;
    show(&format!("changes go on {} ms after the promotion began", began.elapsed().as_millis()));
    for id in ["before", "after"] {
        assert_eq!(server.get(&format!("/metrics/{id}")).await?.0, 200, "{id}");
    }
    assert_eq!(server.get("/health/ready").await?.0, 200);
    assert_eq!(server.stop(Signal::SIGTERM)?.0, 0);
    Ok(())
}

/// Results come from a standby that is recent enough; otherwise, and for changes that it does not show yet, from the
/// primary.
#[actix_web::test]
async fn results_are_read_from_replicas_that_are_recent_enough() -> Result<()> {
    let mut pair = Pair::start("any").await?;
    let primary = owner_of(&pair.cluster, "postgres").await?;
    primary
        .batch_execute("CREATE TABLE warehouse.sales (id integer); GRANT SELECT ON warehouse.sales TO reader")
        .await?;
    pair.standby.catch_up(&pair.cluster).await?;
    let (code, _, error) = run(pair
        .command(&["--max-replica-lag", "1"])?
        .env("READER_DATABASE_URL", pair.cluster.connection().url("reader", "postgres")?.expose_secret()))?;
    assert!(code == 1 && error.contains("name the primary and its standbys"), "{error}");

    let serve = |lag: &str| {
        Server::start(&mut pair.command(&["--max-replica-lag", lag, "--allow-function", "pg_is_in_recovery"])?)
    };
    let (patient, strict) = (serve("3600")?, serve("1")?);
    let create = async |id: &str, sql: &str| {
        let url = format!("{}/metrics", patient.address);
        let response =
            reqwest::Client::new().post(url).json(&json!({"id": id, "title": id, "sql": sql})).send().await?;
        let position = response.headers().get("metricd-lsn").cloned();
        assert_eq!(response.status(), 201, "{}", response.text().await?);
        Ok::<_, anyhow::Error>(position.context("a position")?.to_str()?.to_owned())
    };
    create("count", "SELECT count(*) AS n, pg_is_in_recovery() AS standby FROM sales").await?;

    // The rows, whether they are those of the standby, and how old they may be in seconds.
    let count = async |server: &Server, after: Option<&str>| {
        let mut request = reqwest::Client::new().get(format!("{}/metrics/count", server.address));
        if let Some(after) = after {
            request = request.header("Metricd-After", after);
        }
        let response = request.send().await?;
        let lag: f64 = response.headers().get("metricd-lag").context("a lag")?.to_str()?.parse()?;
        let result: Value = response.json().await?;
        let row = &result["rows"][0];
        Ok::<_, anyhow::Error>((row["n"].as_u64().context("rows")?, row["standby"] == true, lag))
    };
    for server in [&patient, &strict] {
        eventually("the standby answers", || async { Ok(count(server, None).await?.1) }).await?;
    }

    let replica = pair.standby.connect(&pair.cluster).await?;
    replica.batch_execute("SELECT pg_wal_replay_pause()").await?;
    primary.batch_execute("INSERT INTO warehouse.sales VALUES (1)").await?;
    let position = create("later", "SELECT 1 AS one").await?;
    let (rows, is_standby, _) = count(&patient, None).await?;
    assert_eq!((rows, is_standby), (0, true), "the standby does not show it yet");
    assert_eq!(count(&patient, Some(&position)).await?, (1, false, 0.0), "the primary does");
    let results = format!("{}/results?metric_id=count", patient.address);
    let several = reqwest::Client::new().get(results).header("Metricd-After", &position).send().await?;
    assert!(several.text().await?.contains(r#""n":1"#));
    let csv = format!("{}/metrics/count?format=csv", patient.address);
    let csv = reqwest::Client::new().get(csv).header("Metricd-After", &position).send().await?;
    assert_eq!(csv.text().await?, "n,standby\r\n1,false\r\n");
    // Nothing is older than a second for the strict server.
    eventually("the standby is too old", || async { Ok(!count(&strict, None).await?.1) }).await?;
    for _ in 0..20 {
        let (rows, is_standby, lag) = count(&strict, None).await?;
        assert!(rows == 1 && !is_standby && lag == 0.0, "{rows} {is_standby} {lag}");
    }
    let (_, is_standby, lag) = count(&patient, None).await?;
    assert!(is_standby && lag > 0.5, "{lag}");

    replica.batch_execute("SELECT pg_wal_replay_resume()").await?;
    pair.standby.catch_up(&pair.cluster).await?;
    for server in [&patient, &strict] {
        let is_back = || async { Ok(matches!(count(server, Some(&position)).await?, (1, true, lag) if lag <= 1.0)) };
        eventually("the standby answers again", is_back).await?;
    }
    for invalid in ["", "0", "0/", "x/y", "0/123456789"] {
        let request = reqwest::Client::new().get(format!("{}/metrics/count", patient.address));
        let refused = request.header("Metricd-After", invalid).send().await?;
        assert_eq!(refused.status(), 422, "{invalid}");
        assert!(refused.text().await?.contains("Metricd-After"), "{invalid}");
    }

    let several = reqwest::Client::new().get(format!("{}/metrics/count?limit=-1&nope=1", patient.address));
    let refused: Value = several.header("Metricd-After", "x").send().await?.json().await?;
    let fields: Vec<_> =
        refused["errors"].as_array().into_iter().flatten().map(|error| error["field"].clone()).collect();
    assert_eq!(fields, ["Metricd-After", "limit", "nope"], "{refused}");
    let unreached = reqwest::Client::new().get(format!("{}/metrics/count", patient.address));
    let refused: Value = unreached.header("Metricd-After", "FFFFFFFF/0").send().await?.json().await?;
    assert_eq!(refused["code"], "position-not-reached", "{refused}");

    // The primary is gone: nothing is known of what it writes. The standby is promoted, and is the primary.
    pair.cluster.stop_database()?;
    let status = async |server: &Server| Ok::<_, anyhow::Error>(server.get("/metrics/count").await?.0);
    eventually("the standby may be too old", || async { Ok(status(&strict).await? == 503) }).await?;
    pair.standby.promote(&pair.cluster).await?;
    for server in [&patient, &strict] {
        let is_followed = || async { Ok(status(server).await? == 200 && !count(server, None).await?.1) };
        eventually("the promoted server answers", is_followed).await?;
        assert_eq!(server.get("/health/ready").await?.0, 200);
    }
    let position = create("last", "SELECT 2 AS two").await?;
    assert_eq!(count(&patient, Some(&position)).await?, (1, false, 0.0));
    for server in [patient, strict] {
        assert_eq!(server.stop(Signal::SIGTERM)?.0, 0);
    }
    Ok(())
}

/// The old primary comes first in the URLs, runs on and accepts changes, as after a fail-over that has not stopped it.
#[actix_web::test]
async fn changes_follow_a_fail_over_that_leaves_the_old_primary_running() -> Result<()> {
    let pair = Pair::start("any").await?;
    let server = Server::start(&mut pair.command(&["--max-replica-lag", "5"])?)?;
    let create = async |id: &str| {
        let metric = json!({"id": id, "title": id, "sql": "SELECT count(*) AS n FROM generate_series(1, 3)"});
        let response = reqwest::Client::new().post(format!("{}/metrics", server.address)).json(&metric).send().await?;
        let position = response.headers().get("metricd-lsn").and_then(|position| position.to_str().ok());
        Ok::<_, anyhow::Error>((response.status().as_u16(), position.unwrap_or_default().to_owned()))
    };
    assert_eq!(create("before").await?.0, 201);
    assert_eq!(server.get("/metrics/before").await?.0, 200);
    pair.standby.catch_up(&pair.cluster).await?;

    // A change that waits for a lock of the old primary until the new one is known.
    let mut locking = owner_of(&pair.cluster, "postgres").await?;
    let lock = locking.transaction().await?;
    lock.batch_execute("LOCK catalog.metrics IN EXCLUSIVE MODE").await?;
    let blocked = json!({"id": "blocked", "title": "Blocked", "sql": "SELECT 1 AS one"});
    let blocked = reqwest::Client::new().post(format!("{}/metrics", server.address)).json(&blocked).send();
    let blocked = actix_web::rt::spawn(blocked);
    let old = owner_of(&pair.cluster, "postgres").await?;
    eventually("the change waits", || async {
        let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')";
        Ok(old.query_one(waiting, &[]).await?.get(0))
    })
    .await?;
    pair.standby.promote(&pair.cluster).await?;
    let new = pair.standby.connect(&pair.cluster).await?;
    let has = async |client: &tokio_postgres::Client, id: &str| {
        let found = client.query("SELECT FROM catalog.metrics WHERE metric_id = $1", &[&id]).await?;
        Ok::<_, anyhow::Error>(!found.is_empty())
    };
    // Until the promotion is noticed, a change may still go to the old primary.
    let mut number = 0;
    loop {
        number += 1;
        let id = format!("after-{number}");
        let (status, _) = create(&id).await?;
        if has(&new, &id).await? {
            assert_eq!(status, 201);
            break;
        }
        assert!(number < 200, "changes still go to the old primary");
        actix_web::rt::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    lock.rollback().await?;
    assert_eq!(blocked.await??.status(), 503);
    assert!(!has(&old, "blocked").await? && !has(&new, "blocked").await?);
    for number in 1..=20 {
        let id = format!("later-{number}");
        let (status, position) = create(&id).await?;
        assert_eq!(status, 201);
        assert!(has(&new, &id).await? && !has(&old, &id).await?, "{id}");
        let read = reqwest::Client::new().get(format!("{}/metrics/{id}", server.address));
        assert_eq!(read.header("Metricd-After", position).send().await?.status(), 200);
    }

    // Definitions are cached, and a change on the new primary is noticed.
    eventually("a change of another program is noticed", || async {
        new.batch_execute("UPDATE catalog.metrics SET title = 'another' WHERE metric_id = 'before'").await?;
        Ok(server.get("/metrics/before").await?.1["title"] == "another")
    })
    .await?;
    Ok(())
}

/// The connections of the old primary stay open, and none of them answers.
#[actix_web::test]
async fn changes_follow_a_fail_over_from_a_primary_that_hangs() -> Result<()> {
    let pair = Pair::start("any").await?;
    let server = Server::start(&mut pair.command(&["--max-replica-lag", "5"])?)?;
    let create = async |id: &str| create(&server, id).await;
    // All connections of the catalog are in use once.
    let creating: Vec<_> = (0..16)
        .map(|number| {
            let metric = json!({"id": format!("before-{number}"), "title": "Before", "sql": "SELECT 1 AS one"});
            let url = format!("{}/metrics", server.address);
            actix_web::rt::spawn(async move { call("POST", url, None, Some(metric)).await })
        })
        .collect();
    for created in creating {
        assert_eq!(created.await??.0, 201);
    }
    pair.standby.catch_up(&pair.cluster).await?;
    let hung = processes(pair.cluster.data_dir())?;
    hung.iter().try_for_each(|pid| kill(*pid, Signal::SIGSTOP))?;
    pair.standby.promote(&pair.cluster).await?;
    let began = Instant::now();
    eventually("the promoted server is written to", || async { Ok(create("after").await? == 201) }).await?;
    show(&format!("changes go on {} ms after the promotion of a hung primary's standby", began.elapsed().as_millis()));
    for number in 0..16 {
        assert_eq!(create(&format!("later-{number}")).await?, 201);
        assert_eq!(server.get(&format!("/metrics/before-{number}")).await?.0, 200);
    }
    hung.iter().try_for_each(|pid| kill(*pid, Signal::SIGCONT))?;
    for number in 0..16 {
        assert_eq!(create(&format!("last-{number}")).await?, 201);
    }
    let new = pair.standby.connect(&pair.cluster).await?;
    let found: i64 = new.query_one("SELECT count(*) FROM catalog.metrics WHERE metric_id LIKE 'l%'", &[]).await?.get(0);
    assert_eq!(found, 32);
    Ok(())
}

/// A host that neither accepts nor refuses connections is in both URLs.
#[actix_web::test]
async fn a_host_that_hangs_does_not_keep_the_others_from_serving() -> Result<()> {
    let pair = Pair::start("any").await?;
    pair.standby.hang()?;
    let reversed = |url: &str| {
        let (before, hosts) = url.split_once('@').context("a user")?;
        let (hosts, after) = hosts.split_once('/').context("hosts")?;
        let (primary, standby) = hosts.split_once(',').context("two hosts")?;
        anyhow::Ok(format!("{before}@{standby},{primary}/{after}"))
    };
    let mut command = pair.command(&["--max-replica-lag", "5"])?;
    command.env("DATABASE_URL", reversed(&pair.owner)?).env("READER_DATABASE_URL", reversed(&pair.reader)?);
    let began = Instant::now();
    let server = Server::start(&mut command)?;
    show(&format!("a server with a host that hangs starts after {} ms", began.elapsed().as_millis()));
    let metric = json!({"id": "one", "title": "One", "sql": "SELECT 1 AS one"});
    let (status, _, created) = call("POST", format!("{}/metrics", server.address), None, Some(metric)).await?;
    assert_eq!(status, 201, "{created}");
    assert_eq!(server.get("/metrics/one").await?.0, 200);
    pair.standby.resume()?;
    eventually("the standby is used", || async {
        let response = reqwest::get(format!("{}/metrics/one", server.address)).await?;
        Ok(response.headers().get("metricd-lag").is_some_and(|lag| lag != "0.000"))
    })
    .await?;
    let log = server.log()?;
    assert!(log.contains(&format!("no results are read from 127.0.0.1:{}: ", pair.standby.port())), "{log}");
    Ok(())
}
