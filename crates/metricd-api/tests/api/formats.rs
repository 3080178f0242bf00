//! The formats of a result, and their negotiation.

use anyhow::Result;
use metricd_execution::testing::{Ending, ScriptedResult};
use metricd_execution::{Column, FieldType};

use crate::support::{Answer, TestApp};

const SQL: &str = "-- Title \"one\"\nSELECT 1";

fn result() -> ScriptedResult {
    let column = |name: &str, field_type| Column { name: name.into(), type_name: "any".into(), field_type };
    let number = |number: i32| Some(number.to_be_bytes().to_vec());
    ScriptedResult {
        columns: vec![column("a, b", FieldType::Integer), column("c", FieldType::Text)],
        rows: vec![vec![number(1), Some(b"x \"y\"".to_vec())], vec![None, None], vec![number(-2), Some(Vec::new())]],
        ending: Ending::Complete,
    }
}

async fn app() -> Result<TestApp> {
    let app = TestApp::start().await?;
    app.runner.script_result(SQL, || Ok(result()));
    Ok(app)
}

async fn get_as(app: &TestApp, path: &str, accept: &str) -> Result<Answer> {
    app.send(app.client.get(app.url(path)).header("accept", accept)).await
}

#[actix_web::test]
async fn csv_has_a_header_and_a_line_for_each_row() -> Result<()> {
    let app = app().await?;
    let answer = app.get("/metrics/m1?format=csv").await?;
    assert_eq!(answer.body, "\"a, b\",c\r\n1,\"x \"\"y\"\"\"\r\n,\r\n-2,\"\"\r\n");
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"m1.csv\"");
    assert_eq!(answer.header("content-length"), answer.body.len().to_string(), "a small result is buffered");
    assert_eq!(answer.header("x-truncated"), "");
    Ok(())
}

#[actix_web::test]
async fn ndjson_has_an_object_for_each_row() -> Result<()> {
    let app = app().await?;
    let answer = app.get("/metrics/m1?format=ndjson").await?;
    let expected = "{\"a, b\":1,\"c\":\"x \\\"y\\\"\"}\n{\"a, b\":null,\"c\":null}\n{\"a, b\":-2,\"c\":\"\"}\n";
    assert_eq!(answer.body, expected);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    assert_eq!(answer.header("content-disposition"), "");
    Ok(())
}

#[actix_web::test]
async fn an_empty_stream_is_a_csv_header_or_nothing() -> Result<()> {
    let app = TestApp::start().await?;
    app.runner.script(SQL, || Ok(Vec::new()));
    assert_eq!(app.get("/metrics/m1?format=csv").await?.body, "value\r\n");
    assert_eq!(app.get("/metrics/m1?format=ndjson").await?.body, "");
    Ok(())
}

#[actix_web::test]
async fn the_format_parameter_takes_precedence_over_accept() -> Result<()> {
    let app = app().await?;
    for (path, accept, content_type) in [
        ("/metrics/m1", "*/*", "application/json"),
        ("/metrics/m1", "text/csv", "text/csv; charset=utf-8; header=present"),
        ("/metrics/m1", "application/x-ndjson, application/json;q=0.5", "application/x-ndjson"),
        ("/metrics/m1?format=ndjson", "text/csv", "application/x-ndjson"),
        ("/metrics/m1?format=json", "text/html", "application/json"),
    ] {
        let answer = get_as(&app, path, accept).await?;
        assert_eq!((answer.status, answer.header("content-type")), (200, content_type), "{path} {accept}");
        assert_eq!(answer.header("vary"), "accept", "{path} {accept}");
    }
    Ok(())
}

#[actix_web::test]
async fn an_unsupported_accept_is_not_acceptable() -> Result<()> {
    let app = app().await?;
    let answer = get_as(&app, "/metrics/m1", "text/html").await?;
    answer.assert_problem(406, "not-acceptable", "/metrics/m1")?;
    assert_eq!(answer.header("vary"), "accept");
    // Invalid parameters are reported first, since they are invalid in every format.
    let answer = get_as(&app, "/metrics/m1?limit=0", "text/html").await?;
    answer.assert_problem(422, "invalid-parameters", "/metrics/m1")?;
    Ok(())
}

#[actix_web::test]
async fn a_small_truncated_result_is_marked_by_its_header() -> Result<()> {
    let app = app().await?;
    for (query, lines, truncated) in [("format=csv&limit=2", 3, "true"), ("format=ndjson&limit=3", 3, "")] {
        let answer = app.get(&format!("/metrics/m1?{query}")).await?;
        assert_eq!(answer.body.lines().count(), lines, "{query}");
        assert_eq!(answer.header("x-truncated"), truncated, "{query}");
    }
    Ok(())
}

#[actix_web::test]
async fn head_sends_no_rows_and_keeps_the_connection() -> Result<()> {
    let app = app().await?;
    let client = &app.client;
    for _ in 0..3 {
        let answer = app.send(client.head(app.url("/metrics/m1?format=csv"))).await?;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        assert_eq!(app.send(client.get(app.url("/health"))).await?.status, 200);
    }
    Ok(())
}
