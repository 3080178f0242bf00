//! Tables that change under the metrics that read them, and tables that PostgreSQL refuses.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::definitions::call;
use crate::support::{Server, connect_as_owner, folder, metricd, run, write};

/// Numbers with a decimal comma, which are text until an option explains them.
const SALES: &str = "country;amount;day\nDE;1,50;01.02.2025\nFR;2,25;03.02.2025\n";

fn reasons(report: &Value) -> Vec<&str> {
    report["refusals"].as_array().into_iter().flatten().filter_map(|refusal| refusal["reason"].as_str()).collect()
}

#[actix_web::test]
async fn an_option_chooses_types_again_unless_a_metric_would_break() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let file = write(folder.path(), "sales.csv", SALES)?;
    let server = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    let ingest = |options: &[&str]| -> Result<(i32, Value)> {
        let mut command = metricd(&data_dir);
        command.args(["ingest", "--format", "json"]).args(options).arg(&file);
        let (code, report, error) = run(&mut command)?;
        Ok((code, serde_json::from_str(&report).with_context(|| error)?))
    };
    let (code, report) = ingest(&[])?;
    assert_eq!((code, &report["tables"][0]["columns"][1]["type"]), (0, &json!("text")), "{report:#}");
    let url = |path: &str| format!("{}{path}", server.address);
    let metric = |id: &str, sql: &str| json!({"id": id, "title": id, "sql": sql});
    for (id, sql) in [
        ("plain", "SELECT country, amount FROM sales"),
        ("replacing", "SELECT replace(amount, ',', '.')::numeric AS amount FROM sales"),
    ] {
        let (status, _, created) = call("POST", url("/metrics"), None, Some(metric(id, sql))).await?;
        assert_eq!(status, 201, "{created}");
    }
    // A metric that is invalid already does not count.
    let broken = "UPDATE catalog.queries SET sql = 'SELECT nothing FROM sales' WHERE query_id IN
        (SELECT query_id FROM catalog.metrics WHERE metric_id = 'broken')";
    let (_, _, _) = call("POST", url("/metrics"), None, Some(metric("broken", "SELECT day FROM sales"))).await?;
    let owner = connect_as_owner(&data_dir).await?;
    owner.batch_execute(broken).await?;
    let contract =
        "UPDATE catalog.metrics SET contract = (SELECT contract FROM catalog.metrics WHERE metric_id = 'plain')
        WHERE metric_id = 'broken'";
    owner.batch_execute(contract).await?;

    let options = ["--decimal-comma", "--date-format", "%d.%m.%Y"];
    for dry_run in [true, false] {
        let (code, report) = ingest(&[&options[..], if dry_run { &["--dry-run"] } else { &[] }].concat())?;
        assert_eq!((code, reasons(&report)), (2, vec!["metric-broken"]), "{report:#}");
        let message = report["refusals"][0]["message"].as_str().context("a message")?;
        assert!(message.starts_with("the metric `replacing` reads `sales`"), "{message}");
    }
    assert_eq!(server.get("/tables/sales").await?.1["columns"][1]["type"], "text");
    assert_eq!(call("DELETE", url("/metrics/replacing"), None, None).await?.0, 204);

    let (code, report) = ingest(&[&options[..], &["--dry-run"]].concat())?;
    let changes = json!([
        "changes the column `amount` from text to numeric",
        "changes the column `day` from text to date",
        "changes how its files are read"
    ]);
    assert_eq!((code, &report["tables"][0]["changes"]), (0, &changes), "{report:#}");
    let (code, report) = ingest(&options)?;
    assert_eq!((code, &report["tables"][0]["changes"]), (0, &changes), "{report:#}");
    // The contract is new before anybody runs the metric.
    let stored = "SELECT contract #>> '{columns,1,type}' FROM catalog.metrics WHERE metric_id = 'plain'";
    assert_eq!(owner.query_one(stored, &[]).await?.get::<_, String>(0), "numeric");
    let (_, result) = server.get("/metrics/plain").await?;
    assert_eq!(result["rows"][0], json!({"country": "DE", "amount": 1.50}), "{result:#}");
    Ok(())
}

