//! Who sees what of an ingestion, and of SQL that fails.

use anyhow::Result;
use metricd_execution::RunError;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::{SECRET, claims, sign, verifier};
use crate::support::{Answer, TestApp};
use metricd_access::testing::Issuer;

fn token(subject: &str, scope: &str) -> Result<String> {
    let mut claims = claims(scope);
    claims["sub"] = json!(subject);
    Ok(format!("Bearer {}", sign(&Issuer::with_secret(SECRET.as_bytes()), &json!({}), &claims)?))
}

async fn get(app: &TestApp, path: &str, subject: &str, scope: &str) -> Result<Answer> {
    app.call("GET", path, &[("Authorization", &token(subject, scope)?)], None).await
}

/// Ann sends a file that is partly refused; returns her report.
async fn ingest(app: &TestApp) -> Result<Value> {
    let text = "id,query\nq9,SELECT 9\ns3cret!,SELECT 8\n";
    let form = Form::new().part("queries", Part::text(text).file_name("queries.csv")).part(
        "metrics",
        Part::text(r#"{"items": [{"id": "m9", "queryId": "q9", "isEditable": true}], "layouts": {}}"#)
            .file_name("metrics.json"),
    );
    let request = app.client.post(app.url("/ingestions")).multipart(form);
    app.send(request.header("authorization", token("ann", "metrics:ingest")?)).await?.json()
}

#[actix_web::test]
async fn only_the_sender_sees_the_content_of_files() -> Result<()> {
    let app = TestApp::builder().repository(TestApp::store().await?).tokens(verifier("")?).start()?;
    let report = ingest(&app).await?;
    assert!(report.to_string().contains("s3cret"), "{report}");
    let path = format!("/ingestions/{}", report["ingestion_id"].as_str().unwrap_or_default());
    assert_eq!(get(&app, &path, "ann", "metrics:ingest").await?.json()?, report);
    let others = get(&app, &path, "bob", "metrics:ingest").await?;
    assert_eq!(others.status, 200);
    assert!(!others.body.contains("s3cret"), "{}", others.body);
    let others = others.json()?;
    for same in ["refusal_count", "queries", "files", "outcome"] {
        assert_eq!(others[same], report[same], "{same}");
    }
    assert_eq!(others["refusals"][0]["reason"], report["refusals"][0]["reason"]);
    assert_eq!(others["refusals"][0]["line"], report["refusals"][0]["line"]);
    get(&app, &path, "ann", "metrics:read metrics:write").await?.assert_problem(403, "scope-missing", &path)?;
    Ok(())
}

#[actix_web::test]
async fn history_shows_ingestion_ids_to_callers_who_may_read_reports() -> Result<()> {
    let app = TestApp::builder().repository(TestApp::store().await?).tokens(verifier("")?).start()?;
    let report = ingest(&app).await?;
    let of = async |scope: &str| -> Result<Value> {
        let history = get(&app, "/metrics/m9/history", "bob", scope).await?;
        Ok(history.json()?["items"][0]["changed_by"].clone())
    };
    let (reader, ingester) = (of("metrics:read").await?, of("metrics:read metrics:ingest").await?);
    assert_eq!((reader.get("ingestion_id"), &reader["subject"]), (None, &json!("ann")));
    assert_eq!(ingester["ingestion_id"], report["ingestion_id"]);
    Ok(())
}

#[actix_web::test]
async fn postgresqls_messages_are_shown_to_authors_only() -> Result<()> {
    let app = TestApp::builder().repository(TestApp::store().await?).tokens(verifier("")?).start()?;
    for (sqlstate, message, told) in [
        ("22012", "division by zero", json!("division by zero")),
        // Only names that the SQL has are shown.
        ("42P01", "relation \"s3cret\" does not exist", json!("relation \"…\" does not exist")),
        ("42703", "column \"1\" does not exist", json!("column \"1\" does not exist")),
        (
            "22P02",
            "invalid input syntax for type integer: \"s3cret\"",
            json!("invalid input syntax for type integer: …"),
        ),
        ("P0001", "s3cret", Value::Null),
    ] {
        let failed = move || Err(RunError::Failed { sqlstate: sqlstate.to_owned(), message: message.to_owned() });
        app.runner.script("-- Title \"one\"\nSELECT 1", failed);
        for path in ["/metrics/m1", "/metrics/m1?format=csv", "/results?metric_id=m1"] {
            let of = async |scope: &str| -> Result<Value> {
                let answer = get(&app, path, "bob", scope).await?;
                assert!(!answer.body.contains("s3cret"), "{}", answer.body);
                let document = answer.json()?;
                let entry = document["results"][0]["problem"].clone();
                Ok(if entry.is_null() { document } else { entry })
            };
            let (reader, author) = (of("metrics:read").await?, of("metrics:read metrics:write").await?);
            assert_eq!((&reader["code"], reader.get("database_error")), (&json!("query-failed"), None), "{path}");
            let expected = json!({"sqlstate": sqlstate, "message": told});
            assert_eq!((&author["code"], &author["database_error"]), (&json!("query-failed"), &expected), "{path}");
            assert_eq!(reader["detail"], author["detail"]);
        }
    }
    Ok(())
}
