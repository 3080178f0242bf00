//! `GET /health` and `GET /health/ready`

use std::sync::Arc;

use anyhow::Result;
use metricd_execution::RunError;
use metricd_repository::RepositoryError;

use crate::support::{FailingRepository, TestApp};

#[actix_web::test]
async fn the_process_lives_whatever_the_database_does() -> Result<()> {
    let app = TestApp::with(Arc::new(FailingRepository(|| RepositoryError::Unavailable("gone".into()))))?;
    let answer = app.get("/health").await?;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"ok"}"#));
    Ok(())
}

#[actix_web::test]
async fn ready_says_so_with_a_line_for_each_thing() -> Result<()> {
    let app = TestApp::start().await?;
    let answer = app.get("/health/ready").await?;
    assert_eq!(answer.status, 200);
    insta::assert_snapshot!(answer.body, @r#"{"status":"ready","checks":{"database":"ok","migrations":"ok","definitions":"ok","statements":"ok"}}"#);
    Ok(())
}

#[actix_web::test]
async fn statements_that_do_not_stop_are_named_by_a_server_that_is_ready() -> Result<()> {
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
async fn not_ready_says_what_is_lacking() -> Result<()> {
    let app = TestApp::with(Arc::new(FailingRepository(|| RepositoryError::Unavailable("s3cret".into()))))?;
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
