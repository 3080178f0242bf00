//! Conditional requests for results.

use anyhow::Result;
use metricd_execution::{Resolution, RunError};
use serde_json::json;

use crate::support::{Answer, TestApp};

/// A metric `sales` whose scripted result depends on data and values alone.
async fn app() -> Result<TestApp> {
    let app = TestApp::start().await?;
    let resolution =
        Resolution { parameter_types: vec!["text".into()], fingerprint: Some("f1".into()), ..Resolution::default() };
    app.resolver.answer("SELECT CAST($1 AS text) AS kind", Ok(resolution));
    let parameters = json!([{"name": "kind", "type": "text", "default": "all"}]);
    let body = json!({"id": "sales", "title": "Sales", "sql": "SELECT :kind AS kind", "parameters": parameters});
    let created = app.call("POST", "/metrics", &[], Some(body)).await?;
    assert_eq!(created.status, 201, "{created:?}");
    app.runner.script("SELECT CAST($1 AS text) AS kind", || Ok(vec![Some("a".into())]));
    app.runner.set_data("7:7:", "f1");
    Ok(app)
}

async fn get(app: &TestApp, path: &str, known: &str) -> Result<Answer> {
    app.call("GET", path, &[("if-none-match", known)], None).await
}

#[actix_web::test]
async fn a_result_has_an_etag_of_its_content() -> Result<()> {
    let app = app().await?;
    let first = app.get("/metrics/sales").await?;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\"") && first.header("cache-control") == "private, no-cache", "{first:?}");
    assert_eq!(app.get("/metrics/sales").await?.header("etag"), tag);
    assert_eq!(app.call("HEAD", "/metrics/sales", &[], None).await?.header("etag"), tag);
    for path in ["/metrics/sales?kind=b", "/metrics/sales?limit=1"] {
        assert_ne!(app.get(path).await?.header("etag"), tag, "{path}");
    }
    app.call("PATCH", "/metrics/sales", &[], Some(json!({"description": "Another."}))).await?;
    assert_ne!(app.get("/metrics/sales").await?.header("etag"), tag, "the definition has changed");
    for path in ["/metrics/sales?format=csv", "/metrics/sales?format=ndjson", "/metrics/none"] {
        assert_eq!(app.get(path).await?.header("etag"), "", "{path}");
    }
    Ok(())
}

#[actix_web::test]
async fn an_unchanged_result_is_revalidated_without_a_run() -> Result<()> {
    let app = app().await?;
    let tag = app.get("/metrics/sales").await?.header("etag").to_owned();
    for runs in [2, 2, 2] {
        let unchanged = get(&app, "/metrics/sales", &tag).await?;
        assert_eq!((unchanged.status, unchanged.header("etag")), (304, tag.as_str()), "{unchanged:?}");
        assert_eq!((unchanged.header("vary"), unchanged.header("cache-control")), ("accept", "private, no-cache"));
        assert_eq!(app.runner.begun(), runs);
    }
    let strong = tag.trim_start_matches("W/").to_owned();
    for known in [strong.as_str(), "*", &format!("\"x\", {tag}")] {
        assert_eq!(get(&app, "/metrics/sales", known).await?.status, 304, "{known}");
    }
    assert_eq!(app.runner.begun(), 2);
    assert_eq!(get(&app, "/metrics/sales", "\"x\"").await?.status, 200, "the client has another tag");
    assert_eq!(get(&app, "/metrics/sales?kind=b", &tag).await?.status, 200, "another request key");
    assert_eq!(app.runner.begun(), 4);

    app.runner.set_data("7:8:", "f1");
    assert_eq!(get(&app, "/metrics/sales", &tag).await?.status, 304, "the same rows");
    assert_eq!(app.runner.begun(), 5, "the data may have changed");
    assert_eq!(get(&app, "/metrics/sales", &tag).await?.status, 304);
    assert_eq!(app.runner.begun(), 5);

    app.runner.script("SELECT CAST($1 AS text) AS kind", || Ok(vec![Some("b".into())]));
    app.runner.set_data("7:9:", "f1");
    let changed = get(&app, "/metrics/sales", &tag).await?;
    assert_eq!((changed.status, &changed.json()?["rows"]), (200, &json!([{"value": "b"}])));
    assert_ne!(changed.header("etag"), tag);
    Ok(())
}

#[actix_web::test]
async fn a_nondeterministic_result_is_always_run() -> Result<()> {
    let app = app().await?;
    let runs = async |path: &str| {
        let tag = app.get(path).await?.header("etag").to_owned();
        let before = app.runner.begun();
        for _ in 0..3 {
            assert_eq!(get(&app, path, &tag).await?.status, 304, "{path}");
        }
        anyhow::Ok(app.runner.begun() - before)
    };
    assert_eq!(runs("/metrics/sales").await?, 1);
    let resolution = Resolution {
        parameter_types: vec!["tstzrange".into()],
        fingerprint: Some("f1".into()),
        ..Resolution::default()
    };
    app.resolver.answer("SELECT lower($1) AS since", Ok(resolution));
    let body = json!({"id": "range", "title": "Range", "sql": "SELECT lower(:within) AS since"});
    assert_eq!(app.call("POST", "/metrics", &[], Some(body)).await?.status, 201);
    app.runner.script_arguments("SELECT lower($1) AS since");
    assert_eq!(runs("/metrics/range?within=%5Bn%5Cow,)").await?, 3, "only PostgreSQL can parse the value");
    app.runner.script("SELECT 1", || Ok(vec![Some("1".into())]));
    assert_eq!(runs("/metrics/m1").await?, 3, "without a fingerprint it always runs");
    app.runner.set_data("8:8:", "f2");
    assert_eq!(runs("/metrics/sales").await?, 3, "the tables have changed since the validation");
    Ok(())
}

#[actix_web::test]
async fn several_results_have_one_etag() -> Result<()> {
    let app = app().await?;
    app.runner.script("SELECT 1", || Ok(vec![Some("1".into())]));
    let path = "/results?metric_id=sales&metric_id=m1&metric_id=none";
    let first = app.get(path).await?;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\"") && first.header("cache-control") == "private, no-cache", "{first:?}");
    let unchanged = get(&app, path, &tag).await?;
    assert_eq!((unchanged.status, unchanged.header("etag")), (304, tag.as_str()), "{unchanged:?}");
    let others = ["/results?metric_id=m1&metric_id=sales&metric_id=none", "/results?metric_id=sales&metric_id=m1"];
    for other in others {
        let answer = get(&app, other, &tag).await?;
        assert!(answer.status == 200 && answer.header("etag") != tag, "{other}: {answer:?}");
    }
    app.runner.script("SELECT 1", || Ok(vec![Some("2".into())]));
    assert_eq!(get(&app, path, &tag).await?.status, 200, "a row has changed");
    app.runner.script("SELECT 1", || Err(RunError::Unavailable("away".into())));
    let failed = get(&app, path, "*").await?;
    assert_eq!((failed.status, failed.header("etag")), (200, ""), "server errors are not cached");
    Ok(())
}
