//! Sorts, filters and pages of results, against a real database and in every format.

use anyhow::{Context, Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::{Server, connect_as_owner, folder, metricd};

const TABLE: &str = "
    CREATE EXTENSION citext SCHEMA warehouse;
    CREATE TYPE warehouse.mood AS ENUM ('sad', 'ok', 'happy');
    CREATE TABLE warehouse.sales (id integer, country text, amount numeric(12,2), day date, mood warehouse.mood, nick warehouse.citext);
    INSERT INTO warehouse.sales SELECT n, CASE n % 3 WHEN 0 THEN 'DE' WHEN 1 THEN 'FR' END, 100 - n, date '2025-05-31' + n,
        (ARRAY['sad', 'ok', 'happy'])[1 + n % 3]::warehouse.mood, 'Nick' || n FROM generate_series(1, 30) AS n;
    GRANT SELECT ON warehouse.sales TO metricd_reader";

/// A server with the metric `sales`.
async fn server(data_dir: &std::path::Path) -> Result<Server> {
    let server = Server::start(metricd(data_dir).args(["serve", "--no-sample"]))?;
    connect_as_owner(data_dir).await?.batch_execute(TABLE).await?;
    store(&server, "sales", "-- Sales\nSELECT * FROM sales ORDER BY id -- in order").await?;
    Ok(server)
}

async fn store(server: &Server, id: &str, sql: &str) -> Result<()> {
    let body = json!({"id": id, "title": id, "sql": sql});
    let stored = reqwest::Client::new().post(format!("{}/metrics", server.address)).json(&body).send().await?;
    ensure!(stored.status() == 201, "{}", stored.text().await?);
    Ok(())
}

async fn get(server: &Server, path: &str) -> Result<(HeaderMap, Bytes)> {
    let response = reqwest::get(format!("{}{path}", server.address)).await?;
    let (status, headers, body) = (response.status(), response.headers().clone(), response.bytes().await?);
    ensure!(status == 200, "{path}: {}", String::from_utf8_lossy(&body));
    Ok((headers, body))
}

async fn ids(server: &Server, query: &str) -> Result<Vec<i64>> {
    let (_, body) = get(server, &format!("/metrics/sales?{query}")).await?;
    let result: Value = serde_json::from_slice(&body)?;
    Ok(result["rows"].as_array().context("rows")?.iter().filter_map(|row| row["id"].as_i64()).collect())
}

#[actix_web::test]
async fn a_page_is_the_same_in_every_format() -> Result<()> {
    let folder = folder()?;
    let server = server(&folder.path().join("data")).await?;
    let page = "/metrics/sales?sort=-amount&filter=country.eq.DE&filter=day.lt.2025-06-28&limit=3&offset=1";
    let (headers, body) = get(&server, page).await?;
    let result: Value = serde_json::from_slice(&body)?;
    assert_eq!(
        result["rows"].as_array().context("rows")?.iter().map(|row| row["id"].clone()).collect::<Vec<_>>(),
        [6, 9, 12]
    );
    assert_eq!((&result["truncated"], &headers["x-truncated"]), (&json!(true), &"true".parse()?));
    assert_eq!(
        result["selection"],
        json!({"sort": ["-amount"], "filter": ["country.eq.DE", "day.lt.2025-06-28"], "offset": 1})
    );
    let (headers, csv) = get(&server, &format!("{page}&format=csv")).await?;
    let csv = String::from_utf8(csv.to_vec())?;
    let lines: Vec<_> = csv.lines().map(|line| line.split(',').take(3).collect::<Vec<_>>().join(",")).collect();
    assert_eq!(lines, ["id,country,amount", "6,DE,94.00", "9,DE,91.00", "12,DE,88.00"]);
    assert_eq!(headers["x-truncated"], "true");
    let (_, ndjson) = get(&server, &format!("{page}&format=ndjson")).await?;
    let found: Vec<Value> =
        ndjson.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    assert_eq!(json!(found), result["rows"]);
    let (_, file) = get(&server, &format!("{page}&format=parquet")).await?;
    let batch = ParquetRecordBatchReaderBuilder::try_new(file)?.build()?.next().context("a batch")??;
    let column = |name: &str| batch.column_by_name(name).with_context(|| name.to_owned());
    let found: Vec<_> = column("id")?.as_primitive::<Int32Type>().values().to_vec();
    assert_eq!(found, [6, 9, 12]);
    let amounts = column("amount")?.as_primitive::<Decimal128Type>();
    assert_eq!((amounts.values().to_vec(), amounts.scale()), (vec![9_400, 9_100, 8_800], 2), "its digits are declared");
    for format in ["arrow", "xlsx"] {
        let (headers, file) = get(&server, &format!("{page}&format={format}")).await?;
        assert!(headers["x-truncated"] == "true" && file.len() > 300, "{format}");
    }
    // The last page is not truncated.
    let (headers, body) = get(&server, &page.replace("offset=1", "offset=6")).await?;
    let result: Value = serde_json::from_slice(&body)?;
    assert_eq!(
        (&result["row_count"], &result["truncated"], headers.get("x-truncated")),
        (&json!(3), &json!(false), None)
    );
    Ok(())
}

#[actix_web::test]
async fn a_selection_of_any_column_runs_often_and_in_other_zones() -> Result<()> {
    let folder = folder()?;
    let server = server(&folder.path().join("data")).await?;
    for _ in 0..3 {
        for (query, expected) in [
            ("filter=mood.gt.sad&filter=id.lte.5", vec![1, 2, 4, 5]),
            ("filter=mood.in.(happy)&limit=2", vec![2, 5]),
            ("filter=nick.eq.nIcK7", vec![7]),
            ("filter=nick.like.nick1*&sort=-id&limit=3", vec![19, 18, 17]),
            ("sort=-country,id&limit=2", vec![1, 4]),
            ("sort=country,-id&limit=2&offset=19", vec![1, 29]),
            ("filter=country.is.null&sort=-id&limit=2", vec![29, 26]),
            ("start_date=2025-06-10&end_date=2025-06-12&sort=-id", vec![12, 11, 10]),
            ("filter=day.gte.2025-06-29&time_zone=Europe/Berlin", vec![29, 30]),
        ] {
            assert_eq!(ids(&server, query).await?, expected, "{query}");
        }
    }
    let (status, problem) = server.get("/metrics/sales?filter=mood.eq.glad&sort=nobody").await?;
    assert_eq!((status, problem["errors"].as_array().map(Vec::len)), (422, Some(2)), "{problem}");
    let message = problem["errors"][0]["message"].as_str().context("a message")?;
    assert!(message.contains("expected one of `sad`, `ok`, `happy`"), "{message}");
    Ok(())
}

/// A column that was added is known after the contract was refreshed; a filter by it is answered at once.
#[actix_web::test]
async fn a_selection_by_what_has_changed_is_answered_by_the_new_contract() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = server(&data_dir).await?;
    assert_eq!(ids(&server, "filter=id.eq.1").await?, [1]);
    let owner = connect_as_owner(&data_dir).await?;
    owner
        .batch_execute(
            "ALTER TABLE warehouse.sales ADD COLUMN region text DEFAULT 'north';
             ALTER TYPE warehouse.mood ADD VALUE 'glad';
             ALTER TABLE warehouse.sales ALTER amount TYPE double precision",
        )
        .await?;
    assert_eq!(ids(&server, "filter=region.eq.north&filter=amount.eq.9.9e1").await?, [1]);
    assert_eq!(ids(&server, "filter=mood.eq.glad").await?, Vec::<i64>::new());
    Ok(())
}

#[actix_web::test]
async fn a_result_of_another_selection_has_another_etag() -> Result<()> {
    let folder = folder()?;
    let server = server(&folder.path().join("data")).await?;
    let tag = async |query: &str| -> Result<String> {
        let (headers, _) = get(&server, &format!("/metrics/sales?{query}")).await?;
        Ok(headers["etag"].to_str()?.to_owned())
    };
    let queries = ["", "sort=id", "sort=-id", "offset=1", "offset=2", "filter=id.gt.0", "filter=id.gt.00"];
    let mut tags = Vec::new();
    for query in queries {
        tags.push(tag(query).await?);
    }
    for (query, own) in queries.iter().zip(&tags) {
        for other in &tags {
            let url = format!("{}/metrics/sales?{query}", server.address);
            let response = reqwest::Client::new().get(url).header("if-none-match", other).send().await?;
            assert_eq!(response.status() == 304, own == other, "{query}");
        }
    }
    Ok(())
}
