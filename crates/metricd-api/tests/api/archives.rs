//! Several results as one file: a zip archive or a workbook.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use metricd_domain::RowLimit;
use metricd_execution::testing::{Ending, ScriptedResult};
use metricd_execution::{Column, FieldType, RunError};
use metricd_repository::contract::{TestIngestion, dashboard, metric, query};
use metricd_repository::{Definitions, MemoryRepository, MetricRepository};
use serde_json::{Value, json};
use zip::ZipArchive;

use crate::support::TestApp;

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// A server with the metrics `one` (a row), `two` (three rows), `fails`, `slow`, `infinite` (a date that Parquet cannot hold),
/// `huge` (a text that no cell holds), `asks` and `numbered` (with the parameters `kind` and `numbers`), and dashboards.
async fn app() -> Result<TestApp> {
    let repository = MemoryRepository::default();
    let texts = [
        ("one", "-- Cost: all/any\nSELECT 1"),
        ("two", "-- cost_ all_any\nSELECT 2"),
        ("fails", "SELECT 3"),
        ("slow", "SELECT 4"),
        ("infinite", "SELECT 5"),
        ("huge", "SELECT 6"),
        ("asks", "SELECT :kind"),
        ("numbered", "SELECT :numbers"),
        ("Results", "-- results\nSELECT 7"),
    ];
    let mut queries: Vec<_> = texts.iter().map(|(id, sql)| query(id, sql)).collect();
    let mut metrics: Vec<_> = texts.iter().map(|(id, _)| metric(id, id)).collect();
    let mut many = Vec::new();
    for number in 0..50 {
        let id = format!("m{number}");
        queries.push(query(&id, &format!("-- The same title for every one of them\nSELECT 1 + {number}")));
        metrics.push(metric(&id, &id));
        many.push(id);
    }
    let dashboards = vec![
        dashboard("d1", &["two", "one"]),
        dashboard("many", &many.iter().map(String::as_str).collect::<Vec<_>>()),
        dashboard("empty", &[]),
    ];
    let definitions = Definitions { queries, metrics, dashboards, ..Definitions::default() };
    let (ingestion, _outcome) = TestIngestion::committing(definitions);
    repository.ingest(Box::new(ingestion)).await?;
    let app = TestApp::builder().repository(Arc::new(repository)).start()?;
    app.runner.script("SELECT 1", || Ok(vec![Some("1".into())]));
    app.runner.script("SELECT 2", || Ok(vec![Some("2".into()); 3]));
    app.runner.script("SELECT 3", || Err(RunError::Failed { sqlstate: "P0001".into(), message: "s3cret".into() }));
    app.runner.script("SELECT 4", || Err(RunError::TimedOut { limit: Duration::from_secs(5) }));
    script(&app, "SELECT 5", FieldType::Date, vec![i32::MAX.to_be_bytes().to_vec()]);
    script(&app, "SELECT 6", FieldType::Text, vec![vec![b'x'; 32_768]]);
    script(&app, "SELECT 7", FieldType::BigInt, vec![i64::MAX.to_be_bytes().to_vec()]);
    app.runner.script_arguments("SELECT $1");
    for number in 0..50 {
        app.runner.script(&format!("SELECT 1 + {number}"), || Ok(Vec::new()));
    }
    Ok(app)
}

/// Makes the SQL return one column of these values.
fn script(app: &TestApp, sql: &str, field_type: FieldType, values: Vec<Vec<u8>>) {
    let column = Column { name: "n".into(), type_name: "any".into(), field_type };
    app.runner.script_result(sql, move || {
        let rows = values.iter().map(|value| vec![Some(value.clone())]).collect();
        Ok(ScriptedResult { columns: vec![column.clone()], rows, ending: Ending::Complete })
    });
}

/// A downloaded file.
struct Download {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

impl Download {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The names of the files in the archive, in order, and their contents.
    fn files(&self) -> Result<(Vec<String>, BTreeMap<String, Vec<u8>>)> {
        ensure!(self.status == 200, "{}: {}", self.status, String::from_utf8_lossy(&self.body));
        let mut archive = ZipArchive::new(Cursor::new(&self.body))?;
        let (mut names, mut contents) = (Vec::new(), BTreeMap::new());
        for index in 0..archive.len() {
            let mut file = archive.by_index(index)?;
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            let name = file.name()?.into_owned();
            names.push(name.clone());
            contents.insert(name, content);
        }
        Ok((names, contents))
    }

