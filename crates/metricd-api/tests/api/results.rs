//! `/results` and `/dashboards/{dashboard_id}/results`

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use metricd_domain::{Contract, ContractParameter, ContractParts, ParameterName};
use metricd_execution::RunError;
use metricd_repository::contract::{TestIngestion, dashboard, metric, query};
use metricd_repository::{Definitions, MemoryRepository, MetricRepository, RepositoryError};
use serde_json::{Value, json};

use crate::support::{Answer, FailingRepository, TestApp};

/// A server with the metrics `one`, `two`, `fails`, `slow` and `asks`, and the dashboard `d1`.
async fn app() -> Result<TestApp> {
    let repository = MemoryRepository::default();
    let texts = [("one", "SELECT 1"), ("two", "SELECT 2"), ("fails", "SELECT 3"), ("slow", "SELECT 4")];
    let mut queries: Vec<_> = texts.iter().map(|(id, sql)| query(id, sql)).collect();
    queries.push(query("asks", "SELECT :kind"));
    let mut metrics: Vec<_> =
        queries.iter().map(|query| metric(query.query_id.as_str(), query.query_id.as_str())).collect();
    metrics.push(metric("broken", "broken"));
    queries.push(query("broken", "SELECT 1; SELECT 2"));
    let kind = ContractParameter { name: ParameterName::parse("kind")?, type_name: "text".into() };
    let contract = Contract::new(ContractParts { parameters: vec![kind], ..ContractParts::default() })?;
    let contracts = [(metrics[4].metric_id.clone(), contract)].into();
    let dashboards = vec![dashboard("d1", &["two", "one"]), dashboard("empty", &[])];
    let definitions = Definitions { queries, metrics, contracts, dashboards, ..Definitions::default() };
    let (ingestion, _outcome) = TestIngestion::committing(definitions);
    repository.ingest(Box::new(ingestion)).await?;
    let app = TestApp::builder().repository(Arc::new(repository)).start()?;
    app.runner.script("SELECT 1", || Ok(vec![Some("1".into())]));
    app.runner.script("SELECT 2", || Ok(vec![Some("2".into()); 3]));
    app.runner.script("SELECT 3", || Err(RunError::Failed { sqlstate: "P0001".into(), message: "s3cret".into() }));
    app.runner.script("SELECT 4", || Err(RunError::TimedOut { limit: Duration::from_secs(5) }));
    app.runner.script_arguments("SELECT $1");
    Ok(app)
}

fn entries(answer: &Answer) -> Result<Vec<Value>> {
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{answer:?}");
    answer.json()?["results"].as_array().cloned().context("results")
}

#[actix_web::test]
async fn each_entry_equals_the_response_of_the_metrics_own_path() -> Result<()> {
    let app = app().await?;
    let ids = ["two", "fails", "none", "one", "slow", "a%20b", "broken"];
    let query: Vec<_> = ids.iter().map(|id| format!("metric_id={id}")).collect();
    let answer = app.get(&format!("/results?{}", query.join("&"))).await?;
    for (entry, id) in entries(&answer)?.iter().zip(ids) {
        let own = app.get(&format!("/metrics/{id}")).await?;
        assert_eq!((&entry["status"], &entry["metric_id"]), (&json!(own.status), &json!(id.replace("%20", " "))));
        if own.status == 200 {
            assert_eq!(entry["result"], own.json()?);
        } else {
            assert_eq!(entry["problem"]["code"], own.json()?["code"], "{entry}");
            assert!(entry.get("result").is_none());
        }
    }
    assert!(!answer.body.contains("s3cret") && answer.header("x-truncated").is_empty());
    Ok(())
}

#[actix_web::test]
async fn a_repeated_id_gets_repeated_entries() -> Result<()> {
    let app = app().await?;
    let entries = entries(&app.get("/results?metric_id=one&metric_id=two&metric_id=one&limit=2").await?)?;
    let told: Vec<_> = entries.iter().map(|entry| (&entry["metric_id"], &entry["result"]["truncated"])).collect();
    assert_eq!(told, [(&json!("one"), &json!(false)), (&json!("two"), &json!(true)), (&json!("one"), &json!(false))]);
    let cut = app.get("/results?metric_id=two&limit=2").await?;
    assert_eq!(cut.header("x-truncated"), "true");
    Ok(())
}

#[actix_web::test]
async fn parameters_go_to_the_metrics_that_have_them() -> Result<()> {
    let app = app().await?;
    let answered = entries(&app.get("/results?metric_id=asks&metric_id=one&kind=x").await?)?;
    assert_eq!((&answered[0]["result"]["rows"][0]["value"], &answered[1]["status"]), (&json!("x"), &json!(200)));
    // A period that one metric does not support is a problem of its entry.
    let answered = entries(&app.get("/results?metric_id=asks&metric_id=one&kind=x&start_date=2025-06-01").await?)?;
    assert_eq!(answered[0]["problem"]["errors"][0]["field"], "start_date");
    let answered = entries(&app.get("/results?metric_id=asks&metric_id=one").await?)?;
    assert_eq!((&answered[0]["status"], &answered[1]["status"]), (&json!(422), &json!(200)), "{answered:?}");
    let unknown = app.get("/results?metric_id=one&metric_id=two&knid=x").await?;
    unknown.assert_problem(422, "invalid-parameters", "/results")?;
    assert_eq!(unknown.fields()?, ["knid"]);
    Ok(())
}

#[actix_web::test]
async fn all_faults_of_the_call_are_reported() -> Result<()> {
    let app = app().await?;
    let many = "metric_id=one&".repeat(51);
    for (query, fields) in [
        ("", vec!["metric_id"]),
        (many.as_str(), vec!["metric_id"]),
        ("limit=0&kind=a&kind=b", vec!["kind", "limit", "metric_id"]),
        ("metric_id=one&limit=0&kond=a", vec!["kond", "limit"]),
    ] {
        let answer = app.get(&format!("/results?{query}")).await?;
        answer.assert_problem(422, "invalid-parameters", "/results")?;
        assert_eq!(answer.fields()?, fields, "{query}");
    }
    assert_eq!(entries(&app.get(&format!("/results?{}", "metric_id=one&".repeat(50))).await?)?.len(), 50);
    let app = TestApp::builder()
        .repository(Arc::new(FailingRepository(|| RepositoryError::Unavailable("s3cret".into()))))
        .start()?;
    app.get("/results?metric_id=m1").await?.assert_problem(503, "database-unavailable", "/results")?;
    Ok(())
}

#[actix_web::test]
async fn a_dashboards_results_are_those_of_its_items() -> Result<()> {
    let app = app().await?;
    let answer = app.get("/dashboards/d1/results?limit=1").await?;
    let ids: Vec<_> = entries(&answer)?.iter().map(|entry| entry["metric_id"].clone()).collect();
    assert_eq!((ids, answer.header("x-truncated")), (vec![json!("two"), json!("one")], "true"));
    assert!(entries(&app.get("/dashboards/empty/results").await?)?.is_empty());
    let path = "/dashboards/none/results";
    app.get(path).await?.assert_problem(404, "dashboard-not-found", path)?;
    assert_eq!(app.get("/dashboards/d1/results?metric_id=one").await?.fields()?, ["metric_id"]);
    let deleted = app.call("DELETE", "/metrics/one", &[], None).await?;
    assert_eq!(deleted.status, 204);
    let entries = entries(&app.get("/dashboards/d1/results").await?)?;
    assert_eq!((&entries[0]["status"], &entries[1]["problem"]["code"]), (&json!(200), &json!("metric-deleted")));
    Ok(())
}
