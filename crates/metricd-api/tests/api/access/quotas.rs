//! Quotas of one caller.

use std::sync::Arc;

use actix_web::rt::spawn;
use anyhow::{Context, Result, ensure};
use metricd_access::testing::Issuer;
use metricd_access::{Access, Scope};
use metricd_api::{ApiState, QuotaRules, Quotas};
use metricd_execution::testing::{Ending, ScriptedResult};
use serde_json::json;

use super::{SECRET, claims, operations, sign, verifier};
use crate::support::{Answer, TestApp, eventually};

const ALL: &str = "metrics:read metrics:write metrics:ingest";

fn token(subject: &str) -> Result<String> {
    let mut claims = claims(ALL);
    claims["sub"] = json!(subject);
    Ok(format!("Bearer {}", sign(&Issuer::with_secret(SECRET.as_bytes()), &json!({}), &claims)?))
}

/// A server with these quotas, whose metric `m1` never ends.
async fn app(rules: QuotaRules) -> Result<TestApp> {
    let verifier = verifier("")?;
    let app = TestApp::builder()
        .repository(TestApp::store().await?)
        .state(move |state| ApiState {
            access: Access::Tokens(Arc::new(verifier)),
            quotas: Arc::new(Quotas::new(rules)),
            ..state
        })
        .start()?;
    let never = || Ok(ScriptedResult { columns: Vec::new(), rows: Vec::new(), ending: Ending::Never });
    app.runner.script_result("SELECT 1", never);
    Ok(app)
}

async fn get(app: &TestApp, path: &str, token: &str) -> Result<Answer> {
    app.call("GET", path, &[("Authorization", token)], None).await
}

