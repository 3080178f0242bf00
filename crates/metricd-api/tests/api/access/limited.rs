//! Tokens that are limited to some metrics: the others are hidden.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use metricd_access::testing::Issuer;
use metricd_repository::contract::{TestIngestion, dashboard, layout_entry, metric, query};
use metricd_repository::{Definitions, MemoryRepository, MetricRepository};
use serde_json::{Value, json};

use super::{SECRET, claims, operations, sign, verifier, without_store};
use crate::support::{Answer, TestApp};

const ALL: &str = "metrics:read metrics:write metrics:ingest";

/// A token with every scope, limited to these metrics.
fn limited(metrics: &Value) -> Result<String> {
    let mut claims = claims(ALL);
    if !metrics.is_null() {
        claims["metrics"] = metrics.clone();
    }
    Ok(format!("Bearer {}", sign(&Issuer::with_secret(SECRET.as_bytes()), &json!({}), &claims)?))
}

/// A server with `alerts`, `alerts-2` and `margins`, of which the last one is deleted and restored, and a dashboard of
/// all.
async fn app() -> Result<TestApp> {
    let repository = MemoryRepository::default();
    let ids = ["alerts", "alerts-2", "margins"];
    let mut of_all = dashboard("d1", &ids);
    let entries = || ids.iter().zip(0..).map(|(id, y)| layout_entry(id, y)).collect();
    of_all.layouts = metricd_domain::Breakpoint::ALL.map(|breakpoint| (breakpoint, entries())).into();
    let definitions = Definitions {
        queries: ids.map(|id| query(id, "SELECT 1")).to_vec(),
        metrics: ids.map(|id| metric(id, id)).to_vec(),
        dashboards: vec![of_all, dashboard("d2", &["margins"])],
        ..Definitions::default()
    };
    let (ingestion, _outcome) = TestIngestion::committing(definitions);
    repository.ingest(Box::new(ingestion)).await?;
    let app = TestApp::builder().repository(Arc::new(repository)).tokens(verifier("")?).start()?;
    app.runner.script("SELECT 1", || Ok(vec![Some("1".into())]));
    Ok(app)
}

async fn call(app: &TestApp, method: &str, path: &str, token: &str, body: Option<Value>) -> Result<Answer> {
    app.call(method, path, &[("Authorization", token)], body).await
}

/// The parts of a response that do not depend on the requested id.
fn comparable(answer: &Answer, id: &str) -> (u16, Vec<(String, String)>, String) {
    let changing = ["date", "server-timing", "x-request-id", "content-length"];
    let headers = answer.headers.iter().filter(|(name, _)| !changing.contains(&name.as_str()));
    let mut headers: Vec<_> = headers.map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect();
    headers.sort();
    (answer.status, headers, answer.body.replace(id, "{id}"))
}

#[actix_web::test]
async fn a_hidden_metric_answers_like_one_that_does_not_exist() -> Result<()> {
    let app = app().await?;
    let unlimited = limited(&Value::Null)?;
    let of_metrics: Vec<_> = operations()?.into_iter().filter(|operation| operation.path.contains("/m1")).collect();
    assert_eq!(of_metrics.len(), 7, "add a new operation on a metric to this test");
    for metrics in [json!(["alerts*"]), json!([]), json!("MARGINS margin")] {
        let token = limited(&metrics)?;
        for operation in &of_metrics {
            let on = |id: &str| operation.path.replace("m1", id);
            let body = (operation.method == "PATCH").then(|| json!({"title": "Mine"}));
            let unreadable = call(&app, &operation.method, &on("margins"), &token, body.clone()).await?;
            let missing = call(&app, &operation.method, &on("margint"), &token, body.clone()).await?;
            let to_everybody = call(&app, &operation.method, &on("margint"), &unlimited, body).await?;
            let name = format!("{} {}", operation.method, operation.path);
            missing.assert_problem(404, "metric-not-found", &on("margint")).context(name.clone())?;
            assert_eq!(comparable(&unreadable, "margins"), comparable(&missing, "margint"), "{name}");
            assert_eq!(comparable(&missing, "margint"), comparable(&to_everybody, "margint"), "{name}");
        }
        // Also while it is deleted.
        assert_eq!(call(&app, "DELETE", "/metrics/margins", &unlimited, None).await?.status, 204);
        for path in ["/metrics/margins", "/metrics/margins/definition", "/metrics/margins/history"] {
            let answer = call(&app, "GET", path, &token, None).await?;
            answer.assert_problem(404, "metric-not-found", path)?;
        }
        assert_eq!(call(&app, "POST", "/metrics/margins/restore", &unlimited, None).await?.status, 200);
    }
    let untouched = call(&app, "GET", "/metrics/margins/definition", &unlimited, None).await?.json()?;
    assert_eq!((&untouched["title"], &untouched["version"]), (&json!("margins"), &json!(7)), "{untouched:#}");
    Ok(())
}

