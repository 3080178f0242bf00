//! Coalescing of identical concurrent requests, against a real database.

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Server, connect_as_owner, eventually, folder, metricd};

/// Takes several seconds, and reads the data as of when it was sent.
const SQL: &str =
    "SELECT max(parts_flagged) AS most, (SELECT count(*) FROM generate_series(1, 8000000) AS n) AS n FROM metrics";

async fn most(url: String) -> Result<i64> {
    let result: Value = reqwest::get(url).await?.error_for_status()?.json().await?;
    result["rows"][0]["most"].as_i64().with_context(|| result.to_string())
}

#[actix_web::test]
async fn no_request_joins_a_statement_that_was_sent_before_it() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = Server::start(metricd(&data_dir).args(["--query-timeout-seconds", "60"]))?;
    let body = json!({"id": "most", "title": "Most", "sql": SQL});
    let url = format!("{}/metrics", server.address);
    assert_eq!(reqwest::Client::new().post(&url).json(&body).send().await?.status(), 201);
    let owner = connect_as_owner(&data_dir).await?;
    owner.batch_execute("UPDATE warehouse.metrics SET parts_flagged = 0").await?;

    let url = format!("{url}/most");
    let sent = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%8000000%' AND pid <> pg_backend_pid()";
    // More requests than the server has threads on a small machine, so that two share a thread.
    let mut before = Vec::new();
    for count in 1..=4 {
        before.push(actix_web::rt::spawn(most(url.clone())));
        let is_sent = async || Ok(owner.query_one(sent, &[]).await?.get::<_, i64>(0) >= count);
        eventually("its statement is sent in addition to the others", is_sent).await?;
    }
    owner.batch_execute("UPDATE warehouse.metrics SET parts_flagged = 7").await?;
    assert!(before.iter().all(|request| !request.is_finished()), "the machine is too fast for this test");
    let after = [most(url.clone()), most(url.clone()), most(url.clone())].map(actix_web::rt::spawn);
    for request in before {
        assert_eq!(request.await??, 0);
    }
    for request in after {
        assert_eq!(request.await??, 7);
    }
    server.stop(Signal::SIGTERM)?;
    Ok(())
}