#[actix_web::test]
async fn a_subjects_request_rate_is_limited() -> Result<()> {
    let rules = QuotaRules { requests_per_second: Some(2.try_into()?), ..QuotaRules::default() };
    let app = app(rules).await?;
    let (ann, bob) = (token("ann")?, token("bob")?);
    let first = get(&app, "/metrics", &ann).await?;
    assert_eq!((first.status, first.header("ratelimit-policy")), (200, r#""requests";q=2;w=1"#));
    assert_eq!(first.header("ratelimit"), r#""requests";r=1;t=1"#);
    // An unknown metric counts as well, and its response has the status of the rate limit.
    assert!(get(&app, "/metrics/none/definition", &ann).await?.header("ratelimit").starts_with(r#""requests";r="#));
    let mut refused = None;
    for _ in 0..2_000 {
        let answer = get(&app, "/metrics", &ann).await?;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.context("a refused request")?;
    refused.assert_problem(429, "too-many-requests", "/metrics")?;
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), ("1", r#""requests";r=0;t=1"#));
    assert_eq!(get(&app, "/metrics", &bob).await?.status, 200, "another's rate is another");
    assert_eq!(get(&app, "/health", &ann).await?.header("ratelimit"), "", "operations without tokens are not counted");
    Ok(())
}

/// Each operation, so that a new one is counted as well.
#[actix_web::test]
async fn every_operation_with_a_token_is_rate_limited() -> Result<()> {
    let operations = operations()?;
    let guarded: Vec<_> = operations.iter().filter(|operation| operation.scope.is_some()).collect();
    for operation in guarded {
        let rules = QuotaRules { requests_per_second: Some(1.try_into()?), ..QuotaRules::default() };
        let app = app(rules).await?;
        app.runner.script("SELECT 1", || Ok(Vec::new()));
        let token = token("ann")?;
        let headers = [("Authorization", token.as_str())];
        let mut last = None;
        for _ in 0..20 {
            get(&app, "/ingestions/none", &token).await?;
            let answer = app.call(&operation.method, &operation.path, &headers, None).await?;
            let is_refused = answer.status == 429;
            last = Some(answer);
            if is_refused {
                break;
            }
        }
        last.context("answers")?.assert_problem(429, "too-many-requests", &operation.path)?;
    }
    Ok(())
}

#[actix_web::test]
async fn an_address_with_too_many_refused_requests_is_rate_limited() -> Result<()> {
    let rules = QuotaRules { refusals_per_second: Some(2.try_into()?), ..QuotaRules::default() };
    let app = app(rules).await?;
    let (good, mut scopeless) = (token("ann")?, claims("other"));
    scopeless["sub"] = json!("ann");
    let scopeless = sign(&Issuer::with_secret(SECRET.as_bytes()), &json!({}), &scopeless)?;
    for bad in ["", "Bearer nonsense", &format!("Bearer {scopeless}")] {
        let mut refused = None;
        for _ in 0..2_000 {
            let headers: Vec<_> = Some(("Authorization", bad)).into_iter().filter(|_| !bad.is_empty()).collect();
            let answer = app.call("GET", "/metrics", &headers, None).await?;
            ensure!([401, 403, 429].contains(&answer.status), "{answer:?}");
            if answer.status == 429 {
                refused = Some(answer);
                break;
            }
        }
        let refused = refused.context("a refused request")?;
        refused.assert_problem(429, "too-many-requests", "/metrics")?;
        assert_eq!(refused.header("ratelimit-policy"), r#""refusals";q=2;w=1"#);
        assert_eq!(get(&app, "/metrics", &good).await?.status, 200, "accepted requests are not counted");
    }
    Ok(())
}

#[actix_web::test]
async fn a_subjects_concurrent_queries_are_limited() -> Result<()> {
    let rules = QuotaRules { queries_per_subject: Some(2.try_into()?), ..QuotaRules::default() };
    let app = Arc::new(app(rules).await?);
    app.runner.script("SELECT 2", || Ok(vec![Some("2".into())]));
    let (ann, bob) = (token("ann")?, token("bob")?);
    let create = [("Authorization", bob.as_str())];
    let body = json!({"id": "m2", "title": "Two", "sql": "SELECT 2"});
    assert_eq!(app.call("POST", "/metrics", &create, Some(body)).await?.status, 201);

    let held: Vec<_> = ["/metrics/m1", "/metrics/m1?format=csv"]
        .map(|path| {
            let (app, ann) = (Arc::clone(&app), ann.clone());
            spawn(async move { get(&app, path, &ann).await.map(|answer| answer.status) })
        })
        .into();
    until_running(&app, 2).await?;
    for path in ["/metrics/m2", "/metrics/m2?format=csv", "/results?metric_id=m2"] {
        let shown = path.split('?').next().unwrap_or_default();
        get(&app, path, &ann).await?.assert_problem(429, "too-many-queries", shown)?;
        assert_eq!(get(&app, path, &bob).await?.status, 200, "{path}");
    }
    assert_eq!(get(&app, "/metrics/m2/definition", &ann).await?.status, 200, "what runs no SQL waits for nothing");

    // A disconnected client releases its permit to the next waiter.
    let waiting = spawn({
        let (app, ann) = (Arc::clone(&app), ann.clone());
        async move { get(&app, "/metrics/m2", &ann).await.map(|answer| answer.status) }
    });
    held.iter().for_each(actix_web::rt::task::JoinHandle::abort);
    assert_eq!(waiting.await??, 200);
    until_running(&app, 0).await?;
    assert_eq!(get(&app, "/metrics/m2?format=csv", &ann).await?.status, 200);
    Ok(())
}

/// Without a token a caller is identified by address.
#[actix_web::test]
async fn without_tokens_the_concurrent_queries_of_an_address_are_limited() -> Result<()> {
    let rules = QuotaRules { queries_per_subject: Some(2.try_into()?), ..QuotaRules::default() };
    let app = TestApp::builder()
        .repository(TestApp::store().await?)
        .state(move |state| ApiState { quotas: Arc::new(Quotas::new(rules)), ..state })
        .start()?;
    let app = Arc::new(app);
    let never = || Ok(ScriptedResult { columns: Vec::new(), rows: Vec::new(), ending: Ending::Never });
    app.runner.script_result("SELECT 1", never);
    let held = ["/metrics/m1", "/metrics/m1?format=csv"].map(|path| {
        let app = Arc::clone(&app);
        spawn(async move { app.get(path).await.map(|answer| answer.status) })
    });
    until_running(&app, 2).await?;
    app.get("/metrics/m1").await?.assert_problem(429, "too-many-queries", "/metrics/m1")?;
    assert_eq!(app.get("/metrics/m1/definition").await?.status, 200);
    held.iter().for_each(actix_web::rt::task::JoinHandle::abort);
    until_running(&app, 0).await
}

#[actix_web::test]
async fn a_subjects_concurrent_streams_are_limited() -> Result<()> {
    let rules = QuotaRules { queries_per_subject: Some(4.try_into()?), ..QuotaRules::default() };
    let app = Arc::new(app(rules).await?);
    app.runner.script("SELECT 2", || Ok(vec![Some("2".into())]));
    let (ann, bob) = (token("ann")?, token("bob")?);
    let body = json!({"id": "m2", "title": "Two", "sql": "SELECT 2"});
    assert_eq!(app.call("POST", "/metrics", &[("Authorization", &bob)], Some(body)).await?.status, 201);
    let held = ["/metrics/m1?format=csv", "/metrics/m1?format=ndjson"].map(|path| {
        let (app, ann) = (Arc::clone(&app), ann.clone());
        spawn(async move { get(&app, path, &ann).await.map(|answer| answer.status) })
    });
    until_running(&app, 2).await?;
    let refused = get(&app, "/metrics/m2?format=csv", &ann).await?;
    let problem = refused.assert_problem(429, "too-many-queries", "/metrics/m2")?;
    assert!(
        problem["detail"].as_str().is_some_and(|detail| detail.contains("limit of concurrent streams")),
        "{problem}"
    );
    assert_eq!(get(&app, "/metrics/m2", &ann).await?.status, 200, "a buffered result is not a stream");
    assert_eq!(get(&app, "/metrics/m2?format=csv", &bob).await?.status, 200, "another's streams are others");
    held.iter().for_each(actix_web::rt::task::JoinHandle::abort);
    until_running(&app, 0).await?;
    assert_eq!(get(&app, "/metrics/m2?format=csv", &ann).await?.status, 200);
    Ok(())
}

async fn until_running(app: &TestApp, count: usize) -> Result<()> {
    eventually(&format!("{count} run"), || app.runner.running() == count).await
}

/// The runner gets the highest limit of the caller's scopes.
#[actix_web::test]
async fn the_cost_limit_depends_on_the_scopes() -> Result<()> {
    let costs = [(Scope::Read, 10), (Scope::Write, 500)];
    let rules = QuotaRules { scope_query_costs: costs.into(), ..QuotaRules::default() };
    let app = app(rules).await?;
    app.runner.script("SELECT 1", || Ok(Vec::new()));
    for (scopes, expected) in
        [("metrics:read", 10), ("metrics:read metrics:write", 500), ("metrics:read metrics:ingest", 10_000_000)]
    {
        let token = sign(&Issuer::with_secret(SECRET.as_bytes()), &json!({}), &claims(scopes))?;
        for path in ["/metrics/m1", "/metrics/m1?format=ndjson", "/results?metric_id=m1"] {
            assert_eq!(get(&app, path, &format!("Bearer {token}")).await?.status, 200, "{path}");
            assert_eq!(app.runner.last_limits().map(|limits| limits.cost), Some(expected), "{scopes} {path}");
        }
    }
    Ok(())
}

#[actix_web::test]
async fn several_metrics_use_at_most_the_subjects_connections() -> Result<()> {
    let rules = QuotaRules { queries_per_subject: Some(2.try_into()?), ..QuotaRules::default() };
    let app = app(rules).await?;
    app.runner.script("SELECT 2", || Ok(vec![Some("2".into())]));
    let ann = token("ann")?;
    for id in ["a", "b", "c"] {
        let body = json!({"id": id, "title": "T", "sql": "SELECT 2"});
        assert_eq!(app.call("POST", "/metrics", &[("Authorization", &ann)], Some(body)).await?.status, 201);
    }
    for (path, connections) in [("/results?metric_id=a&metric_id=b&metric_id=c", 2), ("/results?metric_id=a", 1)] {
        assert_eq!(get(&app, path, &ann).await?.status, 200);
        assert_eq!(app.runner.last_connections(), connections, "{path}");
    }
    Ok(())
}
