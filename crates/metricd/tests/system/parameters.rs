//! Parameters and periods of a metric, from its files to its results.

use anyhow::Result;
use serde_json::Value;

use crate::support::{Server, connect_as_owner, folder, metricd, run, write};

const METRICS: &str = r#"{"items": [
  {"id": "orders", "queryId": "orders", "isEditable": true,
   "parameters": [
     {"name": "status", "type": "text[]", "allowed": ["paid", "new"], "default": ["paid", "new"]},
     {"name": "top", "type": "integer", "default": 2, "min": 1, "max": 3}]},
  {"id": "inferred", "queryId": "inferred", "isEditable": true},
  {"id": "costly", "queryId": "costly", "isEditable": true, "limits": {"cost": 100}}
]}"#;

const QUERIES: &str = "id,query
orders,\"SELECT id, placed, total FROM orders WHERE status = ANY (:status) ORDER BY total DESC LIMIT :top\"
inferred,\"SELECT id FROM orders WHERE total > :least AND placed + :span::interval > current_date - 100000 ORDER BY id\"
costly,\"SELECT count(*) AS n FROM generate_series(1, 1000000)\"
";

#[actix_web::test]
async fn values_of_the_request_reach_the_sql_unchanged() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    connect_as_owner(&data_dir)
        .await?
        .batch_execute(
            "CREATE TABLE warehouse.orders (id uuid, placed date, total numeric, status text);
             INSERT INTO warehouse.orders VALUES
             ('00000000-0000-0000-0000-000000000001', '2025-06-01', 10.50, 'paid'),
             ('00000000-0000-0000-0000-000000000002', '2025-06-02', 20, 'new'),
             ('00000000-0000-0000-0000-000000000003', '2025-06-03', 30, 'paid')",
        )
        .await?;
    let files = folder.path().join("files");
    std::fs::create_dir(&files)?;
    write(&files, "metrics.json", METRICS)?;
    write(&files, "queries.csv", QUERIES)?;
    let (code, report, error) = run(metricd(&data_dir).arg("ingest").arg(&files))?;
    assert!(code == 0 && report.contains("nothing was refused"), "{report}{error}");

    let last_digits = |result: &Value| -> Vec<String> {
        let rows = result["rows"].as_array().cloned().unwrap_or_default();
        rows.iter()
            .map(|row| row["id"].as_str().unwrap_or_default().trim_start_matches(['0', '-']).to_owned())
            .collect()
    };
    for (path, expected) in [
        ("/metrics/orders", vec!["3", "2"]),
        ("/metrics/orders?top=1", vec!["3"]),
        ("/metrics/orders?status=paid", vec!["3", "1"]),
        ("/metrics/orders?status=paid&end_date=2025-06-02", vec!["1"]),
        ("/metrics/orders?start_date=2025-06-02&end_date=2025-06-02", vec!["2"]),
        ("/metrics/inferred?least=10.5&span=1%20day", vec!["2", "3"]),
        ("/metrics/inferred?least=0&span=1%20day&start_date=2025-06-03", vec!["3"]),
    ] {
        let (status, result) = server.get(path).await?;
        assert_eq!(
            (status, last_digits(&result)),
            (200, expected.into_iter().map(str::to_owned).collect()),
            "{path}: {result}"
        );
    }
    for (path, field) in [
        ("/metrics/orders?status=paid%27%3B%20DROP%20TABLE%20orders", "status"),
        ("/metrics/orders?top=4", "top"),
        ("/metrics/inferred?least=x&span=1%20day", "least"),
        ("/metrics/inferred?span=1%20day", "least"),
    ] {
        let (status, problem) = server.get(path).await?;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &Value::from(field)), "{path}: {problem}");
    }
    let (status, problem) = server.get("/metrics/inferred?least=0&span=soon").await?;
    assert_eq!((status, &problem["code"]), (422, &Value::from("invalid-parameters")), "{problem}");
    let (status, problem) = server.get("/metrics/costly").await?;
    assert_eq!((status, &problem["code"]), (422, &Value::from("query-too-costly")), "{problem}");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("With these parameters") && detail.contains("and the limit is "), "{detail}");

    let (status, definition) = server.get("/metrics/inferred/definition").await?;
    assert_eq!((status, &definition["version"]), (200, &Value::from(1)));
    let types: Vec<_> =
        definition["contract"]["parameters"].as_array().into_iter().flatten().map(|it| it["type"].clone()).collect();
    assert_eq!(types, ["numeric", "interval"], "{definition}");
    Ok(())
}
