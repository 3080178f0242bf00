//! The header `Server-Timing`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use metricd_execution::RunError;
use metricd_execution::testing::Ending;
use metricd_repository::contract::{TestIngestion, dashboard, metric, query};
use metricd_repository::{Definitions, MemoryRepository, MetricRepository};

use crate::streams::{SQL, failing, script};
use crate::support::{Answer, TestApp};

/// The stages with their milliseconds, in order.
fn parts(answer: &Answer) -> Result<Vec<(&str, f64)>> {
    let header = answer.header("server-timing");
    let part = |part: &'_ str| part.split_once(";dur=")?.1.parse().ok();
    let times: Option<Vec<f64>> = header.split(", ").map(part).collect();
    let names = header.split(", ").map(|part| part.split(';').next().unwrap_or_default());
    Ok(names.zip(times.with_context(|| header.to_owned())?).collect())
}

/// Asserts that the stages are those of the scripted runner, whose encoding ends before that of the document.
fn assert_of_a_run(answer: &Answer) -> Result<()> {
    let parts = parts(answer)?;
    let [("queue", queue), ("database", database), ("encode", encode), ("total", total)] = parts[..] else {
        anyhow::bail!("{parts:?}");
    };
    assert!((queue - 1.0).abs() < 1e-9 && (database - 2.0).abs() < 1e-9, "{parts:?}");
    // The scripted timing of the runner is not the real one.
    assert!(encode > 3.0 && encode - 3.0 <= total, "{parts:?}");
    Ok(())
}

fn names(answer: &Answer) -> Result<Vec<&str>> {
    Ok(parts(answer)?.into_iter().map(|(name, _)| name).collect())
}

#[actix_web::test]
async fn a_result_reports_its_timing() -> Result<()> {
    let app = TestApp::start().await?;
    script(&app.runner, 10, Ending::Complete);
    assert_of_a_run(&app.get("/metrics/m1").await?)
}

#[actix_web::test]
async fn a_streams_head_has_the_timing_so_far() -> Result<()> {
    let app = TestApp::start().await?;
    for (rows, header) in [
        (10, "queue;dur=1.000, database;dur=2.000, encode;dur=3.000, total;dur="),
        (50_000, "queue;dur=1.000, database;dur=2.000, total;dur="),
    ] {
        script(&app.runner, rows, Ending::Complete);
        let answer = app.get("/metrics/m1?format=csv").await?;
        assert!(answer.header("server-timing").starts_with(header), "{rows}: {answer:.300?}");
    }
    Ok(())
}

#[actix_web::test]
async fn a_failed_run_reports_its_timing() -> Result<()> {
    let app = TestApp::start().await?;
    for format in ["json", "csv"] {
        app.runner.script(SQL, || Err(RunError::TimedOut { limit: Duration::from_secs(5) }));
        let path = format!("/metrics/m1?format={format}");
        let answer = app.get(&path).await?;
        assert_eq!((answer.status, names(&answer)?), (504, vec!["queue", "database", "encode", "total"]));
        script(&app.runner, 10, failing());
        let answer = app.get(&path).await?;
        assert_eq!((answer.status, names(&answer)?), (500, vec!["queue", "database", "encode", "total"]));
    }
    Ok(())
}

#[actix_web::test]
async fn several_results_report_the_timing_of_the_call() -> Result<()> {
    let repository = MemoryRepository::default();
    let definitions = Definitions {
        queries: vec![query("q1", "SELECT 1")],
        metrics: vec![metric("m1", "q1"), metric("m2", "q1")],
        dashboards: vec![dashboard("d1", &["m1", "m2"])],
        ..Definitions::default()
    };
    let (ingestion, _outcome) = TestIngestion::committing(definitions);
    repository.ingest(Box::new(ingestion)).await?;
    let app = TestApp::builder().repository(Arc::new(repository)).start()?;
    app.runner.script("SELECT 1", || Ok(vec![Some("1".into())]));
    assert_of_a_run(&app.get("/results?metric_id=m1&metric_id=m2").await?)?;
    assert_of_a_run(&app.get("/dashboards/d1/results").await?)
}

#[actix_web::test]
async fn a_request_without_a_run_has_only_the_total() -> Result<()> {
    let app = TestApp::start().await?;
    for path in [
        "/health",
        "/metrics",
        "/metrics/m1/definition",
        "/metrics/none",
        "/metrics/m1?limit=0",
        "/metrics/m1?format=csv&unknown=1",
        "/results?metric_id=m1&unknown=1",
        "/dashboards/none/results",
        "/nowhere",
    ] {
        assert_eq!(names(&app.get(path).await?)?, ["total"], "{path}");
    }
    Ok(())
}
