//! Conditional requests for results, against a real database.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::{Server, connect_as_owner, eventually, folder, metricd, postmaster};

const SQL: &str = "SELECT count(*) AS records, max(parts_flagged) AS most FROM metrics";

/// A client that caches the last result.
struct Cache {
    url: String,
    tag: String,
    result: Value,
}

impl Cache {
    async fn of(server: &Server) -> Result<Self> {
        let mut cache =
            Self { url: format!("{}/metrics/most", server.address), tag: String::new(), result: Value::Null };
        ensure!(cache.revalidate().await? == 200, "the first response has a body");
        Ok(cache)
    }

    /// Requests the result with `If-None-Match`, caches a new one, and returns the status.
    async fn revalidate(&mut self) -> Result<u16> {
        let response = reqwest::Client::new().get(&self.url).header("if-none-match", &self.tag).send().await?;
        let status = response.status().as_u16();
        let tag = response.headers().get("etag").with_context(|| format!("{status} has no tag"))?.to_str()?.to_owned();
        if status == 200 {
            self.tag = tag;
            self.result = response.json().await?;
        } else {
            ensure!(status == 304 && tag == self.tag, "{status} {tag}, not {}", self.tag);
        }
        Ok(status)
    }
}

async fn create(server: &Server) -> Result<()> {
    let body = json!({"id": "most", "title": "Most", "sql": SQL});
    let created = reqwest::Client::new().post(format!("{}/metrics", server.address)).json(&body).send().await?;
    ensure!(created.status() == 201, "{}", created.text().await?);
    Ok(())
}

#[actix_web::test]
async fn a_result_is_revalidated_without_a_run_until_the_data_change() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = Server::start(metricd(&data_dir).arg("--query-timeout-seconds=1"))?;
    create(&server).await?;
    let mut owner = connect_as_owner(&data_dir).await?;
    let mut cache = Cache::of(&server).await?;
    // A new connection proves nothing about the time before it. These requests open the connections.
    for _ in 0..20 {
        assert_eq!(cache.revalidate().await?, 304);
    }

    // A locked table cannot be read, so 304 shows that the SQL did not run.
    let locking = owner.transaction().await?;
    locking.batch_execute("LOCK TABLE warehouse.metrics IN ACCESS EXCLUSIVE MODE").await?;
    assert_eq!(cache.revalidate().await?, 304);
    let plain = reqwest::get(&cache.url).await?;
    assert_eq!(plain.status(), 503, "a run has to wait for the lock");
    locking.rollback().await?;

    let before = cache.result["rows"][0]["records"].as_i64().context("a count")?;
    let insert = "INSERT INTO warehouse.metrics (id, date, parts_flagged) VALUES ('x', '2025-01-01', 1)";
    let writing = owner.transaction().await?;
    writing.batch_execute(insert).await?;
    assert_eq!(cache.revalidate().await?, 304, "the change is not committed");
    writing.commit().await?;
    assert_eq!(cache.revalidate().await?, 200);
    assert_eq!(cache.result["rows"][0]["records"], before + 1);
    owner.batch_execute("CREATE TABLE warehouse.other (a integer)").await?;
    assert_eq!(cache.revalidate().await?, 304, "another table");

    let killed = postmaster(&data_dir)?;
    kill(Pid::from_raw(killed), Signal::SIGKILL)?;
    let url = format!("{}/health/ready", server.address);
    let is_back = async || {
        let is_another = postmaster(&data_dir).is_ok_and(|started| started != killed);
        Ok(is_another && reqwest::get(&url).await?.status() == 200)
    };
    eventually("the database is back", is_back).await?;
    assert_eq!(cache.revalidate().await?, 304, "nothing was lost");
    connect_as_owner(&data_dir).await?.batch_execute("TRUNCATE warehouse.metrics").await?;
    assert_eq!((cache.revalidate().await?, &cache.result["rows"][0]["records"]), (200, &json!(0)));
    server.stop(Signal::SIGTERM)?;
    Ok(())
}

#[actix_web::test]
async fn no_response_is_older_than_what_was_committed_before_the_request() -> Result<()> {
    const CHANGES: i64 = 150;

    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = Server::start(&mut metricd(&data_dir))?;
    create(&server).await?;
    let owner = connect_as_owner(&data_dir).await?;
    let committed = Arc::new(AtomicI64::new(0));
    owner.batch_execute("UPDATE warehouse.metrics SET parts_flagged = 0").await?;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let (mut cache, committed) = (Cache::of(&server).await?, Arc::clone(&committed));
        clients.push(actix_web::rt::spawn(async move {
            let mut counts = [0, 0];
            // After the last change, every response is 304.
            while committed.load(Ordering::SeqCst) < CHANGES || counts[1] <= 10 {
                let known = committed.load(Ordering::SeqCst);
                counts[usize::from(cache.revalidate().await? == 304)] += 1;
                let received = cache.result["rows"][0]["most"].as_i64().context("a number")?;
                ensure!(received >= known, "{received} was returned after {known} was committed");
            }
            anyhow::Ok(counts)
        }));
    }
    for change in 1..=CHANGES {
        owner
            .batch_execute(&format!("UPDATE warehouse.metrics SET parts_flagged = {change} WHERE date > '2000-01-01'"))
            .await?;
        committed.store(change, Ordering::SeqCst);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for client in clients {
        let [changed, unchanged] = client.await??;
        assert!(changed > 10 && unchanged > 10, "{changed} responses with a body, {unchanged} without");
    }
    server.stop(Signal::SIGTERM)?;
    Ok(())
}
