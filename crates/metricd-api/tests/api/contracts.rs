//! Contracts after the tables have changed: no document says what a metric was.

use std::time::Duration;

use anyhow::{Context, Result};
use metricd_domain::ContractColumn;
use metricd_execution::testing::{Ending, ScriptedResult};
use metricd_execution::{Column, FieldType, Resolution, ResolveError, RunError};
use serde_json::{Value, json};

use crate::support::TestApp;

const SQL: &str = "SELECT total FROM sales";

fn resolution(type_name: &str) -> Resolution {
    Resolution { columns: vec![ContractColumn::new("total", type_name)], ..Resolution::default() }
}

fn described(type_name: &str) -> Vec<Column> {
    vec![Column { name: "total".into(), type_name: type_name.into(), field_type: FieldType::Text }]
}

/// A metric `sales` whose column is an integer.
async fn app() -> Result<TestApp> {
    let app = TestApp::start().await?;
    app.resolver.answer(SQL, Ok(resolution("integer")));
    let created = app.call("POST", "/metrics", &[], Some(json!({"id": "sales", "title": "Sales", "sql": SQL}))).await?;
    assert_eq!(created.status, 201, "{created:?}");
    app.runner.set_description(SQL, Ok(described("integer")));
    Ok(app)
}

/// The type of the metric's column, as the list of metrics has it.
async fn listed_type(app: &TestApp) -> Result<Value> {
    let listed = app.get("/metrics").await?.json()?;
    let item = listed["items"].as_array().and_then(|items| items.iter().find(|item| item["id"] == "sales"));
    Ok(item.context("the metric is listed")?["columns"][0]["type"].clone())
}

#[actix_web::test]
async fn documents_follow_a_column_whose_type_has_changed() -> Result<()> {
    let app = app().await?;
    let paths = ["/metrics/sales/openapi.json", "/metrics/sales/definition"];
    let mut before = Vec::new();
    for path in paths {
        before.push(app.get(path).await?);
    }
    app.runner.set_description(SQL, Ok(described("text")));
    app.resolver.answer(SQL, Ok(resolution("text")));
    for (path, before) in paths.into_iter().zip(before) {
        let after = app.call("GET", path, &[("if-none-match", before.header("etag"))], None).await?;
        assert_eq!(after.status, 200, "{path}: what the client has is not so any more");
        assert!(before.body.contains("integer") && after.body != before.body, "{path}: {after:?}");
    }
    let definition = app.get("/metrics/sales/definition").await?.json()?;
    assert_eq!((&definition["contract"]["columns"][0]["type"], &definition["version"]), (&json!("text"), &json!(1)));
    assert_eq!(listed_type(&app).await?, "text", "it is stored");
    let history = app.get("/metrics/sales/history").await?.json()?;
    assert_eq!(history["items"].as_array().map(Vec::len), Some(1), "nobody has changed the metric: {history}");
    Ok(())
}

#[actix_web::test]
async fn a_result_with_other_columns_renews_the_contract() -> Result<()> {
    let app = app().await?;
    let columns = described("text");
    let result = move || Ok(ScriptedResult { columns: columns.clone(), rows: Vec::new(), ending: Ending::Complete });
    app.runner.script_result(SQL, result);
    app.runner.set_description(SQL, Ok(described("text")));
    app.resolver.answer(SQL, Ok(resolution("text")));
    assert_eq!(app.get("/metrics/sales").await?.json()?["columns"][0]["type"], "text");
    // The list does not ask PostgreSQL.
    for _ in 0..500 {
        if listed_type(&app).await? == "text" {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("the contract is not renewed")
}

#[actix_web::test]
async fn sql_that_is_not_valid_any_more_has_no_contract() -> Result<()> {
    let app = app().await?;
    let gone = RunError::Failed { sqlstate: "42703".into(), message: "there is no such column".into() };
    app.runner.set_description(SQL, Err(gone));
    let refused = ResolveError::Refused { message: "there is no such column".into(), hint: None, character: None };
    app.resolver.answer(SQL, Err(refused));
    let definition = app.get("/metrics/sales/definition").await?;
    assert_eq!((definition.status, &definition.json()?["contract"]), (200, &json!(null)));
    assert_eq!(app.get("/metrics/sales/openapi.json").await?.status, 200);
    // Brought back, it is as it was.
    app.runner.set_description(SQL, Ok(described("integer")));
    assert_ne!(app.get("/metrics/sales/definition").await?.json()?["contract"], json!(null));
    Ok(())
}

#[actix_web::test]
async fn while_the_database_is_away_the_stored_contract_holds() -> Result<()> {
    let app = app().await?;
    app.runner.set_description(SQL, Err(RunError::Unavailable("it restarts".into())));
    let definition = app.get("/metrics/sales/definition").await?;
    assert_eq!(definition.json()?["contract"]["columns"][0]["type"], "integer");
    Ok(())
}
