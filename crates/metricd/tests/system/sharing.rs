//! Requests that ask the same at the same time, against the real database.

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Server, connect_as_owner, eventually, folder, metricd};

/// It takes some seconds, and sees the data as they were when it was sent.
const SQL: &str =
    "SELECT max(parts_flagged) AS most, (SELECT count(*) FROM generate_series(1, 8000000) AS n) AS n FROM metrics";

async fn most(url: String) -> Result<i64> {
    let result: Value = reqwest::get(url).await?.error_for_status()?.json().await?;
    result["rows"][0]["most"].as_i64().with_context(|| result.to_string())
}

#[actix_web::test]
async fn nobody_shares_a_statement_that_was_sent_before_the_question() -> Result<()> {
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
    // More than the server has threads on a small machine, so that there are two on one of them.
    let mut before = Vec::new();
    for count in 1..=4 {
        before.push(actix_web::rt::spawn(most(url.clone())));
        let is_sent = async || Ok(owner.query_one(sent, &[]).await?.get::<_, i64>(0) >= count);
        eventually("its statement is sent, beside the others", is_sent).await?;
    }
    owner.batch_execute("UPDATE warehouse.metrics SET parts_flagged = 7").await?;
    assert!(before.iter().all(|asking| !asking.is_finished()), "the machine is too fast for this test");
    let after = [most(url.clone()), most(url.clone()), most(url.clone())].map(actix_web::rt::spawn);
    for asking in before {
        assert_eq!(asking.await??, 0);
    }
    for asking in after {
        assert_eq!(asking.await??, 7);
    }
    server.stop(Signal::SIGTERM)?;
    Ok(())
}
