//! A table of a file over HTTP, against a real database, from its ingestion to its history after it was deleted.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::definitions::call;
use crate::support::{Server, connect_as_owner, folder, metricd, run, write};

const SALES: &str =
    "order_id,country,amount,order_date\n1,DE,1.10,2025-01-01\n2,DE,2.20,2025-01-02\n3,FR,3.30,2025-01-03\n";

#[actix_web::test]
async fn a_table_of_a_file_is_described_read_deleted_and_remembered() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let file = write(folder.path(), "sales.csv", SALES)?;
    let server = Server::start(&mut metricd(&data_dir))?;
    let (code, report, error) = run(metricd(&data_dir).arg("ingest").arg(&file))?;
    assert_eq!(code, 0, "{report}{error}");
    let owner = connect_as_owner(&data_dir).await?;
    owner.batch_execute("ANALYZE warehouse.sales").await?;

    let (status, page) = server.get("/tables?q=sales").await?;
    let expected = json!([{
        "schema": "warehouse", "name": "sales", "kind": "table", "description": null, "row_estimate": 3,
        "column_count": 4, "metric_count": 0, "made_by_files": true
    }]);
    assert_eq!((status, &page["items"], &page["next_cursor"]), (200, &expected, &Value::Null));
    let (status, table) = server.get("/tables/sales").await?;
    assert_eq!((status, &table["version"], &table["metrics"]), (200, &json!(1), &json!([])), "{table:#}");
    let columns: Vec<_> = table["columns"]
        .as_array()
        .context("columns")?
        .iter()
        .map(|column| (column["name"].clone(), column["type"].clone(), column["examples"].clone()))
        .collect();
    let column = |name: &str, data_type: &str, examples: Value| (json!(name), json!(data_type), examples);
    assert_eq!(columns[1], column("country", "text", json!(["DE", "FR"])));
    assert_eq!(columns[3], column("order_date", "date", json!(["2025-01-01", "2025-01-02", "2025-01-03"])));
    // The digits are those of the file.
    let body = reqwest::get(format!("{}/tables/sales", server.address)).await?.text().await?;
    assert!(body.contains(r#""examples":[1.10,2.20,3.30]"#), "{body}");

    let url = |path: &str| format!("{}{path}", server.address);
    let sql = "SELECT country, sum(amount) AS amount FROM sales GROUP BY country";
    let metric = json!({"id": "by-country", "title": "Sales by country", "sql": sql});
    let (status, _, created) = call("POST", url("/metrics"), None, Some(metric)).await?;
    assert_eq!(status, 201, "{created}");
    let (_, table) = server.get("/tables/warehouse.sales").await?;
    let reader = json!({"id": "by-country", "title": "Sales by country", "href": "/metrics/by-country/definition"});
    assert_eq!(table["metrics"], json!([reader]));
    assert_eq!(server.get("/tables?q=sales").await?.1["items"][0]["metric_count"], 1);
    let (status, _, refused) = call("DELETE", url("/tables/sales"), None, None).await?;
    assert_eq!((status, &refused["code"], &refused["metrics"]), (409, &json!("table-in-use"), &json!(["by-country"])));
    assert_eq!(call("DELETE", url("/metrics/by-country"), None, None).await?.0, 204);

    // A view of somebody else depends on it, and is not of files.
    owner
        .batch_execute(
            "CREATE VIEW warehouse.german AS SELECT * FROM warehouse.sales WHERE country = 'DE';
             GRANT SELECT ON warehouse.german TO PUBLIC",
        )
        .await?;
    let (status, _, refused) = call("DELETE", url("/tables/sales"), None, None).await?;
    assert_eq!((status, &refused["code"], &refused["metrics"]), (409, &json!("table-in-use"), &Value::Null));
    let (status, _, refused) = call("DELETE", url("/tables/german"), None, None).await?;
    assert_eq!((status, &refused["code"]), (403, &json!("table-not-owned")));
    let (_, german) = server.get("/tables/german").await?;
    assert_eq!((&german["kind"], &german["columns"][0]["examples"]), (&json!("view"), &json!([1, 2])), "{german:#}");
    owner.batch_execute("DROP VIEW warehouse.german").await?;

    assert_eq!(call("DELETE", url("/tables/sales"), None, None).await?.0, 204);
    for (method, path) in [("GET", "/tables/sales"), ("DELETE", "/tables/sales")] {
        let (status, _, problem) = call(method, url(path), None, None).await?;
        assert_eq!((status, &problem["code"]), (404, &json!("table-not-found")), "{method} {path}");
    }
    let (_, history) = server.get("/tables/sales/history").await?;
    let actions: Vec<_> = history["items"].as_array().context("items")?.iter().map(|item| &item["action"]).collect();
    assert_eq!(actions, [&json!("deleted"), &json!("created")], "{history:#}");
    assert_eq!(history["items"][0]["changed_by"]["way"], "http");
    let (code, report, error) = run(metricd(&data_dir).arg("ingest").arg(&file))?;
    assert_eq!(code, 0, "{report}{error}");
    assert_eq!(server.get("/tables/sales").await?.1["version"], 3);
    Ok(())
}