/// A hidden metric is looked up as well, so that timing does not reveal it.
#[actix_web::test]
async fn a_hidden_metric_is_looked_up_in_the_repository() -> Result<()> {
    let app = without_store("")?;
    let token = limited(&json!(["alerts"]))?;
    for operation in operations()?.iter().filter(|operation| operation.path.contains("/m1")) {
        let body = (operation.method == "PATCH").then(|| json!({"title": "Mine"}));
        let answer = call(&app, &operation.method, &operation.path, &token, body).await?;
        answer.assert_problem(500, "internal-error", &operation.path)?;
    }
    Ok(())
}

#[actix_web::test]
async fn lists_results_and_dashboards_omit_hidden_metrics() -> Result<()> {
    let app = app().await?;
    let token = limited(&json!(["alerts*", "none"]))?;
    let get = async |path: &str| call(&app, "GET", path, &token, None).await?.json();
    let ids = |list: &Value, name: &str| {
        let items = list.as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| Some(item[name].as_str()?.to_owned())).collect::<Vec<_>>()
    };
    for path in ["/metrics", "/metrics?q=a", "/metrics?dashboard=d1", "/metrics?limit=2"] {
        let page = get(path).await?;
        assert_eq!(ids(&page["items"], "id"), ["alerts", "alerts-2"], "{path}");
        assert!(page["next_cursor"].is_null(), "{path}: {page}");
    }
    assert!(ids(&get("/metrics?q=margins").await?["items"], "id").is_empty());

    let results = get("/results?metric_id=margins&metric_id=alerts&metric_id=margint").await?["results"].clone();
    let [unreadable, readable, missing] = results.as_array().context("results")?.as_slice() else {
        anyhow::bail!("{results:#}")
    };
    assert_eq!(readable["status"], 200, "{readable:#}");
    assert_eq!(missing["problem"]["code"], "metric-not-found");
    assert_eq!(unreadable.to_string().replace("margins", "{id}"), missing.to_string().replace("margint", "{id}"));

    let file = call(&app, "GET", "/results?metric_id=margins&format=csv", &token, None).await?;
    file.assert_problem(404, "metric-not-found", "/results")?;

    let counts: Vec<_> = get("/dashboards").await?["items"].as_array().context("items")?.clone();
    let counts: Vec<_> = counts.iter().map(|item| item["item_count"].clone()).collect();
    assert_eq!(counts, [json!(2), json!(0)]);
    let of_all = get("/dashboards/d1").await?;
    assert_eq!(ids(&of_all["items"], "metric_id"), ["alerts", "alerts-2"]);
    assert_eq!(of_all["layouts"].as_object().context("layouts")?.len(), 5);
    for path in ["/dashboards/d1", "/dashboards/d2", "/dashboards/d1/openapi.json", "/dashboards/d1/results"] {
        let answer = call(&app, "GET", path, &token, None).await?;
        ensure!(answer.status == 200 && !answer.body.contains("margins"), "{path}: {answer:?}");
    }
    Ok(())
}

#[actix_web::test]
async fn a_limited_token_creates_only_its_metrics_and_cannot_ingest() -> Result<()> {
    let app = app().await?;
    let token = limited(&json!(["alerts*", "sales"]))?;
    let create = async |id: Option<&str>, title: &str| {
        let mut body = json!({"title": title, "sql": "SELECT 1"});
        if let Some(id) = id {
            body["id"] = json!(id);
        }
        call(&app, "POST", "/metrics", &token, Some(body)).await
    };
    // The response does not reveal whether it exists.
    for (id, title) in [(Some("margins"), "T"), (Some("margint"), "T"), (None, "Margins"), (None, "Margint")] {
        create(id, title).await?.assert_problem(403, "token-limited", "/metrics")?;
    }
    assert_eq!(create(Some("alerts-3"), "T").await?.status, 201);
    assert_eq!(create(None, "Alerts").await?.status, 201, "another page follows");
    assert_eq!(create(None, "Sales").await?.status, 201);
    create(None, "Sales").await?.assert_problem(403, "token-limited", "/metrics")?;
    create(Some("alerts"), "T").await?.assert_problem(409, "metric-exists", "/metrics")?;
    assert_eq!(call(&app, "DELETE", "/metrics/alerts-3", &token, None).await?.status, 204);

    let report = "/ingestions/00000000-0000-7000-8000-000000000000";
    call(&app, "POST", "/ingestions", &token, None).await?.assert_problem(403, "token-limited", "/ingestions")?;
    call(&app, "GET", report, &token, None).await?.assert_problem(403, "token-limited", report)?;
    let unlimited = limited(&Value::Null)?;
    call(&app, "GET", report, &unlimited, None).await?.assert_problem(404, "ingestion-not-found", report)?;
    Ok(())
}
