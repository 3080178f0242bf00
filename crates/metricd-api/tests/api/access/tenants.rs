//! Tokens with a tenant.

use std::sync::Arc;

use anyhow::{Context, Result};
use metricd_access::testing::Issuer;
use metricd_access::{Access, Keys, Rules, Secret, Verifier};
use metricd_api::{ApiState, TenantIsolation};
use metricd_domain::{Contract, ContractParts, ContractTable};
use metricd_execution::{Relation, Resolution};
use metricd_repository::contract::{TestIngestion, dashboard, metric, query};
use metricd_repository::{Definitions, MemoryRepository, MetricRepository};
use serde_json::{Value, json};

use super::{SECRET, claims, sign};
use crate::support::{Answer, TestApp};

const SQL: &str = "SELECT tenant FROM orders";

fn token(tenant: &Value) -> Result<String> {
    let mut claims = claims("metrics:read metrics:write");
    if !tenant.is_null() {
        claims["org"] = tenant.clone();
    }
    Ok(format!("Bearer {}", sign(&Issuer::with_secret(SECRET.as_bytes()), &json!({}), &claims)?))
}

fn contract(tables: &[&str]) -> Result<Contract> {
    let table = |name: &&str| ContractTable::new("warehouse", *name);
    let parts = ContractParts { tables: tables.iter().map(table).collect(), ..ContractParts::default() };
    Ok(Contract::new(parts)?)
}

fn relation(name: &str, is_row_secured: bool) -> Relation {
    let gap = if is_row_secured { None } else { Some("its row security is off".to_owned()) };
    Relation { schema: "warehouse".to_owned(), name: name.to_owned(), is_visible: true, gap }
}

/// A server with tenants and the public relation `countries`, whose metrics read what their names say.
async fn app() -> Result<TestApp> {
    let repository = MemoryRepository::default();
    let metrics = [
        ("secured", Some(contract(&["orders"])?)),
        ("shared", Some(contract(&["countries", "orders"])?)),
        ("new", Some(contract(&["made_later"])?)),
        ("constant", Some(contract(&[])?)),
        ("unknown", None),
    ];
    let definitions = Definitions {
        queries: metrics.iter().map(|(id, _)| query(id, SQL)).collect(),
        metrics: metrics.iter().map(|(id, _)| metric(id, id)).collect(),
        contracts: metrics.iter().filter_map(|(id, of)| Some((metric(id, id).metric_id, of.clone()?))).collect(),
        dashboards: vec![dashboard("d1", &["secured", "new"])],
        ..Definitions::default()
    };
    let (ingestion, _outcome) = TestIngestion::committing(definitions);
    repository.ingest(Box::new(ingestion)).await?;
    let rules = Rules { tenant_claim: Some("org".to_owned()), ..Rules::default() };
    let verifier = Verifier::new(Keys::default().with_secret(&Secret::parse(SECRET.to_owned())?), rules)?;
    let app = TestApp::builder()
        .repository(Arc::new(repository))
        .state(move |state| ApiState {
            access: Access::Tokens(Arc::new(verifier)),
            tenants: Some(Arc::new(TenantIsolation::with_public_relations(["countries".to_owned()]))),
            ..state
        })
        .start()?;
    app.runner.script_tenant(SQL);
    app.runner.set_relations(vec![relation("orders", true), relation("countries", false)]);
    Ok(app)
}

async fn get(app: &TestApp, path: &str, token: &str) -> Result<Answer> {
    app.call("GET", path, &[("Authorization", token)], None).await
}

#[actix_web::test]
async fn sql_runs_for_the_tokens_tenant() -> Result<()> {
    let app = app().await?;
    for name in ["acme", "o'neil", "42"] {
        let token = token(&json!(name))?;
        let result = get(&app, "/metrics/secured", &token).await?.json()?;
        assert_eq!(result["rows"], json!([{"value": name}]), "{result}");
        for format in ["csv", "ndjson"] {
            let answer = get(&app, &format!("/metrics/secured?format={format}"), &token).await?;
            assert!(answer.status == 200 && answer.body.contains(name), "{answer:?}");
        }
        for path in ["/results?metric_id=secured", "/dashboards/d1/results"] {
            let results = get(&app, path, &token).await?.json()?;
            assert_eq!(results["results"][0]["result"]["rows"], json!([{"value": name}]), "{results}");
        }
    }
    Ok(())
}

