//! `/ingestions`

use std::sync::Arc;

use anyhow::Result;
use futures_util::future::join_all;
use metricd_api::ApiState;
use metricd_repository::Definitions;
use metricd_repository::RepositoryError;
use metricd_repository::contract::TestIngestion;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{Answer, FailingRepository, TestApp};

const QUERIES: &str = "id,query\nq9,SELECT 9\n";
const METRICS: &str = r#"{"items": [{"id": "m9", "queryId": "q9", "isEditable": true}], "layouts": {}}"#;
const RECORDS: &str = "id,date,obsolescence,alert_type,parts_flagged,obsolescence_val,alert_category\n\
                       q9,2025-06-01,1,critical,2,3,x\n";

fn form(parts: &[(&'static str, &str, &str)]) -> Form {
    let part = |text: &str, name: &str| Part::text(text.to_owned()).file_name(name.to_owned());
    parts.iter().fold(Form::new(), |form, (field, name, text)| form.part(*field, part(text, name)))
}

async fn upload(app: &TestApp, query: &str, key: Option<&str>, form: Form) -> Result<Answer> {
    let mut request = app.client.post(app.url(&format!("/ingestions{query}"))).multipart(form);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    app.send(request).await
}

fn good() -> Form {
    form(&[("metrics", "metrics.json", METRICS), ("queries", "queries.csv", QUERIES), ("tables", "r.csv", RECORDS)])
}

#[actix_web::test]
async fn a_report_comes_back_as_json() -> Result<()> {
    let app = TestApp::start().await?;
    let (ingestion, _outcome) = TestIngestion::committing(Definitions::default());
    let report = app.repository.ingest(Box::new(ingestion)).await?;
    let answer = app.get(&format!("/ingestions/{}", report.ingestion_id)).await?;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()?, serde_json::to_value(&report)?);
    Ok(())
}

#[actix_web::test]
async fn an_unknown_ingestion_is_not_found() -> Result<()> {
    let app = TestApp::start().await?;
    for id in ["01a20700-5ad7-70ed-bfb2-4d2dbfff6379", "1", "x"] {
        let path = format!("/ingestions/{id}");
        app.get(&path).await?.assert_problem(404, "ingestion-not-found", &path)?;
    }
    Ok(())
}

#[actix_web::test]
async fn an_upload_is_validated_and_stored_like_files() -> Result<()> {
    let app = TestApp::start().await?;
    let dry = upload(&app, "?dry_run=true", None, good()).await?;
    assert_eq!((dry.status, &dry.json()?["outcome"], dry.header("location")), (200, &json!("dry_run"), ""), "{dry:?}");
    assert_eq!(app.get("/metrics/m9/definition").await?.status, 404);

    let stored = upload(&app, "?mode=strict", None, good()).await?;
    let report = stored.json()?;
    assert_eq!((stored.status, &report["refusal_count"]), (201, &json!(0)), "{stored:?}");
    assert_eq!((&report["metrics"]["added"], &report["tables"][0]["rows"]["added"]), (&json!(1), &json!(1)));
    let names: Vec<_> = report["files"].as_array().into_iter().flatten().map(|file| &file["file"]).collect();
    assert_eq!(names, ["metrics.json", "queries.csv", "r.csv"]);
    assert_eq!(app.get(stored.header("location")).await?.json()?, report);
    let history = app.get("/metrics/m9/history").await?.json()?;
    let changed_by = &history["items"][0]["changed_by"];
    assert_eq!((&changed_by["way"], &changed_by["ingestion_id"]), (&json!("ingestion"), &report["ingestion_id"]));
    assert_eq!(changed_by["request_id"], stored.header("x-request-id"));
    assert_eq!(app.get("/dashboards/metrics").await?.status, 200, "called by the name of its file");
    Ok(())
}

#[actix_web::test]
async fn refused_content_is_reported_and_in_strict_mode_nothing_is_stored() -> Result<()> {
    let app = TestApp::start().await?;
    let bad =
        || form(&[("queries", "q.csv", "id,query\nq8,DROP TABLE x\nq9,SELECT 9\n"), ("metrics", "q9.csv", QUERIES)]);
    let refused = upload(&app, "?mode=strict", None, bad()).await?;
    let problem = refused.assert_problem(422, "ingestion-refused", "/ingestions")?;
    let reasons = |report: &Value| {
        let refusals = report["refusals"].as_array().cloned().unwrap_or_default();
        refusals.iter().map(|refusal| refusal["reason"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&problem["report"]), ["sql-not-a-query", "file-mistaken"], "{problem}");
    assert!(!refused.body.contains("/tmp"), "{problem}");
    let id = problem["report"]["ingestion_id"].as_str().unwrap_or_default();
    assert_eq!(app.get(&format!("/ingestions/{id}")).await?.json()?, problem["report"]);
    assert!(app.repository.list_queries(None, 10).await?.iter().all(|query| query.query_id.as_str() == "q1"));

    let lenient = upload(&app, "", None, bad()).await?;
    assert_eq!((lenient.status, &lenient.json()?["queries"]["added"]), (201, &json!(1)), "{lenient:?}");
    Ok(())
}

#[actix_web::test]
async fn an_upload_without_valid_content_is_refused_in_both_modes() -> Result<()> {
    let app = TestApp::start().await?;
    let bad = || form(&[("queries", "q.csv", "id,query\nq8,DROP TABLE x\n"), ("tables", "r.csv", "id,date\n")]);
    for query in ["", "?mode=lenient", "?mode=strict"] {
        let refused = upload(&app, query, None, bad()).await?;
        let problem = refused.assert_problem(422, "ingestion-refused", "/ingestions")?;
        assert_eq!(problem["report"]["outcome"], "refused", "{query}: {problem}");
        assert_eq!(problem["report"]["queries"]["refused"], 1, "{query}: {problem}");
    }
    let dry = upload(&app, "?dry_run=true", None, bad()).await?;
    assert_eq!((dry.status, &dry.json()?["outcome"]), (200, &json!("dry_run")), "{dry:?}");
    Ok(())
}

#[actix_web::test]
async fn an_upload_keeps_edits_unless_it_is_to_overwrite_them() -> Result<()> {
    let app = TestApp::start().await?;
    assert_eq!(upload(&app, "", None, good()).await?.status, 201);
    let patch = app.client.patch(app.url("/metrics/m9")).json(&json!({"sql": "SELECT 10 AS ten"}));
    assert_eq!(app.send(patch).await?.status, 200);
    let sql = async || Ok::<_, anyhow::Error>(app.get("/metrics/m9/definition").await?.json()?["sql"].clone());

    let kept = upload(&app, "", None, good()).await?;
    assert_eq!((kept.status, &kept.json()?["refusals"][0]["reason"]), (201, &json!("edit-conflict")), "{kept:?}");
    upload(&app, "?mode=strict", None, good()).await?.assert_problem(422, "ingestion-refused", "/ingestions")?;
    assert_eq!(sql().await?, "SELECT 10 AS ten");

    let overwritten = upload(&app, "?overwrite_edits=true&mode=strict", None, good()).await?;
    assert_eq!((overwritten.status, &overwritten.json()?["queries"]["changed"]), (201, &json!(1)), "{overwritten:?}");
    assert_eq!(overwritten.json()?["notices"][0]["reason"], "edit-overwritten", "{overwritten:?}");
    assert_eq!(sql().await?, "SELECT 9");
    Ok(())
}

#[actix_web::test]
async fn an_invalid_upload_is_reported_and_stores_nothing() -> Result<()> {
    let app = TestApp::start().await?;
    // A part of any name may have a file, but not a text.
    let parts = form(&[("tables", "r.csv", RECORDS)]).text("query", QUERIES).text("", "x");
    let unknown = upload(&app, "", None, parts).await?;
    unknown.assert_problem(422, "invalid-body", "/ingestions")?;
    assert_eq!(unknown.fields()?, ["query", ""]);
    let empty = upload(&app, "", None, Form::new()).await?;
    assert!([400, 422].contains(&empty.status), "{empty:?}");
    let wrong = upload(&app, "?mode=loose&dry_run=1&x=1", None, good()).await?;
    assert_eq!((wrong.status, wrong.fields()?), (422, vec!["dry_run".to_owned(), "mode".to_owned(), "x".to_owned()]));

    let post = |content_type: &'static str, body: &str| {
        let body = body.to_owned();
        app.send(app.client.post(app.url("/ingestions")).header("content-type", content_type).body(body))
    };
    let json = post("application/json", "{}").await?;
    json.assert_problem(415, "unsupported-media-type", "/ingestions")?;
    assert_eq!(json.header("accept"), "multipart/form-data");
    let form = reqwest::multipart::Form::new().text("queries", "id,query\n");
    let compressed = app.client.post(app.url("/ingestions")).header("content-encoding", "gzip").multipart(form);
    let compressed = app.send(compressed).await?;
    compressed.assert_problem(415, "unsupported-media-type", "/ingestions")?;
    assert_eq!(compressed.header("accept-encoding"), "identity");
    let part = "--x\r\nContent-Disposition: form-data; name=\"queries\"; filename=\"q.csv\"\r\n";
    let (no_boundary, broken) = ("has no `boundary`", "is not multipart, or is incomplete");
    for (content_type, body, detail) in [
        ("multipart/form-data", "--x".to_owned(), no_boundary),
        ("multipart/form-data; charset=utf-8", "--x".to_owned(), no_boundary),
        ("multipart/form-data; boundary=x", "nonsense".to_owned(), broken),
        ("multipart/form-data; boundary=x", format!("{part}\r\nid,qu"), broken),
        (
            "multipart/form-data; boundary=x",
            format!("{part}Content-Length: 3\r\n\r\nid,query\r\n\r\n--x--\r\n"),
            broken,
        ),
        (
            "multipart/form-data; boundary=x",
            "--x\r\nX: y\r\n\r\nid,query\r\n--x--\r\n".to_owned(),
            "Content-Disposition",
        ),
    ] {
        let answer = post(content_type, &body).await?;
        let problem = answer.assert_problem(400, "bad-request", "/ingestions")?;
        assert!(problem["detail"].as_str().is_some_and(|told| told.contains(detail)), "{body}: {problem}");
    }
    let listed = app.repository.list_queries(None, 10).await?;
    assert_eq!(listed.len(), 1);
    Ok(())
}

#[actix_web::test]
async fn an_empty_file_input_is_skipped() -> Result<()> {
    let app = TestApp::start().await?;
    let dry_run = async |form| upload(&app, "?mode=strict&dry_run=true", None, form).await;
    let left = dry_run(form(&[("queries", "q.csv", QUERIES), ("tables", "", ""), ("metrics", "", "")])).await?;
    assert_eq!((left.status, left.json()?["files"].as_array().map(Vec::len)), (200, Some(1)), "{left:?}");
    // A chosen but empty file is another case, and so is a file with content and without a name.
    for file in [("tables", "r.csv", ""), ("tables", "", "x")] {
        let report = dry_run(form(&[("queries", "q.csv", QUERIES), file])).await?.json()?;
        assert_ne!(report["refusal_count"], 0, "{file:?}: {report}");
    }
    // Swagger UI omits the name as well.
    let form = form(&[("queries", "q.csv", QUERIES)]).text("tables", "").text("metrics", "");
    let left = dry_run(form).await?;
    assert_eq!((left.status, left.json()?["files"].as_array().map(Vec::len)), (200, Some(1)), "{left:?}");
    let nothing = dry_run(self::form(&[("tables", "", "")])).await?;
    nothing.assert_problem(422, "invalid-body", "/ingestions")?;
    assert_eq!(nothing.fields()?, ["parts"]);
    Ok(())
}

#[actix_web::test]
async fn an_uploads_size_is_limited() -> Result<()> {
    let app = TestApp::builder().state(|state| ApiState { max_upload_bytes: 4_096, ..state }).start()?;
    let large = upload(&app, "", None, form(&[("tables", "r.csv", &"x".repeat(10_000))])).await?;
    large.assert_problem(413, "content-too-large", "/ingestions")?;
    // Without a declared size.
    let pieces = (0..100).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 100]));
    let head = b"--x\r\nContent-Disposition: form-data; name=\"tables\"\r\n\r\n".to_vec();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(std::iter::once(Ok(head)).chain(pieces)));
    let request = app.client.post(app.url("/ingestions"));
    let streamed = app.send(request.header("content-type", "multipart/form-data; boundary=x").body(body)).await?;
    streamed.assert_problem(413, "content-too-large", "/ingestions")?;
    assert_eq!(upload(&app, "", None, form(&[("queries", "q.csv", QUERIES)])).await?.status, 201);
    Ok(())
}