    fn text(&self, name: &str) -> Result<String> {
        let (_, contents) = self.files()?;
        Ok(String::from_utf8(contents.get(name).with_context(|| name.to_owned())?.clone())?)
    }

    fn summary(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.text("results.json")?)?)
    }
}

async fn download(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Result<Download> {
    let mut request = app.client.get(app.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Download { status, headers, body: response.bytes().await?.to_vec() })
}

#[actix_web::test]
async fn a_zip_archive_has_a_file_for_each_metric_and_a_summary() -> Result<()> {
    let app = app().await?;
    let found = download(&app, "/results?metric_id=two&metric_id=one&format=csv&limit=2", &[]).await?;
    assert_eq!(found.files()?.0, ["results.json", "two.csv", "one.csv"]);
    assert_eq!(found.text("two.csv")?, "value\r\n2\r\n2\r\n");
    assert_eq!(found.text("one.csv")?, "value\r\n1\r\n");
    assert_eq!(found.header("content-type"), "application/zip");
    assert_eq!(found.header("content-disposition"), "attachment; filename=\"results.zip\"");
    assert_eq!((found.header("x-truncated"), found.header("x-time-zone")), ("true", "UTC"));
    assert_eq!(found.header("vary"), "accept");
    assert_eq!(found.header("content-length"), found.body.len().to_string());
    let result = |id: &str, title: &str, row_count: usize, truncated: bool| {
        json!({
            "metric_id": id,
            "status": 200,
            "result": {
                "metric_id": id,
                "query_id": id,
                "query_version": 1,
                "title": title,
                "columns": [{"name": "value", "type": "text"}],
                "file": format!("{id}.csv"),
                "row_count": row_count,
                "truncated": truncated,
                "period": null,
            }
        })
    };
    let results = [result("two", "cost_ all_any", 2, true), result("one", "Cost: all/any", 1, false)];
    let as_of = "2026-05-28T20:26:40.000Z";
    assert_eq!(found.summary()?, json!({"results": results, "time_zone": "UTC", "as_of": as_of}));
    let again = download(&app, "/results?metric_id=two&metric_id=one&format=csv&limit=2", &[]).await?;
    assert_eq!(again.body, found.body, "the same results make the same bytes");
    Ok(())
}

#[actix_web::test]
async fn every_format_is_chosen_by_the_parameter_or_by_accept() -> Result<()> {
    let app = app().await?;
    for (path, accept, media_type, name, file) in [
        ("/dashboards/d1/results?format=csv", "*/*", "application/zip", "d1.zip", "one.csv"),
        ("/dashboards/d1/results?format=ndjson", "*/*", "application/zip", "d1.zip", "one.ndjson"),
        ("/dashboards/d1/results?format=parquet", XLSX, "application/zip", "d1.zip", "one.parquet"),
        ("/dashboards/d1/results?format=arrow", "text/html", "application/zip", "d1.zip", "one.arrow"),
        ("/dashboards/d1/results?format=xlsx", "*/*", XLSX, "d1.xlsx", "xl/worksheets/sheet3.xml"),
        ("/dashboards/d1/results", "application/zip", "application/zip", "d1.zip", "one.csv"),
        (
            "/results?metric_id=one",
            "application/zip;q=0.1, application/json;q=0",
            "application/zip",
            "results.zip",
            "one.csv",
        ),
        ("/results?metric_id=one", XLSX, XLSX, "results.xlsx", "xl/worksheets/sheet2.xml"),
    ] {
        let found = download(&app, path, &[("accept", accept), ("accept-encoding", "gzip, zstd")]).await?;
        assert!(found.files()?.1.contains_key(file), "{path} {accept}: {:?}", found.files()?.0);
        assert_eq!(found.header("content-type"), media_type, "{path} {accept}");
        assert_eq!(found.header("content-disposition"), format!("attachment; filename=\"{name}\""));
        assert_eq!((found.header("content-encoding"), found.header("x-truncated")), ("", ""), "{path} {accept}");
    }
    for (path, accept) in [("/results?metric_id=one", "*/*"), ("/results?metric_id=one&format=json", XLSX)] {
        let answer = app.send(app.client.get(app.url(path)).header("accept", accept)).await?;
        assert_eq!((answer.header("content-type"), answer.header("vary")), ("application/json", "accept"));
        assert_eq!(answer.header("content-disposition"), "");
    }
    Ok(())
}

#[actix_web::test]
async fn faults_of_the_call_are_problems_in_every_format() -> Result<()> {
    let app = app().await?;
    for accept in ["text/csv", "text/html"] {
        let answer = app.send(app.client.get(app.url("/results?metric_id=one")).header("accept", accept)).await?;
        let problem = answer.assert_problem(406, "not-acceptable", "/results")?;
        assert!(problem["detail"].as_str().context("a detail")?.contains("`application/zip`"), "{problem}");
        assert_eq!(answer.header("vary"), "accept");
    }
    let many = format!("{}format=csv", "metric_id=one&".repeat(51));
    for (query, fields) in [
        ("metric_id=one&format=pdf", vec!["format"]),
        ("metric_id=one&format=csv&format=csv", vec!["format"]),
        ("metric_id=one&format=csv&limit=1000001", vec!["limit"]),
        ("metric_id=one&limit=10001", vec!["limit"]),
        ("metric_id=one&format=xlsx&numbers=text&limit=0", vec!["limit", "numbers"]),
        ("metric_id=one&format=csv&kind=x", vec!["kind"]),
        ("format=csv", vec!["metric_id"]),
        (&many, vec!["metric_id"]),
    ] {
        let answer = app.get(&format!("/results?{query}")).await?;
        answer.assert_problem(422, "invalid-parameters", "/results")?;
        assert_eq!(answer.fields()?, fields, "{query}");
    }
    let path = "/dashboards/none/results";
    app.get(&format!("{path}?format=xlsx")).await?.assert_problem(404, "dashboard-not-found", path)?;
    Ok(())
}

#[actix_web::test]
async fn a_metric_that_fails_does_not_spoil_the_others() -> Result<()> {
    let app = app().await?;
    let ids = "metric_id=fails&metric_id=one&metric_id=none&metric_id=infinite&metric_id=huge&metric_id=a%20%00b";
    let found = download(&app, &format!("/results?{ids}&format=parquet"), &[]).await?;
    assert_eq!(found.files()?.0, ["results.json", "one.parquet", "huge.parquet"]);
    let summary = found.summary()?;
    let codes = |summary: &Value| {
        let entries = summary["results"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["problem"]["code"].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>()
    };
    let not_found = "metric-not-found";
    assert_eq!(codes(&summary), ["query-failed", "-", not_found, "result-unrepresentable", "-", not_found]);
    assert!(!summary.to_string().contains("s3cret"));
    let entry = &summary["results"][3];
    assert_eq!((&entry["status"], &entry["problem"]["instance"]), (&json!(422), &json!("/metrics/infinite")));
    assert!(entry["problem"]["detail"].as_str().context("a detail")?.starts_with("The column `n`"), "{entry}");
    // The problem is that of JSON.
    let json = app.get(&format!("/results?{ids}")).await?.json()?;
    assert_eq!((&json["results"][0], &json["results"][5]), (&summary["results"][0], &summary["results"][5]));

    let found = download(&app, &format!("/results?{ids}&format=xlsx"), &[]).await?;
    let book = found.text("xl/workbook.xml")?;
    assert_eq!(book.matches("<sheet ").count(), 3, "{book}");
    assert!(book.contains(r#"name="Results""#) && book.contains(r#"name="Cost_ all_any""#), "{book}");
    let sheet = found.text("xl/worksheets/sheet1.xml")?;
    assert_eq!(sheet.matches("<row ").count(), 7, "{sheet}");
    for part in ["query-failed", "result-unrepresentable", "a cell has at most 32767 characters", "a _x0000_b"] {
        assert!(sheet.contains(part), "{part}: {sheet}");
    }
    assert!(!sheet.contains("s3cret"));
    Ok(())
}

#[actix_web::test]
async fn a_file_without_any_result_is_the_problem_of_the_first_metric() -> Result<()> {
    let app = app().await?;
    for format in ["csv", "ndjson", "parquet", "arrow", "xlsx"] {
        let answer =
            app.get(&format!("/results?metric_id=slow&metric_id=none&metric_id=fails&format={format}")).await?;
        let problem = answer.assert_problem(504, "query-timeout", "/results")?;
        let statuses: Vec<_> =
            problem["results"].as_array().context("results")?.iter().map(|entry| &entry["status"]).collect();
        assert_eq!(statuses, [504, 404, 500], "{problem}");
        assert_eq!(problem["results"][1]["problem"]["instance"], "/metrics/none");
        assert_eq!((answer.header("content-disposition"), answer.header("etag")), ("", ""));
    }
    let problem = app.get("/results?metric_id=infinite&format=arrow").await?;
    let problem = problem.assert_problem(422, "result-unrepresentable", "/results")?;
    assert!(problem.get("results").is_none(), "{problem}");
    let invalid = app.get("/results?metric_id=asks&format=csv&start_date=soon").await?;
    invalid.assert_problem(422, "invalid-parameters", "/results")?;
    assert_eq!(invalid.fields()?, ["kind", "start_date"]);
    Ok(())
}

#[actix_web::test]
async fn a_repeated_metric_is_in_a_file_once() -> Result<()> {
    let app = app().await?;
    let repeated = "metric_id=one&metric_id=two&metric_id=one&metric_id=none&metric_id=none";
    let found = download(&app, &format!("/results?{repeated}&format=ndjson"), &[]).await?;
    assert_eq!(found.files()?.0, ["results.json", "one.ndjson", "two.ndjson"]);
    assert_eq!(found.text("one.ndjson")?, "{\"value\":\"1\"}\n");
    let ids: Vec<_> = found.summary()?["results"]
        .as_array()
        .context("results")?
        .iter()
        .map(|entry| entry["metric_id"].clone())
        .collect();
    assert_eq!(ids, ["one", "two", "none"]);
    Ok(())
}

#[actix_web::test]
async fn a_dashboard_of_fifty_equal_titles_has_fifty_sheets() -> Result<()> {
    let app = app().await?;
    let found = download(&app, "/dashboards/many/results?format=xlsx", &[]).await?;
    let book = found.text("xl/workbook.xml")?;
    let names: Vec<_> = book.split("<sheet name=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(names.len(), 51);
    assert_eq!(
        (names[0], names[1], names[50]),
        ("Results", "The same title for every one of", "The same title for every o (50)")
    );
    let distinct: std::collections::BTreeSet<_> = names.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(distinct.len(), 51);
    let summary = found.text("xl/worksheets/sheet1.xml")?;
    assert!(names.iter().skip(1).all(|name| summary.contains(&format!(">{name}<"))), "the summary names each sheet");
    assert!(found.text("docProps/core.xml")?.contains("<dc:title>many</dc:title>"));
    // A sheet without rows has its header.
    assert_eq!(found.text("xl/worksheets/sheet51.xml")?.matches("<row ").count(), 1);
    let found = download(&app, "/dashboards/many/results?format=csv", &[]).await?;
    assert_eq!((found.files()?.0.len(), found.text("m49.csv")?.as_str()), (51, "value\r\n"));
    // The name of the summary stays free.
    let found = download(&app, "/results?metric_id=Results&format=xlsx", &[]).await?;
    assert!(found.text("xl/workbook.xml")?.contains(r#"<sheet name="results (2)" sheetId="2""#));
    Ok(())
}

#[actix_web::test]
async fn a_dashboard_without_metrics_has_the_summary_alone() -> Result<()> {
    let app = app().await?;
    let found = download(&app, "/dashboards/empty/results?format=parquet", &[]).await?;
    assert_eq!(found.files()?.0, ["results.json"]);
    assert_eq!(found.summary()?["results"], json!([]));
    let book = download(&app, "/dashboards/empty/results?format=xlsx", &[]).await?;
    assert_eq!(book.text("xl/workbook.xml")?.matches("<sheet ").count(), 1);
    assert_eq!(book.text("xl/worksheets/sheet1.xml")?.matches("<row ").count(), 1);
    assert_ne!(book.header("etag"), found.header("etag"));
    Ok(())
}

#[actix_web::test]
async fn files_have_more_rows_than_json() -> Result<()> {
    let app = app().await?;
    script(&app, "SELECT 1", FieldType::Text, vec![b"x".to_vec(); 20_000]);
    let found = download(&app, "/results?metric_id=one&format=csv", &[]).await?;
    assert_eq!((found.text("one.csv")?.lines().count(), found.header("x-truncated")), (20_001, ""));
    let limits = app.runner.last_limits().context("a run")?;
    assert_eq!((limits.rows, limits.size_bytes), (RowLimit::STREAM_MAX, 64 << 20));
    assert_eq!((limits.write_timeout, limits.min_bytes_per_second), (Duration::ZERO, 0));
    let found = download(&app, "/results?metric_id=one&metric_id=none&format=csv&limit=15000", &[]).await?;
    assert_eq!((found.text("one.csv")?.lines().count(), found.header("x-truncated")), (15_001, "true"));
    assert_eq!(app.runner.last_limits().context("a run")?.size_bytes, 32 << 20);
    app.get("/results?metric_id=one").await?;
    let limits = app.runner.last_limits().context("a run")?;
    assert_eq!((limits.rows, limits.size_bytes), (RowLimit::DEFAULT, 16 << 20));
    Ok(())
}

#[actix_web::test]
async fn a_result_that_is_larger_than_its_share_is_marked_as_truncated() -> Result<()> {
    let app = app().await?;
    // Texts that hardly compress: 4 MB, of which each of 50 metrics may have 1.3 MiB.
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}")
    };
    let texts = (0..25_000).map(|_| (0..20).map(|_| random()).collect::<String>().into_bytes()).collect();
    script(&app, "SELECT 1", FieldType::Text, texts);
    let others: String = (0..49).map(|number| format!("&metric_id=none-{number}")).collect();
    for (format, file) in [("csv", "one.csv"), ("parquet", "one.parquet"), ("xlsx", "xl/worksheets/sheet2.xml")] {
        let found = download(&app, &format!("/results?metric_id=one{others}&format={format}"), &[]).await?;
        assert_eq!(found.header("x-truncated"), "true", "{format}");
        assert!((600 << 10..2 << 20).contains(&found.body.len()), "{format}: {}", found.body.len());
        assert!(found.files()?.1.contains_key(file));
        if format == "csv" {
            let result = &found.summary()?["results"][0]["result"];
            let row_count = found.text(file)?.lines().count() - 1;
            assert_eq!((&result["truncated"], &result["row_count"]), (&json!(true), &json!(row_count)));
        } else if format == "xlsx" {
            let summary = found.text("xl/worksheets/sheet1.xml")?;
            assert!(summary.contains(r#"<c r="E2" t="b"><v>1</v></c>"#), "{summary}");
        }
    }
    Ok(())
}

#[actix_web::test]
async fn a_file_has_an_etag_of_its_contents() -> Result<()> {
    let app = app().await?;
    let mut tags = std::collections::BTreeSet::new();
    for format in ["json", "csv", "ndjson", "parquet", "arrow", "xlsx"] {
        let path = format!("/dashboards/d1/results?format={format}");
        let found = download(&app, &path, &[]).await?;
        let tag = found.header("etag").to_owned();
        assert!(tag.starts_with("W/\"") && found.header("cache-control") == "private, no-cache", "{format}: {tag}");
        let unchanged = download(&app, &path, &[("if-none-match", &tag)]).await?;
        assert_eq!((unchanged.status, unchanged.body.len(), unchanged.header("etag")), (304, 0, tag.as_str()));
        let limited = download(&app, &format!("{path}&limit=1"), &[("if-none-match", &tag)]).await?;
        assert_eq!(limited.status, 200, "{format}: another number of rows");
        tags.insert(tag);
    }
    assert_eq!(tags.len(), 6, "each format has its own");
    let path = "/results?metric_id=one&metric_id=slow&format=csv";
    assert_eq!(download(&app, path, &[]).await?.header("etag"), "", "server errors are not cached");
    let path = "/results?metric_id=one&metric_id=none&format=csv";
    assert_ne!(download(&app, path, &[]).await?.header("etag"), "");
    Ok(())
}

#[actix_web::test]
async fn numbers_are_strings_on_request_in_json_and_in_files() -> Result<()> {
    let app = app().await?;
    let text = i64::MAX.to_string();
    let path = "/results?metric_id=Results&metric_id=one";
    let json = app.get(&format!("{path}&numbers=string")).await?.json()?;
    assert_eq!(json["results"][0]["result"]["rows"][0]["n"], json!(text));
    assert_eq!(
        app.get(&format!("{path}&numbers=number")).await?.json()?["results"][0]["result"]["rows"][0]["n"],
        i64::MAX
    );
    let found = download(&app, &format!("{path}&numbers=string&format=ndjson"), &[]).await?;
    assert_eq!(found.text("Results.ndjson")?, format!("{{\"n\":\"{text}\"}}\n"));
    // A metric with a parameter of this name keeps it, for the whole call.
    let found = download(&app, &format!("{path}&metric_id=numbered&numbers=string&format=ndjson"), &[]).await?;
    assert_eq!(found.text("Results.ndjson")?, format!("{{\"n\":{text}}}\n"));
    assert_eq!(found.text("numbered.ndjson")?, "{\"value\":\"string\"}\n");
    Ok(())
}

#[actix_web::test]
async fn head_has_the_headers_of_the_file() -> Result<()> {
    let app = app().await?;
    let answer = app.send(app.client.head(app.url("/dashboards/d1/results?format=xlsx"))).await?;
    assert_eq!((answer.status, answer.header("content-type"), answer.body.as_str()), (200, XLSX, ""));
    Ok(())
}
