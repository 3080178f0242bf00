//! Failing metrics and invalid calls, for files of several results.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{app, download};

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
