//! Ingestions against the real database: what the port's promises do not cover.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use anyhow::Result;
use metricd_connection::LatestTimeline;
use metricd_domain::{Actor, Breakpoint, ChangeSource, Contract, MetricDefinition, MetricId, SqlText};
use metricd_postgres::{PgRepository, RepositoryConfig};
use metricd_repository::contract::{TestIngestion, dashboard, equal_rows, layout_entry, metric, query};
use metricd_repository::{
    DefinitionFilter, Definitions, MetricChange, MetricContent, MetricRepository, RepositoryError,
};
use metricd_runner::{DefinitionEvent, watch_definitions};
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
        "catalog.tables",
        "catalog.table_versions",
        "catalog.table_loads",
        "warehouse.equal_rows",
    ] {
        let exists: bool = client.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&table]).await?.get(0);
        if !exists {
            writeln!(state, "{table}: none")?;
            continue;
        }
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

    // The rows are stored after the definitions, which wait for the lock.
    let (mut brought, _told) = TestIngestion::committing(definitions());
    brought.set_tables(vec![equal_rows(50_000)]);
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
    let (mut brought, _told) = TestIngestion::committing(definitions());
    brought.set_tables(vec![equal_rows(3)]);
    repository.ingest(Box::new(brought)).await?;
    let before = state(&database).await?;
    let (mut brought, _told) = TestIngestion::committing(definitions());
    brought.set_tables(vec![equal_rows(3)]);
    repository.ingest(Box::new(brought)).await?;
    // The rows hold when they were last changed, so that a rewritten one would show.
    assert_eq!(state(&database).await?, before);
    Ok(())
}

#[tokio::test]
async fn recovers_when_the_database_closes_every_connection() -> Result<()> {
    let database = TestDatabase::new().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let (brought, _told) = TestIngestion::committing(definitions());
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
    let (brought, _told) = TestIngestion::committing(definitions());
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

    let nowhere = metricd_database::DatabaseUrl::parse("postgres://ann:s3cret@127.0.0.1:1/none".to_owned())?;
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
    let (brought, _told) = TestIngestion::committing(definitions());
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

/// What the metric `m1` would be stored as over HTTP, with this SQL.
async fn edit(repository: &PgRepository, sql: Option<&str>) -> Result<MetricDefinition> {
    let id = MetricId::parse("m1")?;
    let before = repository.get_definition(&id).await?;
    let mut content = MetricContent::of(&before, Contract::default());
    content.sql = sql.map_or(Ok(content.sql), SqlText::parse)?;
    let change = MetricChange::Content(Box::new(content));
    Ok(repository.change_metric(&id, before.version, change, Actor::by(ChangeSource::Http)).await?)
}

/// A contract that this release cannot read counts as none: the metric is served, and the next ingestion validates it.
#[tokio::test]
async fn a_contract_that_cannot_be_read_is_none() -> Result<()> {
    let database = TestDatabase::new().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let id = MetricId::parse("m1")?;
    let mut definitions = definitions();
    definitions.contracts = BTreeMap::from([(id.clone(), Contract::default())]);
    let ingest = async || {
        let (brought, told) = TestIngestion::committing(definitions.clone());
        repository.ingest(Box::new(brought)).await?;
        anyhow::Ok(told.recv()?.0.metrics[&id].contract.clone())
    };
    let (brought, _told) = TestIngestion::committing(definitions.clone());
    repository.ingest(Box::new(brought)).await?;
    let client = database.connect().await?;
    let column = r#"{"name": "day", "type": "date"}"#;
    for unreadable in [
        "{}".to_owned(),
        r#"{"columns": [], "parameters": [], "tables": [], "period": {"applied": "by a later release"}}"#.to_owned(),
        format!(
            r#"{{"columns": [{column}, {column}], "parameters": [], "tables": [],
                 "period": {{"applied": "unsupported", "reason": "none"}}}}"#
        ),
    ] {
        client.execute("UPDATE catalog.metrics SET contract = $1::text::jsonb", &[&unreadable]).await?;
        assert_eq!(repository.get_definition(&id).await?.contract, None, "{unreadable}");
        let listed = repository.list_definitions(&DefinitionFilter::default(), None, 10).await?;
        assert!(listed.iter().all(|definition| definition.contract.is_none()), "{unreadable}");
        assert_eq!(ingest().await?, None, "{unreadable}: the ingestion validates it");
        assert_eq!(repository.get_definition(&id).await?.contract, Some(Contract::default()), "{unreadable}");
    }
    Ok(())
}

#[tokio::test]
async fn servers_are_told_of_changes_alone() -> Result<()> {
    let database = TestDatabase::new().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let mut definitions = definitions();
    definitions.contracts = BTreeMap::from([(MetricId::parse("m1")?, Contract::default())]);
    let ingest = async || {
        let (brought, _told) = TestIngestion::committing(definitions.clone());
        repository.ingest(Box::new(brought)).await
    };
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let owner = database.owner.clone();
    let watch = tokio::spawn(async move {
        watch_definitions(&owner, &LatestTimeline::default(), |event| _ = sender.send(event)).await
    });
    assert_eq!(events.recv().await, Some(DefinitionEvent::Watching));
    ingest().await?;
    assert_eq!(events.recv().await, Some(DefinitionEvent::Changed));
    edit(&repository, Some("SELECT 2")).await?;
    assert_eq!(events.recv().await, Some(DefinitionEvent::Changed));
    edit(&repository, Some("SELECT 1")).await?;
    assert_eq!(events.recv().await, Some(DefinitionEvent::Changed));
    // Files repeat the edit, which ends it, and after that nothing is left to change.
    ingest().await?;
    assert_eq!(events.recv().await, Some(DefinitionEvent::Changed));
    ingest().await?;
    edit(&repository, None).await?;
    database.connect().await?.batch_execute("NOTIFY metricd_definitions").await?;
    assert_eq!(events.recv().await, Some(DefinitionEvent::Changed));
    let more = tokio::time::timeout(Duration::from_millis(300), events.recv()).await;
    assert!(more.is_err(), "what changes nothing has told servers that it does: {more:?}");
    watch.abort();
    Ok(())
}

