//! Who sees which tables, and whose examples.

use std::sync::Arc;

use anyhow::{Context, Result};
use metricd_access::testing::Issuer;
use metricd_access::{Access, Keys, Rules, Secret, Verifier};
use metricd_api::{ApiState, TenantIsolation};
use metricd_execution::Relation;
use serde_json::{Value, json};

use super::{names, repository, script_sample, tables};
use crate::support::{Answer, TestApp};

const SECRET: &str = "correct horse battery staple, and then some";

/// A server that requires tokens, with tenants or without.
async fn app_with_tokens(has_tenants: bool) -> Result<TestApp> {
    let rules = Rules { tenant_claim: has_tenants.then(|| "org".to_owned()), ..Rules::default() };
    let verifier = Verifier::new(Keys::default().with_secret(&Secret::parse(SECRET.to_owned())?), rules)?;
    let app = TestApp::builder().repository(repository().await?).state(move |state| ApiState {
        access: Access::Tokens(Arc::new(verifier)),
        tenants: has_tenants.then(|| Arc::new(TenantIsolation::with_public_relations(["customers".to_owned()]))),
        ..state
    });
    let app = app.start()?;
    app.runner.set_tables(tables());
    script_sample(&app);
    Ok(app)
}

fn token(scope: &str, claims: &Value) -> Result<String> {
    let mut all = json!({"sub": "ann", "scope": scope, "exp": 4_000_000_000_u64});
    for (name, value) in claims.as_object().context("claims")? {
        all[name] = value.clone();
    }
    let signed = Issuer::with_secret(SECRET.as_bytes()).sign(&json!({}), &all);
    Ok(format!("Bearer {}", signed.map_err(|error| anyhow::anyhow!("{error}"))?))
}

async fn call(app: &TestApp, method: &str, path: &str, token: &str) -> Result<Answer> {
    app.call(method, path, &[("Authorization", token)], None).await
}

#[actix_web::test]
async fn a_limited_token_sees_the_tables_that_its_metrics_read_without_examples() -> Result<()> {
    let app = app_with_tokens(false).await?;
    let all = "metrics:read metrics:write metrics:ingest";
    let people = token(all, &json!({"metrics": ["people"]}))?;
    let page = call(&app, "GET", "/tables", &people).await?.json()?;
    assert_eq!(names(&page), ["warehouse.customers"]);
    assert_eq!((&page["items"][0]["metric_count"], &page["items"][0]["row_estimate"]), (&json!(1), &Value::Null));
    let table = call(&app, "GET", "/tables/customers", &people).await?.json()?;
    assert_eq!(table["metrics"], json!([{"id": "people", "title": "Revenue", "href": "/metrics/people/definition"}]));
    assert_eq!((&table["columns"][0]["examples"], &table["row_estimate"]), (&Value::Null, &Value::Null));
    // A table that exists answers like one that does not.
    for (method, suffix) in [("GET", ""), ("GET", "/history")] {
        let path = |name: &str| format!("/tables/{name}{suffix}");
        let hidden = call(&app, method, &path("sales"), &people).await?;
        let absent = call(&app, method, &path("salet"), &people).await?;
        absent.assert_problem(404, "table-not-found", &path("salet"))?;
        assert_eq!(hidden.body.replace("sales", "{name}"), absent.body.replace("salet", "{name}"));
    }
    for name in ["sales", "customers", "none"] {
        let path = format!("/tables/{name}");
        call(&app, "DELETE", &path, &people).await?.assert_problem(403, "token-limited", &path)?;
    }
    let revenue = token(all, &json!({"metrics": ["rev*"]}))?;
    assert_eq!(call(&app, "GET", "/tables/sales/history", &revenue).await?.status, 200);
    let nothing = token(all, &json!({"metrics": []}))?;
    assert!(names(&call(&app, "GET", "/tables", &nothing).await?.json()?).is_empty());
    assert_eq!(app.runner.begun(), 0, "no rows are read");
    Ok(())
}

#[actix_web::test]
async fn only_callers_who_may_create_metrics_see_examples() -> Result<()> {
    let app = app_with_tokens(false).await?;
    let examples = async |scope: &str| {
        let table = call(&app, "GET", "/tables/sales", &token(scope, &json!({}))?).await?.json()?;
        anyhow::Ok((table["columns"][0]["examples"].is_array(), table["changed_by"]["ingestion_id"].is_string()))
    };
    assert_eq!(examples("metrics:read").await?, (false, false));
    assert!(!examples("metrics:read metrics:ingest").await?.0);
    assert!(examples("metrics:read metrics:write").await?.0);
    Ok(())
}

#[actix_web::test]
async fn tenants_see_examples_only_of_isolated_tables() -> Result<()> {
    let app = app_with_tokens(true).await?;
    let relation = |name: &str, gap: Option<&str>| {
        let (schema, name, gap) = ("warehouse".to_owned(), name.to_owned(), gap.map(str::to_owned));
        Relation { schema, name, is_visible: true, gap }
    };
    let get = async |claims: Value| {
        let token = token("metrics:read metrics:write", &claims)?;
        call(&app, "GET", "/tables/sales", &token).await?.json()
    };
    app.runner.set_relations(vec![relation("sales", None), relation("customers", Some("a view"))]);
    let table = get(json!({"org": "acme"})).await?;
    assert!(table["columns"][0]["examples"].is_array(), "{table:#}");
    assert_eq!((&table["row_estimate"], app.runner.begun()), (&Value::Null, 1), "the estimate is of all tenants");
    let tenantless = get(json!({})).await?;
    assert_eq!(tenantless["columns"][0]["examples"], Value::Null);
    let app = app_with_tokens(true).await?;
    app.runner.set_relations(vec![relation("sales", Some("its row security is off"))]);
    let token = token("metrics:read metrics:write", &json!({"org": "acme"}))?;
    let unprotected = call(&app, "GET", "/tables/sales", &token).await?.json()?;
    assert_eq!((&unprotected["columns"][0]["examples"], app.runner.begun()), (&Value::Null, 0));
    Ok(())
}