#[actix_web::test]
async fn a_token_without_a_tenant_gets_no_rows() -> Result<()> {
    let app = app().await?;
    let nobody = token(&Value::Null)?;
    for path in ["/metrics/secured", "/metrics/none", "/results", "/dashboards/d1/results", "/dashboards/none/results"]
    {
        get(&app, path, &nobody).await?.assert_problem(403, "tenant-missing", path)?;
    }
    assert_eq!(app.runner.begun(), 0);
    for path in ["/metrics", "/metrics/secured/definition", "/dashboards/d1", "/metrics/secured/openapi.json"] {
        assert_eq!(get(&app, path, &nobody).await?.status, 200, "{path}");
    }
    let malformed = token(&json!(["acme"]))?;
    get(&app, "/metrics/secured", &malformed).await?.assert_problem(401, "token-invalid", "/metrics/secured")?;
    Ok(())
}

#[actix_web::test]
async fn relations_without_row_level_security_are_not_read() -> Result<()> {
    let app = app().await?;
    let token = token(&json!("acme"))?;
    let status = async |id: &str| anyhow::Ok(get(&app, &format!("/metrics/{id}"), &token).await?.status);
    for id in ["secured", "shared", "constant", "unknown"] {
        assert_eq!(status(id).await?, 200, "{id}");
    }
    // A new relation is noticed when a metric names it, and then also by metrics that may read it indirectly.
    app.runner.set_relations(vec![
        relation("orders", true),
        relation("countries", false),
        relation("made_later", false),
    ]);
    for id in ["new", "secured", "constant", "unknown"] {
        let path = format!("/metrics/{id}");
        let problem = get(&app, &path, &token).await?.assert_problem(500, "row-security-missing", &path)?;
        assert!(!problem.to_string().contains("made_later"), "{problem}");
    }
    let unready = app.get("/health/ready").await?.assert_problem(503, "not-ready", "/health/ready")?;
    assert_eq!((&unready["checks"]["database"], &unready["checks"]["definitions"]), (&json!("ok"), &json!("ok")));
    assert!(
        unready["checks"]["row_security"]
            .as_str()
            .is_some_and(|said| said.starts_with("row-level security is missing")),
        "{unready}"
    );
    assert!(!unready.to_string().contains("made_later"), "{unready}");
    let results = get(&app, "/dashboards/d1/results", &token).await?.json()?;
    assert_eq!([&results["results"][0]["status"], &results["results"][1]["status"]], [500, 500]);
    let begun = app.runner.begun();
    app.runner.set_relations(vec![relation("orders", true), relation("made_later", true)]);
    for id in ["secured", "new", "unknown"] {
        assert_eq!(status(id).await?, 200, "{id}");
    }
    assert_eq!(app.get("/health/ready").await?.json()?["checks"]["row_security"], "ok");
    assert_eq!(status("shared").await?, 500, "the public relation is gone");
    assert_eq!(app.runner.begun(), begun + 3);
    Ok(())
}

/// Tenants have different `ETag`s, and do not share validators.
#[actix_web::test]
async fn cached_validators_are_not_shared_between_tenants() -> Result<()> {
    let app = app().await?;
    let tokens = [token(&json!("acme"))?, token(&json!("other"))?];
    let create = [("Authorization", tokens[0].as_str())];
    let resolution = Resolution {
        tables: contract(&["orders"])?.into_parts().tables,
        fingerprint: Some("f1".into()),
        ..Resolution::default()
    };
    let sql = "SELECT 1 AS constant FROM orders";
    app.resolver.answer(sql, Ok(resolution));
    app.runner.script(sql, || Ok(vec![Some("1".into())]));
    app.runner.set_data("7:7:", "f1");
    let body = json!({"id": "same", "title": "Same", "sql": sql});
    let created = app.call("POST", "/metrics", &create, Some(body)).await?;
    assert_eq!(created.status, 201, "{created:?}");
    for path in ["/metrics/same", "/results?metric_id=same"] {
        let first = get(&app, path, &tokens[0]).await?;
        let tag = first.header("etag").to_owned();
        assert!(!tag.is_empty(), "{first:?}");
        for (token, status) in [(&tokens[0], 304), (&tokens[1], 200), (&tokens[0], 304), (&tokens[1], 200)] {
            let headers = [("Authorization", token.as_str()), ("If-None-Match", tag.as_str())];
            let answer = app.call("GET", path, &headers, None).await?;
            assert_eq!(answer.status, status, "{path}: {answer:?}");
        }
    }
    let asked = app.runner.begun();
    let tag = get(&app, "/metrics/same", &tokens[0]).await?.header("etag").to_owned();
    let other = [("Authorization", tokens[1].as_str()), ("If-None-Match", tag.as_str())];
    let answer = app.call("GET", "/metrics/same", &other, None).await?;
    assert_eq!((answer.status, app.runner.begun()), (200, asked + 2), "the other's result is run");
    answer.json()?.get("rows").context("rows")?;
    Ok(())
}