#[actix_web::test]
async fn a_retried_upload_is_ingested_once() -> Result<()> {
    let app = TestApp::start().await?;
    let first = upload(&app, "", Some("k"), good()).await?;
    let again = upload(&app, "", Some("k"), good()).await?;
    assert_eq!((again.status, &again.body, again.header("idempotent-replayed")), (201, &first.body, "true"));
    let other = upload(&app, "?mode=strict", Some("k"), good()).await?;
    other.assert_problem(422, "idempotency-key-reused", "/ingestions")?;
    let other = upload(&app, "", Some("k"), form(&[("queries", "queries.csv", QUERIES)])).await?;
    other.assert_problem(422, "idempotency-key-reused", "/ingestions")?;

    let bad = || form(&[("queries", "q.csv", "id,query\nq8,DROP TABLE x\n")]);
    let first = upload(&app, "", Some("bad"), bad()).await?;
    first.assert_problem(422, "ingestion-refused", "/ingestions")?;
    let again = upload(&app, "", Some("bad"), bad()).await?;
    let replayed = [&first, &again].map(|answer| answer.header("idempotent-replayed"));
    assert_eq!((again.status, &again.body, replayed), (422, &first.body, ["", "true"]));
    Ok(())
}

#[actix_web::test]
async fn concurrent_uploads_do_not_mix() -> Result<()> {
    let app = TestApp::start().await?;
    let uploads = (0..6).map(|number| {
        let text = format!("id,query\nat-once-{number},SELECT {number}\n");
        upload(&app, "", None, form(&[("queries", "queries.csv", &text)]))
    });
    for answer in join_all(uploads).await {
        assert_eq!(answer?.json()?["queries"]["added"], 1);
    }
    assert_eq!(app.repository.list_queries(None, 10).await?.len(), 7);
    Ok(())
}

#[actix_web::test]
async fn an_upload_that_cannot_be_stored_is_a_problem() -> Result<()> {
    let app = TestApp::builder()
        .repository(Arc::new(FailingRepository(|| RepositoryError::Unavailable("s3cret".into()))))
        .start()?;
    let answer = upload(&app, "", None, good()).await?;
    answer.assert_problem(503, "database-unavailable", "/ingestions")?;
    let app = TestApp::start().await?;
    app.resolver.stop();
    let answer = upload(&app, "", None, good()).await?;
    let problem = answer.assert_problem(503, "database-unavailable", "/ingestions")?;
    assert_eq!(problem["detail"], "The database cannot be reached at the moment. Try again.");
    Ok(())
}