#[tokio::test]
async fn what_is_unchanged_may_be_edited_while_rows_are_stored() -> Result<()> {
    let database = TestDatabase::new().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let (mut brought, _told) = TestIngestion::committing(definitions());
    brought.set_tables(vec![equal_rows(1)]);
    repository.ingest(Box::new(brought)).await?;
    let mut others = definitions();
    others.queries.push(query("q2", "SELECT 2"));
    let (mut brought, _told) = TestIngestion::committing(others);
    brought.set_tables(vec![equal_rows(2)]);
    let lock = database.connect().await?;
    lock.batch_execute("BEGIN; LOCK TABLE warehouse.equal_rows IN SHARE MODE").await?;
    let busy = repository.clone();
    let running = tokio::spawn(async move { busy.ingest(Box::new(brought)).await });
    let watcher = database.connect().await?;
    let waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while watcher.query(waiting, &[]).await?.is_empty() {
        assert!(!running.is_finished(), "the ingestion does not wait");
        tokio::task::yield_now().await;
    }
    edit(&repository, Some("SELECT 'edited'")).await?;
    lock.batch_execute("ROLLBACK").await?;
    running.await??;
    assert_eq!(repository.get_definition(&MetricId::parse("m1")?).await?.sql.as_str(), "SELECT 'edited'");
    Ok(())
}

#[tokio::test]
async fn what_somebody_else_is_about_to_store_is_validated_again() -> Result<()> {
    let database = TestDatabase::new().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let (brought, told) = TestIngestion::committing(definitions());
    let other = database.connect().await?;
    other.batch_execute("BEGIN; INSERT INTO catalog.queries (query_id, sql) VALUES ('q1', 'SELECT 9')").await?;
    let running = tokio::spawn(async move { repository.ingest(Box::new(brought)).await });
    let watcher = database.connect().await?;
    let waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while watcher.query(waiting, &[]).await?.is_empty() {
        assert!(!running.is_finished(), "the ingestion does not wait");
        tokio::task::yield_now().await;
    }
    other.batch_execute("COMMIT").await?;
    running.await??;
    let (known, changes) = told.recv()?;
    let stored = known.queries.into_values().next();
    assert!(stored.is_some_and(|query| query.sql.as_str() == "SELECT 9" && query.edit.is_some()));
    assert_eq!((changes.queries.added, changes.queries.changed), (0, 1));
    Ok(())
}

/// A table that was dropped by hand is made again, and can be deleted.
#[tokio::test]
async fn a_table_that_was_dropped_by_hand_is_made_again() -> Result<()> {
    let database = TestDatabase::new().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let client = database.connect().await?;
    let ingest = async || {
        let (mut brought, observed) = TestIngestion::committing(Definitions::default());
        brought.set_tables(vec![equal_rows(3)]);
        repository.ingest(Box::new(brought)).await?;
        Ok::<_, anyhow::Error>(observed.recv()?)
    };
    ingest().await?;
    client.batch_execute("DROP TABLE warehouse.equal_rows").await?;
    let (existing, changes) = ingest().await?;
    assert!(existing.tables.is_empty(), "{existing:?}");
    let [changes] = changes.tables.values().collect::<Vec<_>>()[..] else { panic!("{changes:?}") };
    assert_eq!((changes.is_new, changes.rows.added), (true, 3));
    client.batch_execute("DROP TABLE warehouse.equal_rows").await?;
    let actor = Actor::by(ChangeSource::Http);
    repository.delete_table(equal_rows(1).table.name(), actor).await?;
    assert_eq!(repository.list_tables().await?, []);
    Ok(())
}

/// The table of records of an earlier release becomes one of those that files make, with its rows.
#[tokio::test]
async fn records_of_an_earlier_release_are_kept_as_a_table() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let adopt = include_str!("../../../../migrations/2026-11-30-000015_make_records_a_table/up.sql");
    let records = include_str!("../../../../migrations/2026-11-30-000015_make_records_a_table/down.sql");
    client.batch_execute(&format!("DROP TABLE warehouse.metrics; {records}; {adopt}")).await?;
    let exists = "SELECT to_regclass('warehouse.metrics') IS NOT NULL";
    assert!(!client.query_one(exists, &[]).await?.get::<_, bool>(0), "without rows it is removed");
    let row = "INSERT INTO warehouse.metrics (id, date, obsolescence) VALUES ('q1', '2025-06-01', 12.50)";
    client.batch_execute(&format!("{records}; {row}; {adopt}")).await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let tables = repository.list_tables().await?;
    let [stored] = tables.as_slice() else { panic!("{tables:?}") };
    assert_eq!((stored.table.name().as_str(), stored.table.columns().len()), ("metrics", 7));
    let kept = client.query_one("SELECT obsolescence::text FROM warehouse.metrics", &[]).await?.get::<_, String>(0);
    assert_eq!(kept, "12.50");
    Ok(())
}
