//! Contracts after the tables have changed: no document describes an earlier state.

use anyhow::{Context, Result};
use metricd_api::ApiState;
use metricd_domain::ContractColumn;
use metricd_execution::testing::{Description, Ending, ScriptedResult};
use metricd_execution::{Column, FieldType, Resolution, ResolveError, RunError};
use serde_json::{Value, json};

use crate::support::TestApp;

const SQL: &str = "SELECT total FROM sales";

fn resolution(type_name: &str) -> Resolution {
    Resolution { columns: vec![ContractColumn::new("total", type_name)], ..Resolution::default() }
}

fn described(type_name: &str) -> Description {
    let column = Column { name: "total".into(), type_name: type_name.into(), field_type: FieldType::Text };
    Description { columns: vec![column], parameter_types: Vec::new() }
}

/// A metric `sales` whose column is an integer.
async fn app() -> Result<TestApp> {
    let watched = |state: ApiState| {
        state.definitions.enable();
        state
    };
    let app = TestApp::builder().repository(TestApp::store().await?).state(watched).start()?;
    app.resolver.answer(SQL, Ok(resolution("integer")));
    let created = app.call("POST", "/metrics", &[], Some(json!({"id": "sales", "title": "Sales", "sql": SQL}))).await?;
    assert_eq!(created.status, 201, "{created:?}");
    app.runner.set_description(SQL, Ok(described("integer")));
    Ok(app)
}

/// The type of the metric's column in the list of metrics.
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

/// Every path to a metric's rows.
const RESULTS: [&str; 4] =
    ["/metrics/sales", "/metrics/sales?format=csv", "/metrics/sales?format=ndjson", "/results?metric_id=sales"];

#[actix_web::test]
async fn no_result_differs_from_its_contract() -> Result<()> {
    for path in RESULTS {
        let app = app().await?;
        let columns = described("text").columns;
        let result =
            move || Ok(ScriptedResult { columns: columns.clone(), rows: Vec::new(), ending: Ending::Complete });
        app.runner.script_result(SQL, result);
        app.runner.set_description(SQL, Ok(described("text")));
        app.resolver.answer(SQL, Ok(resolution("text")));
        assert_eq!(app.get(path).await?.status, 200, "{path}");
        // The list does not read from PostgreSQL.
        assert_eq!(listed_type(&app).await?, "text", "{path}: the contract is renewed before the rows are answered");
        assert_eq!(app.runner.begun(), 1, "{path}: what PostgreSQL describes otherwise is not run");
    }
    Ok(())
}

#[actix_web::test]
async fn values_are_parsed_by_the_current_types_of_parameters() -> Result<()> {
    const BY_CODE: &str = "SELECT value FROM sales WHERE code = :code";
    const NUMBERED: &str = "SELECT value FROM sales WHERE code = $1";
    let resolution = |type_name: &str| Resolution {
        columns: vec![ContractColumn::new("value", "text")],
        parameter_types: vec![type_name.to_owned()],
        ..Resolution::default()
    };
    let described = |type_name: &str| Description {
        columns: vec![Column { name: "value".into(), type_name: "text".into(), field_type: FieldType::Text }],
        parameter_types: vec![type_name.to_owned()],
    };
    // As a number, `007` is `7`; `x` is invalid.
    for (path, value) in [
        ("/metrics/coded?code=007", "007"),
        ("/metrics/coded?code=x", "x"),
        ("/metrics/coded?format=csv&code=007", "007"),
        ("/metrics/coded?format=ndjson&code=x", "x"),
        ("/results?metric_id=coded&code=007", "007"),
        ("/results?metric_id=coded&code=x", "x"),
    ] {
        let app = TestApp::start().await?;
        app.resolver.answer(NUMBERED, Ok(resolution("integer")));
        app.runner.script_arguments(NUMBERED);
        let body = json!({"id": "coded", "title": "Coded", "sql": BY_CODE});
        assert_eq!(app.call("POST", "/metrics", &[], Some(body)).await?.status, 201);
        app.runner.set_description(NUMBERED, Ok(described("integer")));
        app.runner.set_description(NUMBERED, Ok(described("text")));
        app.resolver.answer(NUMBERED, Ok(resolution("text")));
        let answer = app.get(path).await?;
        assert!(answer.status == 200 && answer.body.contains(value), "{path}: {answer:?}");
        assert!(!answer.body.contains("\"7\""), "{path}: {answer:?}");
    }
    Ok(())
}

