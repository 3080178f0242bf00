//! `GET /metrics/{metric_id}`

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use metricd_execution::{EncodeError, RunError};
use metricd_repository::RepositoryError;
use serde_json::json;

use crate::support::{FailingRepository, TestApp};

/// An error of the layers below, and the status and code of its problem.
type Case<E> = (fn() -> E, u16, &'static str);

const SQL: &str = "-- Title \"one\"\nSELECT 1";

#[actix_web::test]
async fn answers_with_the_result() -> Result<()> {
    let app = TestApp::start().await?;
    app.runner.script(SQL, || Ok(vec![Some("a \"b\"".into()), None]));
    let answer = app.get("/metrics/m1").await?;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    insta::assert_snapshot!(answer.body, @r#"{"metric_id":"m1","query_id":"q1","title":"Title \"one\"","columns":[{"name":"value","type":"text"}],"rows":[{"value":"a \"b\""},{"value":null}],"row_count":2,"truncated":false,"period":null,"as_of":"2026-05-28T20:26:40.000Z"}"#);
    assert!(answer.headers.get("x-truncated").is_none());
    Ok(())
}

#[actix_web::test]
async fn an_empty_result_has_its_columns() -> Result<()> {
    let app = TestApp::start().await?;
    app.runner.script(SQL, || Ok(Vec::new()));
    let result = app.get("/metrics/m1?format=json").await?.json()?;
    assert_eq!(result["rows"], serde_json::json!([]));
    assert_eq!(result["columns"][0]["name"], "value");
    Ok(())
}

#[actix_web::test]
async fn a_truncated_result_is_marked() -> Result<()> {
    let app = TestApp::start().await?;
    app.runner.script(SQL, || Ok(vec![Some("x".into()); 1_001]));
    for (path, rows, truncated) in [
        ("/metrics/m1", 1_000, true),
        ("/metrics/m1?limit=1001", 1_001, false),
        ("/metrics/m1?limit=1", 1, true),
        ("/metrics/m1?limit=10000", 1_001, false),
    ] {
        let answer = app.get(path).await?;
        let result = answer.json()?;
        assert_eq!(result["row_count"], rows, "{path}");
        assert_eq!(result["rows"].as_array().map(Vec::len), Some(rows), "{path}");
        assert_eq!(result["truncated"], truncated, "{path}");
        assert_eq!(answer.header("x-truncated"), if truncated { "true" } else { "" }, "{path}");
    }
    Ok(())
}

#[actix_web::test]
async fn all_invalid_parameters_are_reported() -> Result<()> {
    let app = TestApp::start().await?;
    let cases: [(&str, &[&str]); 11] = [
        ("limit=0", &["limit"]),
        ("limit=10001", &["limit"]),
        ("limit=", &["limit"]),
        ("limit=1&limit=2", &["limit"]),
        ("format=xml", &["format"]),
        ("start_date=2025-06-01", &["start_date"]),
        ("zeta=1&limit=ten&alpha=2&zeta=3&format=xml", &["alpha", "format", "limit", "zeta"]),
        ("format=csv&limit=1000001", &["limit"]),
        ("format=json&limit=10001", &["limit"]),
        ("format=csv&format=csv", &["format"]),
        ("%00=%ff&limit=%31x", &["\0", "limit"]),
    ];
    for (query, fields) in cases {
        let answer = app.get(&format!("/metrics/m1?{query}")).await?;
        let problem = answer.assert_problem(422, "invalid-parameters", "/metrics/m1")?;
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let named: Vec<_> = errors.iter().filter_map(|error| error["field"].as_str()).collect();
        assert_eq!(named, fields, "{query}");
        assert!(errors.iter().all(|error| error["message"].is_string()), "{query}");
    }
    Ok(())
}

#[actix_web::test]
async fn an_unknown_metric_is_not_found() -> Result<()> {
    let app = TestApp::start().await?;
    for id in ["none", "a%20b", "%00", "..%2f..", &"x".repeat(65), "naïve"] {
        let answer = app.get(&format!("/metrics/{id}")).await?;
        assert_eq!(answer.status, 404, "{id}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{id}");
        assert_eq!(answer.json()?["code"], "metric-not-found", "{id}");
    }
    Ok(())
}

#[actix_web::test]
async fn each_run_error_has_its_problem() -> Result<()> {
    let app = TestApp::start().await?;
    let secret = "SELECT secret FROM t";
    let cases: [Case<RunError>; 13] = [
        (|| RunError::NotStopped { limit: Duration::from_secs(5) }, 504, "query-not-stopped"),
        (|| RunError::Quarantined, 503, "statement-quarantined"),
        (|| RunError::ConnectionsStuck, 503, "connections-stuck"),
        (|| RunError::TooManyStreams { waited: Duration::from_secs(1) }, 503, "too-many-streams"),
        (|| RunError::TableLocked, 503, "table-locked"),
        (|| RunError::Unavailable("SELECT secret FROM t".into()), 503, "database-unavailable"),
        (|| RunError::NoConnection { waited: Duration::from_secs(1) }, 503, "no-connection"),
        (|| RunError::TimedOut { limit: Duration::from_secs(5) }, 504, "query-timeout"),
        (|| RunError::Failed { sqlstate: "42P01".into(), message: "SELECT secret FROM t".into() }, 500, "query-failed"),
        (|| RunError::Failed { sqlstate: "25006".into(), message: "SELECT secret FROM t".into() }, 500, "query-failed"),
        (|| RunError::Failed { sqlstate: "53100".into(), message: "secret".into() }, 503, "database-unavailable"),
        (|| RunError::Failed { sqlstate: "XX000".into(), message: "secret".into() }, 503, "database-unavailable"),
        (
            || {
                RunError::Encode(EncodeError::Malformed {
                    column: "SELECT secret FROM t".into(),
                    type_name: "x".into(),
                })
            },
            500,
            "internal-error",
        ),
    ];
    for (error, status, code) in cases {
        app.runner.script(SQL, move || Err(error()));
        let answer = app.get("/metrics/m1").await?;
        let problem = answer.assert_problem(status, code, "/metrics/m1")?;
        // Without tokens every caller is an author, and sees what is wrong with the SQL.
        let is_of_sql = code == "query-failed";
        assert_eq!(answer.body.contains(secret), is_of_sql, "{}", answer.body);
        let told = problem.get("database_error").map(|error| error["message"].clone());
        assert_eq!(told, is_of_sql.then(|| json!(secret)), "{problem}");
    }
    app.runner.script(SQL, || Ok(Vec::new()));
    assert_eq!(app.get("/metrics/m1").await?.status, 200, "the server continues");
    Ok(())
}

#[actix_web::test]
async fn database_errors_are_classified_by_sqlstate() -> Result<()> {
    let app = TestApp::start().await?;
    for (sqlstate, words) in [
        ("08006", "cannot be reached"),
        ("40001", "another transaction"),
        ("53100", "disk is full"),
        ("53200", "too little memory"),
        ("53000", "or another resource"),
        ("55000", "not ready"),
        ("57P03", "cannot be reached"),
        ("58030", "an internal error"),
        ("XX001", "an internal error"),
        ("HV00N", "Another server"),
    ] {
        let error = RunError::Failed { sqlstate: sqlstate.into(), message: "secret".into() };
        app.runner.script(SQL, move || Err(error.clone()));
        let answer = app.get("/metrics/m1").await?;
        let problem = answer.assert_problem(503, "database-unavailable", "/metrics/m1")?;
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{sqlstate}: {problem}");
        assert!(!answer.body.contains("secret") && answer.header("retry-after") == "1", "{sqlstate}: {answer:?}");
    }
    let app = TestApp::builder()
        .repository(Arc::new(FailingRepository(|| RepositoryError::ReadOnly("s3cret".into()))))
        .start()?;
    let problem = app.get("/metrics/m1").await?.assert_problem(503, "database-unavailable", "/metrics/m1")?;
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("is read-only")), "{problem}");
    Ok(())
}

#[actix_web::test]
async fn each_repository_error_has_its_problem() -> Result<()> {
    let cases: [Case<RepositoryError>; 4] = [
        (|| RepositoryError::Unavailable("s3cret".into()), 503, "database-unavailable"),
        (|| RepositoryError::NoConnection, 503, "no-connection"),
        (|| RepositoryError::Failed("s3cret".into()), 500, "internal-error"),
        (|| RepositoryError::Inconsistent("s3cret".into()), 500, "internal-error"),
    ];
    for (error, status, code) in cases {
        let app = TestApp::builder().repository(Arc::new(FailingRepository(error))).start()?;
        let answer = app.get("/metrics/m1").await?;
        answer.assert_problem(status, code, "/metrics/m1")?;
        assert!(!answer.body.contains("s3cret"), "{}", answer.body);
    }
    Ok(())
}
