//! Several results as one file, from PostgreSQL.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};

use anyhow::{Context, Result, ensure};
use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use zip::ZipArchive;

use crate::support::{Server, connect_as_owner, folder, metricd};

/// Creates metrics of these ids and SQL texts.
async fn create(server: &Server, metrics: &[(&str, &str, &str)]) -> Result<()> {
    for (id, title, sql) in metrics {
        let body = json!({"id": id, "title": title, "sql": sql});
        let created = reqwest::Client::new().post(format!("{}/metrics", server.address)).json(&body).send().await?;
        ensure!(created.status() == 201, "{id}: {}", created.text().await?);
    }
    Ok(())
}

async fn fetch(server: &Server, path: &str) -> Result<(reqwest::header::HeaderMap, Vec<u8>)> {
    let response = reqwest::get(format!("{}{path}", server.address)).await?;
    let (status, headers, body) = (response.status(), response.headers().clone(), response.bytes().await?.to_vec());
    ensure!(status == 200, "{path}: {status}: {}", String::from_utf8_lossy(&body));
    Ok((headers, body))
}

/// The files of an archive by name.
fn files(archive: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut archive = ZipArchive::new(Cursor::new(archive))?;
    let mut files = BTreeMap::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        files.insert(file.name()?.into_owned(), content);
    }
    Ok(files)
}

/// The rows of a Parquet file, whose row groups may have any size.
fn batches(file: &[u8]) -> Result<Vec<RecordBatch>> {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(file))?.with_batch_size(1 << 20).build()?;
    Ok(reader.collect::<Result<_, _>>()?)
}

/// Values of every kind, and NULL.
const TYPES: &str = "
    SELECT 9223372036854775807 AS a, 1.50::numeric(12,2) AS b, 12345678901234567.125 AS c, 0.1::real AS d, true AS e,
           '=1+1' AS f, DATE '2025-06-01' AS g, TIMESTAMP '2025-06-01 12:00:00.789' AS h,
           TIMESTAMPTZ '2025-06-01 12:00+02' AS i, '{\"a\": [1, null]}'::jsonb AS j, '\\x00ff'::bytea AS k,
           ARRAY[1, NULL] AS l, INTERVAL '1 day' AS m
    UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL";

#[actix_web::test]
async fn each_file_of_an_archive_is_that_of_the_metric_alone() -> Result<()> {
    let folder = folder()?;
    let server = Server::start(metricd(&folder.path().join("data")).arg("--no-sample"))?;
    create(
        &server,
        &[
            ("types", "Types", TYPES),
            ("many", "types", "SELECT n, 'row ' || n AS name FROM generate_series(1, 30000) AS n"),
            ("empty", "No rows", "SELECT 1 AS one WHERE false"),
            ("failing", "Failing", "SELECT 1 / (count(*) - 1) AS n FROM generate_series(1, 1)"),
            ("infinite", "Infinite", "SELECT 'infinity'::date AS day"),
        ],
    )
    .await?;
    let ids = ["types", "many", "empty", "failing", "infinite"];
    let query = format!("metric_id={}", ids.join("&metric_id="));
    for format in ["csv", "ndjson", "parquet", "arrow"] {
        let (headers, archive) = fetch(&server, &format!("/results?{query}&format={format}")).await?;
        let (archive, is_exact) = (files(&archive)?, ["csv", "ndjson"].contains(&format));
        assert_eq!(archive.len(), if is_exact { 5 } else { 4 }, "{format}: {:?}", archive.keys());
        for id in &ids[..3] {
            let (_, alone) = fetch(&server, &format!("/metrics/{id}?format={format}")).await?;
            let file = &archive[&format!("{id}.{format}")];
            let is_equal = if format == "parquet" { batches(file)? == batches(&alone)? } else { *file == alone };
            assert!(is_equal, "{id} as {format}");
        }
        assert!(headers.get("x-truncated").is_none());
        let summary: Value = serde_json::from_slice(&archive["results.json"])?;
        let entries = summary["results"].as_array().context("results")?;
        let statuses: Vec<_> = entries.iter().map(|entry| entry["status"].as_u64()).collect();
        assert_eq!(statuses, [200, 200, 200, 500, if is_exact { 200 } else { 422 }].map(Some), "{format}");
        assert_eq!(entries[1]["result"]["row_count"], 30_000);
        assert_eq!(entries[3]["problem"]["code"], "query-failed");
    }
    let (_, book) = fetch(&server, &format!("/results?{query}&format=xlsx")).await?;
    let book = files(&book)?;
    for (sheet, id) in [(2, "types"), (3, "many"), (4, "empty"), (5, "infinite")] {
        let (_, alone) = fetch(&server, &format!("/metrics/{id}?format=xlsx")).await?;
        let (of_book, alone) =
            (&book[&format!("xl/worksheets/sheet{sheet}.xml")], &files(&alone)?["xl/worksheets/sheet1.xml"]);
        assert!(of_book == alone, "{id} as a sheet");
    }
    let names = String::from_utf8(book["xl/workbook.xml"].clone())?;
    for name in ["Results", "Types", "types (2)", "No rows", "Infinite"] {
        assert!(names.contains(&format!("<sheet name=\"{name}\"")), "{name}: {names}");
    }
    let summary = String::from_utf8(book["xl/worksheets/sheet1.xml"].clone())?;
    assert!(summary.contains("query-failed") && summary.contains("<v>30000</v>"), "{summary}");

    let response =
        reqwest::get(format!("{}/results?metric_id=failing&metric_id=infinite&format=arrow", server.address)).await?;
    assert_eq!(response.status(), 500);
    let problem: Value = response.json().await?;
    assert_eq!(
        (&problem["code"], &problem["results"][1]["status"]),
        (&json!("query-failed"), &json!(422)),
        "{problem}"
    );
    Ok(())
}

#[actix_web::test]
async fn the_files_of_an_archive_are_of_one_snapshot() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    let owner = connect_as_owner(&data_dir).await?;
    owner
        .batch_execute(
            "CREATE TABLE warehouse.accounts AS SELECT n AS id, 100 AS amount FROM generate_series(1, 2) AS n",
        )
        .await?;
    let sum = |id: u8| format!("SELECT sum(amount) AS amount FROM accounts WHERE id = {id}");
    // The second one has a high estimated cost, so that it may run on another connection.
    let costly = format!("{} AND (SELECT count(*) FROM generate_series(1, 200000) AS n WHERE sqrt(n) > 0) > 0", sum(2));
    create(&server, &[("left", "Left", &sum(1)), ("right", "Right", &costly)]).await?;
    let writing = actix_web::rt::spawn(async move {
        let moved = "UPDATE warehouse.accounts SET amount = amount + CASE id WHEN 1 THEN 1 ELSE -1 END";
        while owner.batch_execute(moved).await.is_ok() {}
    });
    let mut lefts = BTreeSet::new();
    for _ in 0..20 {
        let (_, archive) = fetch(&server, "/results?metric_id=left&metric_id=right&format=csv").await?;
        let archive = files(&archive)?;
        let amount = |file: &str| -> Result<i64> {
            let text = std::str::from_utf8(&archive[file])?;
            Ok(text.lines().nth(1).context("a row")?.parse()?)
        };
        let (left, right) = (amount("left.csv")?, amount("right.csv")?);
        assert_eq!(left + right, 200);
        lefts.insert(left);
    }
    assert!(lefts.len() > 5, "the writer has written meanwhile: {lefts:?}");
    writing.abort();
    Ok(())
}
