//! Limits and `ETag`s of files of several results.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use metricd_domain::RowLimit;
use metricd_execution::FieldType;
use serde_json::json;

use super::{app, download, script};

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
    // Texts that hardly compress: 4 MB. The share of each of 50 metrics is 1.3 MiB.
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}")
    };
    let texts = (0..25_000).map(|_| (0..20).map(|_| random()).collect::<String>().into_bytes()).collect();
    script(&app, "SELECT 1", FieldType::Text, texts);
    let others: Vec<_> = (0..49).map(|number| format!("&metric_id=none-{number}")).collect();
    let others = others.concat();
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
    let mut tags = BTreeSet::new();
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
