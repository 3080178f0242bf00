//! Ingestions against the real database: what the port's promises do not cover.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use metricd_domain::{Breakpoint, MetricId};
use metricd_postgres::{PgRepository, RepositoryConfig};
use metricd_repository::contract::{Brought, dashboard, layout_entry, metric, query, record};
use metricd_repository::{Definitions, MetricRepository, RepositoryError};
use metricd_test_support::TestDatabase;

fn definitions() -> Definitions {
    let mut board = dashboard("d1", &["m1"]);
    board.layouts = BTreeMap::from([(Breakpoint::Lg, vec![layout_entry("m1", 0)])]);
    Definitions {
        queries: vec![query("q1", "SELECT 1")],
        metrics: vec![metric("m1", "q1")],
        dashboards: vec![board],
        ..Definitions::default()
    }
}

/// Everything that is stored, as text.
async fn state(database: &TestDatabase) -> Result<String> {
    let client = database.connect().await?;
    let mut state = String::new();
    for table in [
        "catalog.queries",
        "catalog.query_history",
        "catalog.metrics",
        "catalog.dashboards",
        "catalog.dashboard_items",
        "catalog.layout_entries",
        "warehouse.metrics",
    ] {
        let sql = format!("SELECT coalesce(string_agg(t::text, ',' ORDER BY t::text), '') FROM {table} t");
        writeln!(state, "{table}: {}", client.query_one(&sql, &[]).await?.get::<_, String>(0))?;
    }
    Ok(state)
}

#[tokio::test]
async fn a_connection_that_is_cut_in_the_middle_leaves_the_state_before() -> Result<()> {
    let database = TestDatabase::new().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let before = state(&database).await?;

    // The last record is not handed out before the backend that takes the others was terminated.
    let (brought, _told) = Brought::keeping(definitions(), vec![record("q1"); 50_000]);
    let lock = database.connect().await?;
    lock.batch_execute("BEGIN; LOCK TABLE catalog.queries IN SHARE MODE").await?;
    let running = tokio::spawn(async move { repository.ingest(Box::new(brought)).await });
    let killer = database.connect().await?;
    let waiting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while killer.query(waiting, &[]).await?.is_empty() {
        tokio::task::yield_now().await;
    }
    lock.batch_execute("ROLLBACK").await?;
    let outcome = running.await?;
    assert!(matches!(outcome, Err(RepositoryError::Unavailable(_))), "{outcome:?}");
    assert_eq!(state(&database).await?, before);
    Ok(())
}

#[tokio::test]
async fn the_same_again_leaves_every_row_untouched() -> Result<()> {
    let database = TestDatabase::new().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let (brought, _told) = Brought::keeping(definitions(), vec![record("q1"); 3]);
    repository.ingest(Box::new(brought)).await?;
    let before = state(&database).await?;
    let (brought, _told) = Brought::keeping(definitions(), vec![record("q1"); 3]);
    repository.ingest(Box::new(brought)).await?;
    // The rows hold when they were last changed, so that a rewritten one would show.
    assert_eq!(state(&database).await?, before);
    Ok(())
}

#[tokio::test]
async fn recovers_when_the_database_closes_every_connection() -> Result<()> {
    let database = TestDatabase::new().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let (brought, _told) = Brought::keeping(definitions(), Vec::new());
    repository.ingest(Box::new(brought)).await?;
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.connect().await?.batch_execute(others).await?;
    let definition = repository.get_definition(&MetricId::parse("m1")?).await?;
    assert_eq!(definition.sql.as_str(), "SELECT 1");
    Ok(())
}

#[tokio::test]
async fn says_that_no_connection_is_free_or_the_database_is_gone() -> Result<()> {
    let database = TestDatabase::new().await?;
    let config = RepositoryConfig { max_connections: 1, ..RepositoryConfig::default() };
    let repository = PgRepository::new(&database.owner, config)?;
    let (brought, _told) = Brought::keeping(definitions(), Vec::new());
    let lock = database.connect().await?;
    lock.batch_execute("BEGIN; LOCK TABLE catalog.ingestions").await?;
    let busy = repository.clone();
    let running = tokio::spawn(async move { busy.ingest(Box::new(brought)).await });
    let watcher = database.connect().await?;
    let waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while watcher.query(waiting, &[]).await?.is_empty() {
        tokio::task::yield_now().await;
    }
    let outcome = repository.get_definition(&MetricId::parse("m1")?).await;
    assert!(matches!(outcome, Err(RepositoryError::NoConnection)), "{outcome:?}");
    lock.batch_execute("ROLLBACK").await?;
    running.await??;
    repository.get_definition(&MetricId::parse("m1")?).await?;

    let nowhere = metricd_postgres::DatabaseUrl::parse("postgres://ann:s3cret@127.0.0.1:1/none".to_owned())?;
    let outcome = PgRepository::new(&nowhere, config)?.check().await;
    let Err(RepositoryError::Unavailable(message)) = outcome else { panic!("{outcome:?}") };
    assert!(!message.contains("s3cret"), "{message}");
    Ok(())
}

#[tokio::test]
async fn reading_has_a_time_limit_and_ingesting_none() -> Result<()> {
    let database = TestDatabase::new().await?;
    let statement_timeout = std::time::Duration::from_millis(100);
    let config = RepositoryConfig { max_connections: 2, statement_timeout, ..RepositoryConfig::default() };
    let repository = PgRepository::new(&database.owner, config)?;
    let lock = database.connect().await?;
    lock.batch_execute("BEGIN; LOCK TABLE catalog.metrics, catalog.ingestions").await?;
    let (brought, _told) = Brought::keeping(definitions(), Vec::new());
    let busy = repository.clone();
    let running = tokio::spawn(async move { busy.ingest(Box::new(brought)).await });
    let outcome = repository.get_definition(&MetricId::parse("m1")?).await;
    assert!(matches!(&outcome, Err(RepositoryError::Unavailable(_))), "{outcome:?}");
    // The ingestion waits for longer than that, however long it took it to begin.
    let waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                   AND query LIKE 'LOCK TABLE%' AND clock_timestamp() - query_start > interval '300 ms'";
    let watcher = database.connect().await?;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while watcher.query(waiting, &[]).await?.is_empty() {
        assert!(tokio::time::Instant::now() < deadline && !running.is_finished(), "the ingestion does not wait");
        tokio::task::yield_now().await;
    }
    lock.batch_execute("ROLLBACK").await?;
    running.await??;
    repository.get_definition(&MetricId::parse("m1")?).await?;
    Ok(())
}
