//! Several metrics in one call, while transactions change their data.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::support::{Server, connect_as_owner, folder, metricd, run, write};

#[actix_web::test]
async fn the_numbers_of_one_call_agree_while_data_is_written() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    let owner = connect_as_owner(&data_dir).await?;
    owner
        .batch_execute(
            "CREATE TABLE warehouse.accounts AS SELECT n AS id, 100 AS amount FROM generate_series(1, 2) AS n;
             CREATE TABLE warehouse.many AS SELECT n FROM generate_series(1, 200000) AS n; ANALYZE warehouse.many",
        )
        .await?;
    // The last two have a high estimated cost, so that they run on other connections.
    let queries = "id,query\n\
        left,SELECT sum(amount) AS left FROM accounts WHERE id = 1\n\
        right,SELECT sum(amount) AS right FROM accounts WHERE id = 2\n\
        costly-left,\"SELECT (SELECT sum(amount) FROM accounts WHERE id = 1) AS left, count(*) AS n FROM many AS a WHERE a.n + 1 > 0 AND a.n * 2 > 0 AND a.n % 7 >= 0 AND sqrt(a.n) > 0 AND sqrt(a.n + 1) > 0 AND sqrt(a.n + 2) > 0 AND sqrt(a.n + 3) > 0\"\n\
        costly-right,\"SELECT (SELECT sum(amount) FROM accounts WHERE id = 2) AS right, count(*) AS n FROM many AS b WHERE b.n + 1 > 0 AND b.n * 2 > 0 AND b.n % 7 >= 0 AND sqrt(b.n) > 0 AND sqrt(b.n + 1) > 0 AND sqrt(b.n + 2) > 0 AND sqrt(b.n + 3) > 0\"\n";
    let item = |id: &str| format!(r#"{{"id": "{id}", "queryId": "{id}", "isEditable": true}}"#);
    let ids = ["left", "right", "costly-left", "costly-right"];
    let items = ids.map(item).join(", ");
    let files = write(folder.path(), "queries.csv", queries)?;
    let definitions = write(folder.path(), "board.json", &format!(r#"{{"items": [{items}], "layouts": {{}}}}"#))?;
    let (code, report, error) = run(metricd(&data_dir).arg("ingest").arg(&files).arg(&definitions))?;
    assert!(code == 0 && report.contains("nothing was refused"), "{report}{error}");

    let writing = actix_web::rt::spawn(async move {
        loop {
            let moved = "UPDATE warehouse.accounts SET amount = amount + CASE id WHEN 1 THEN 1 ELSE -1 END";
            if owner.batch_execute(moved).await.is_err() {
                return;
            }
        }
    });
    let mut lefts = std::collections::BTreeSet::new();
    for path in [
        "/results?metric_id=left&metric_id=right&metric_id=costly-left&metric_id=costly-right",
        "/dashboards/board/results",
    ] {
        for _ in 0..20 {
            let (status, answer) = server.get(path).await?;
            let results = answer["results"].as_array().context("results")?;
            let amount = |index: usize, column: &str| -> Result<i64> {
                let result = results.get(index).map(|entry| &entry["result"]["rows"][0][column]);
                result.and_then(Value::as_i64).with_context(|| answer.to_string())
            };
            let (left, right) = (amount(0, "left")?, amount(1, "right")?);
            assert_eq!((status, left + right), (200, 200), "{answer}");
            assert_eq!((amount(2, "left")?, amount(3, "right")?), (left, right), "{answer}");
            lefts.insert(left);
        }
    }
    assert!(lefts.len() > 10, "the writer has written meanwhile: {lefts:?}");
    writing.abort();
    Ok(())
}
