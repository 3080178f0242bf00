//! Results as files: Parquet, Arrow and XLSX.

use anyhow::{Context, Result};
use metricd_execution::testing::{Ending, ScriptedResult};
use metricd_execution::{Column, FieldType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::streams::{SQL, failing, script};
use crate::support::TestApp;

/// The names of the formats, with their media types and how a complete file begins and ends.
const FORMATS: [(&str, &str, &[u8], &[u8]); 3] = [
    ("parquet", "application/vnd.apache.parquet", b"PAR1", b"PAR1"),
    ("arrow", "application/vnd.apache.arrow.stream", b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\0\0\0\0"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"PK\x03\x04", b"\0\0"),
];

/// One column of numbers, and what happens after its rows.
fn numbers(app: &TestApp, field_type: FieldType, values: Vec<Vec<u8>>, ending: Ending) {
    let column = Column { name: "n".into(), type_name: "any".into(), field_type };
    app.runner.script_result(SQL, move || {
        let rows = values.iter().map(|value| vec![Some(value.clone())]).collect();
        Ok(ScriptedResult { columns: vec![column.clone()], rows, ending })
    });
}

#[actix_web::test]
async fn a_result_is_a_file_of_each_format() -> Result<()> {
    let app = TestApp::start().await?;
    script(&app.runner, 20_000, Ending::Complete);
    for (format, media_type, begin, end) in FORMATS {
        for request in [
            app.client.get(app.url(&format!("/metrics/m1?format={format}"))),
            app.client.get(app.url("/metrics/m1")).header("accept", media_type),
        ] {
            let response = request.send().await?;
            let header =
                |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            assert_eq!(response.status(), 200, "{format}");
            assert_eq!(header("content-type").as_deref(), Some(media_type));
            assert_eq!(header("content-disposition"), Some(format!("attachment; filename=\"m1.{format}\"")));
            assert_eq!(
                (header("vary").as_deref(), header("etag"), header("x-truncated")),
                (Some("accept"), None, None)
            );
            let body = response.bytes().await?;
            assert!(body.starts_with(begin) && body.ends_with(end), "{format}: {} bytes", body.len());
        }
    }
    Ok(())
}

#[actix_web::test]
async fn an_error_in_the_middle_leaves_no_complete_file() -> Result<()> {
    let app = TestApp::start().await?;
    // Parquet holds rows back until a row group is complete, so it can still answer with a problem.
    script(&app.runner, 50_000, failing());
    let answer = app.get("/metrics/m1?format=parquet").await?;
    answer.assert_problem(500, "query-failed", "/metrics/m1")?;
    assert_eq!(answer.header("content-disposition"), "");
    script(&app.runner, 300_000, failing());
    for format in ["arrow", "xlsx"] {
        let response = reqwest::get(app.url(&format!("/metrics/m1?format={format}"))).await?;
        assert!(response.status() == 500 || response.bytes().await.is_err(), "{format}");
    }
    Ok(())
}

#[actix_web::test]
async fn a_value_that_the_format_cannot_hold_is_a_problem_that_names_its_column() -> Result<()> {
    let app = TestApp::start().await?;
    let nan = vec![0, 0, 0, 0, 0xC0, 0, 0, 0];
    numbers(&app, FieldType::Numeric(None), vec![nan], Ending::Complete);
    for format in ["parquet", "arrow"] {
        let answer = app.get(&format!("/metrics/m1?format={format}")).await?;
        let problem = answer.assert_problem(422, "result-unrepresentable", "/metrics/m1")?;
        let detail = problem["detail"].as_str().context("a detail")?;
        assert!(detail.starts_with("The column `n`") && detail.contains("numbers=string"), "{detail}");
        assert_eq!(
            app.send(app.client.head(app.url(&format!("/metrics/m1?format={format}&numbers=string")))).await?.status,
            200
        );
    }
    assert_eq!(app.send(app.client.head(app.url("/metrics/m1?format=xlsx"))).await?.status, 200, "a text in the sheet");
    Ok(())
}

#[actix_web::test]
async fn a_file_with_missing_rows_is_a_problem_unless_the_request_limits_them() -> Result<()> {
    let app = TestApp::start().await?;
    // A million equal rows are less than a chunk in Parquet, so nothing was sent when the limit is reached.
    numbers(&app, FieldType::Boolean, vec![vec![1]; 1_000_001], Ending::Complete);
    let answer = app.get("/metrics/m1?format=parquet").await?;
    let problem = answer.assert_problem(422, "result-unrepresentable", "/metrics/m1")?;
    assert!(problem["detail"].as_str().context("a detail")?.contains("row 1000000"), "{problem}");
    let limited = app.client.get(app.url("/metrics/m1?format=parquet&limit=1000")).send().await?;
    assert_eq!((limited.status().as_u16(), &limited.headers()["x-truncated"]), (200, &"true".parse()?));
    assert!(limited.bytes().await?.ends_with(b"PAR1"));
    Ok(())
}

#[actix_web::test]
async fn a_client_without_chunked_coding_gets_a_whole_file_or_a_problem() -> Result<()> {
    let app = TestApp::start().await?;
    for (rows, format, status) in [(20_000, "arrow", "200"), (200_000, "arrow", "422"), (20_000, "xlsx", "200")] {
        script(&app.runner, rows, Ending::Complete);
        let mut stream = TcpStream::connect(app.url("").trim_start_matches("http://")).await?;
        let request = format!("GET /metrics/m1?format={format} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let head = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
        assert!(
            head.starts_with(&format!("HTTP/1.0 {status}")) || head.starts_with(&format!("HTTP/1.1 {status}")),
            "{head}"
        );
    }
    Ok(())
}

#[actix_web::test]
async fn arrow_is_compressed_if_the_client_accepts_it_and_packed_files_are_not() -> Result<()> {
    let app = TestApp::start().await?;
    script(&app.runner, 2_000, Ending::Complete);
    for (format, coding) in [("arrow", "gzip"), ("parquet", ""), ("xlsx", "")] {
        let request =
            app.client.get(app.url(&format!("/metrics/m1?format={format}"))).header("accept-encoding", "gzip");
        let response = request.send().await?;
        let found =
            response.headers().get("content-encoding").and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(found, coding, "{format}");
    }
    Ok(())
}

#[actix_web::test]
async fn numbers_are_strings_on_request() -> Result<()> {
    let app = TestApp::start().await?;
    numbers(&app, FieldType::BigInt, vec![i64::MIN.to_be_bytes().to_vec()], Ending::Complete);
    let answer = app.get("/metrics/m1?numbers=string").await?;
    assert_eq!(answer.json()?["rows"][0]["n"], "-9223372036854775808");
    let plain = app.get("/metrics/m1?numbers=number").await?;
    assert_eq!(plain.json()?["rows"][0]["n"], i64::MIN);
    assert_ne!(answer.header("etag"), plain.header("etag"));
    assert_eq!(app.get("/metrics/m1?format=ndjson&numbers=string").await?.body, "{\"n\":\"-9223372036854775808\"}\n");
    assert_eq!(app.get("/metrics/m1?format=csv&numbers=string").await?.body, "n\r\n-9223372036854775808\r\n");
    let answer = app.get("/metrics/m1?numbers=text").await?;
    answer.assert_problem(422, "invalid-parameters", "/metrics/m1")?;
    assert_eq!(answer.fields()?, ["numbers"]);
    Ok(())
}
