//! Formats, names and contents of files of several results.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::json;

use super::{XLSX, app, download};

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
    let distinct: BTreeSet<_> = names.iter().map(|name| name.to_lowercase()).collect();
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