#[actix_web::test]
async fn a_view_over_a_column_is_a_refusal_with_and_without_sql() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let file = write(folder.path(), "sales.csv", "id,amount\n1,10\n2,20\n")?;
    assert_eq!(run(metricd(&data_dir).arg("ingest").arg(&file))?.0, 0);
    let server = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    let owner = connect_as_owner(&data_dir).await?;
    owner.batch_execute("CREATE VIEW warehouse.big AS SELECT amount FROM warehouse.sales").await?;
    let file = write(folder.path(), "sales.csv", "id,amount\n1,10.5\n2,20\n")?;
    let other = write(folder.path(), "costs.csv", "id\n1\n")?;
    let queries = write(folder.path(), "queries.csv", "id,query\nq1,SELECT sum(amount) AS s FROM sales\n")?;
    for (files, table) in [(vec![&file, &other], "refused"), (vec![&file, &other, &queries], "created")] {
        let (code, report, error) = run(metricd(&data_dir).args(["ingest", "--format", "json"]).args(&files))?;
        let report: Value = serde_json::from_str(&report).context(error)?;
        let refused = &report["refusals"][0];
        assert_eq!(reasons(&report), ["table-rejected"], "{report:#}");
        assert!(refused["file"].as_str().is_some_and(|name| name.ends_with("sales.csv")), "{report:#}");
        // Without SQL to validate, PostgreSQL refuses the table when it is stored, and nothing is.
        let changes: Vec<_> = report["tables"].as_array().into_iter().flatten().map(|table| &table["change"]).collect();
        assert!(changes.contains(&&json!(table)), "{report:#}");
        assert_eq!(code, if table == "refused" { 2 } else { 0 }, "{report:#}");
        let has_costs = server.get("/tables/costs").await?.0 == 200;
        assert_eq!(has_costs, table == "created");
    }
    let upload = reqwest::multipart::Form::new()
        .part("files", reqwest::multipart::Part::text("id,amount\n1,10.5\n").file_name("sales.csv"));
    let response =
        reqwest::Client::new().post(format!("{}/ingestions", server.address)).multipart(upload).send().await?;
    assert_eq!(response.status(), 422);
    let report = response.json::<Value>().await?["report"].take();
    assert_eq!((reasons(&report), &report["outcome"]), (vec!["table-rejected"], &json!("refused")), "{report:#}");
    owner.batch_execute("DROP VIEW warehouse.big; ALTER TABLE warehouse.sales RENAME amount TO price").await?;
    let (code, report, error) = run(metricd(&data_dir).arg("ingest").arg(&file))?;
    assert_eq!(code, 2, "{error}");
    assert!(report.contains("table-altered") && report.contains("no column `amount`"), "{report}");
    Ok(())
}

#[actix_web::test]
async fn a_file_without_rows_empties_a_table_only_on_request() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let file = write(folder.path(), "sales.csv", "id,amount\n1,10\n")?;
    assert_eq!(run(metricd(&data_dir).arg("ingest").arg(&file))?.0, 0);
    write(folder.path(), "sales.csv", "id,amount\n")?;
    let other = write(folder.path(), "costs.csv", "id\n1\n")?;
    let (code, report, _) = run(metricd(&data_dir).arg("ingest").args([&file, &other]))?;
    assert_eq!(code, 2, "{report}");
    assert!(report.contains("table-emptied") && report.contains("`--allow-empty`"), "{report}");
    let (code, report, _) = run(metricd(&data_dir).args(["ingest", "--allow-empty"]).args([&file, &other]))?;
    assert_eq!(code, 0, "{report}");
    assert!(report.contains("1 removed"), "{report}");
    Ok(())
}