#[actix_web::test]
async fn a_contract_that_cannot_be_refreshed_is_not_validated_at_each_request() -> Result<()> {
    let refused = || ResolveError::Refused { message: "there is no such column".into(), hint: None, character: None };
    for validated in [Ok(resolution("integer")), Err(refused())] {
        let app = app().await?;
        app.runner.script(SQL, || Ok(Vec::new()));
        // The reader sees other columns than the role that validates SQL, as on a standby that lags behind.
        app.runner.set_description(SQL, Ok(described("text")));
        app.resolver.answer(SQL, validated.clone());
        let before = app.resolver.resolved_texts().len();
        for path in RESULTS.into_iter().chain(RESULTS) {
            assert_eq!(app.get(path).await?.status, 200, "{path}: a result says itself what it is");
        }
        assert_eq!(app.resolver.resolved_texts().len(), before + 1, "{validated:?}");
    }
    Ok(())
}

#[actix_web::test]
async fn a_stale_contract_is_not_served() -> Result<()> {
    let app = app().await?;
    app.runner.script(SQL, || Ok(Vec::new()));
    app.runner.set_description(SQL, Ok(described("text")));
    app.resolver.stop();
    for path in ["/metrics/sales/definition", "/metrics/sales/openapi.json", RESULTS[0], RESULTS[1], RESULTS[2]] {
        app.get(path).await?.assert_problem(503, "database-unavailable", path.split('?').next().unwrap_or_default())?;
    }
    let results = app.get(RESULTS[3]).await?.json()?;
    assert_eq!(results["results"][0]["problem"]["code"], "database-unavailable", "{results}");
    Ok(())
}

#[actix_web::test]
async fn invalid_requests_do_not_validate_the_sql_again() -> Result<()> {
    let app = app().await?;
    let before = app.resolver.resolved_texts().len();
    for query in ["start_date=2025-06-01", "unknown=1", "limit=x", "start_date=2025-06-01"] {
        assert_eq!(app.get(&format!("/metrics/sales?{query}")).await?.status, 422, "{query}");
    }
    assert_eq!(app.resolver.resolved_texts().len(), before, "the contract is current");
    Ok(())
}

#[actix_web::test]
async fn sql_that_is_no_longer_valid_has_no_contract() -> Result<()> {
    let app = app().await?;
    let gone = RunError::Failed { sqlstate: "42703".into(), message: "there is no such column".into() };
    app.runner.set_description(SQL, Err(gone));
    let refused = ResolveError::Refused { message: "there is no such column".into(), hint: None, character: None };
    app.resolver.answer(SQL, Err(refused));
    let definition = app.get("/metrics/sales/definition").await?;
    assert_eq!((definition.status, &definition.json()?["contract"]), (200, &json!(null)));
    assert_eq!(app.get("/metrics/sales/openapi.json").await?.status, 200);
    // A restored metric is unchanged.
    app.runner.set_description(SQL, Ok(described("integer")));
    assert_ne!(app.get("/metrics/sales/definition").await?.json()?["contract"], json!(null));
    Ok(())
}

#[actix_web::test]
async fn without_a_database_the_stored_contract_is_served() -> Result<()> {
    let app = app().await?;
    app.runner.set_description(SQL, Err(RunError::Unavailable("it restarts".into())));
    let definition = app.get("/metrics/sales/definition").await?;
    assert_eq!(definition.json()?["contract"]["columns"][0]["type"], "integer");
    Ok(())
}

#[actix_web::test]
async fn a_metric_without_a_contract_is_validated_when_it_is_described() -> Result<()> {
    let app = TestApp::start().await?;
    let validated = json!([{"name": "total", "type": "integer"}]);
    app.resolver.answer("SELECT 1", Ok(resolution("integer")));
    for _ in 0..2 {
        let definition = app.get("/metrics/m1/definition").await?.json()?;
        assert_eq!((&definition["contract"]["columns"], &definition["version"]), (&validated, &json!(1)));
        assert_eq!(app.resolver.resolved_texts().len(), 1, "the contract is stored");
    }
    Ok(())
}
