//! `GET /health` and `GET /health/ready`

use std::sync::Arc;

use anyhow::Result;
use metricd_execution::RunError;
use metricd_repository::RepositoryError;

use crate::support::{FailingRepository, TestApp};

#[actix_web::test]
async fn liveness_does_not_depend_on_the_database() -> Result<()> {
    let app = TestApp::builder()
        .repository(Arc::new(FailingRepository(|| RepositoryError::Unavailable("gone".into()))))
        .start()?;
    let answer = app.get("/health").await?;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"ok"}"#));
    Ok(())
}

#[actix_web::test]
async fn a_ready_server_reports_each_check() -> Result<()> {
    let app = TestApp::start().await?;
    let answer = app.get("/health/ready").await?;
    assert_eq!(answer.status, 200);
    insta::assert_snapshot!(answer.body, @r#"{"status":"ready","checks":{"database":"ok","migrations":"ok","definitions":"ok","statements":"ok"}}"#);
    Ok(())
}

#[actix_web::test]
async fn a_ready_server_reports_statements_that_do_not_stop() -> Result<()> {
    let app = TestApp::start().await?;
    for (stuck, expected) in [(1, "1 statement still runs"), (3, "3 statements still run")] {
        app.runner.set_stuck_connections(stuck);
        let answer = app.get("/health/ready").await?;
        assert_eq!(answer.status, 200);
        let said = answer.json()?["checks"]["statements"].as_str().unwrap_or_default().to_owned();
        assert!(said.starts_with(expected), "{said}");
    }
    Ok(())
}

#[actix_web::test]
async fn an_unready_server_reports_the_failed_checks() -> Result<()> {
    let app = TestApp::builder()
        .repository(Arc::new(FailingRepository(|| RepositoryError::Unavailable("s3cret".into()))))
        .start()?;
    let answer = app.get("/health/ready").await?;
    let problem = answer.assert_problem(503, "not-ready", "/health/ready")?;
    assert_eq!(problem["checks"]["database"], "unavailable");
    assert!(!answer.body.contains("s3cret"));

    let app = TestApp::start().await?;
    app.runner.script("check", || Err(RunError::Unavailable("s3cret".into())));
    let problem = app.get("/health/ready").await?.assert_problem(503, "not-ready", "/health/ready")?;
    assert_eq!(problem["checks"]["database"], "unavailable");
    assert_eq!(problem["checks"]["definitions"], "ok");
    Ok(())
}
