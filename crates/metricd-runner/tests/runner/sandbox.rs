//! The walls behind the guard: what stored SQL cannot do although nobody has looked at it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use metricd_database::harm_classes;
use metricd_domain::{RowLimit, SqlText};
use metricd_execution::{BoundStatement, JsonRows, MetricRunner, Permit, RunError, RunLimits, Statement};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use tokio_postgres::error::SqlState;

/// What must not be possible on a hardened database, by the class of harm. Those of the hardening are all among them.
const HARM: &[(&str, &[&str])] = &[
    (
        "write",
        &[
            "WITH gone AS (DELETE FROM metrics RETURNING 1) SELECT * FROM gone",
            "WITH kept AS (INSERT INTO metrics (id, date) VALUES ('q1', '2025-06-01') RETURNING 1) SELECT * FROM kept",
            "WITH changed AS (UPDATE metrics SET id = 'q2' RETURNING 1) SELECT * FROM changed",
            "SELECT * FROM metrics FOR UPDATE",
            "SELECT * FROM metrics FOR KEY SHARE",
            "SELECT nextval('tickets')",
            "SELECT setval('tickets', 7)",
            "SELECT wipe()",
        ],
    ),
    (
        "create",
        &["SELECT 1 AS a INTO warehouse.mine", "SELECT pg_create_restore_point('here')", "SELECT pg_switch_wal()"],
    ),
    ("temporary", &["SELECT 1 AS a INTO TEMPORARY mine"]),
    (
        "catalog",
        &[
            "SELECT * FROM catalog.queries",
            "SELECT * FROM catalog.taken_rights",
            "SELECT catalog.keep_query_version()",
            "TABLE catalog.ingestions",
        ],
    ),
    (
        "files",
        &[
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT pg_read_binary_file('/etc/passwd')",
            "SELECT pg_ls_dir('/')",
            "SELECT pg_ls_logdir()",
            "SELECT pg_stat_file('/etc/passwd')",
            "SELECT lo_import('/etc/passwd')",
            "SELECT lo_export(1, '/tmp/out')",
            "SELECT pg_current_logfile()",
            "SELECT * FROM pg_hba_file_rules",
            "SELECT * FROM pg_file_settings",
        ],
    ),
    ("secrets", &["SELECT * FROM pg_authid", "SELECT * FROM pg_user_mapping", "SELECT * FROM pg_statistic"]),
    (
        "advisory-locks",
        &[
            "SELECT pg_advisory_lock(1)",
            "SELECT pg_try_advisory_lock_shared(1, 2)",
            "SELECT pg_advisory_xact_lock(1)",
            "SELECT id FROM metrics WHERE pg_try_advisory_xact_lock(1)",
        ],
    ),
    (
        "settings",
        &[
            "SELECT set_config('statement_timeout', '0', false)",
            "SELECT * FROM set_config('transaction_read_only', 'off', true)",
            "SELECT setseed(0.5)",
            "SELECT 1 ORDER BY \"set_config\"('search_path', 'catalog', false)",
        ],
    ),
    (
        "large-objects",
        &[
            "SELECT lo_create(4711)",
            "SELECT lo_from_bytea(0, 'x')",
            "SELECT lo_get(4711)",
            "SELECT lo_open(4711, 131072)",
        ],
    ),
    (
        "messages",
        &["SELECT pg_notify('everybody', 'hello')", "SELECT pg_logical_emit_message(false, 'metricd', 'hello')"],
    ),
    ("transactions", &["SELECT pg_current_xact_id()", "SELECT txid_current()", "SELECT pg_export_snapshot()"]),
    (
        "sessions",
        &[
            "SELECT pg_cancel_backend(pg_backend_pid() + 1)",
            "SELECT pg_terminate_backend(1)",
            "SELECT pg_reload_conf()",
            "SELECT pg_sleep(60)",
            "SELECT pg_sleep_for('60 s')",
        ],
    ),
    (
        "sql-in-text",
        &[
            "SELECT query_to_xml('SELECT * FROM catalog.queries', true, true, '')",
            "SELECT table_to_xml('metrics', true, true, '')",
            "SELECT schema_to_xml('catalog', true, true, '')",
            "SELECT * FROM ts_stat('SELECT ''a''::tsvector')",
            "SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, ''b''::tsquery')",
        ],
    ),
    (
        "activity",
        &[
            "SELECT * FROM pg_stat_activity",
            "SELECT * FROM pg_stat_get_activity(NULL)",
            "SELECT pg_stat_get_backend_activity(1)",
            "SELECT * FROM pg_stat_replication",
            "SELECT * FROM pg_stat_progress_copy",
            "SELECT * FROM pg_locks",
            "SELECT * FROM pg_prepared_statements",
            "SELECT * FROM pg_prepared_xacts",
            "SELECT * FROM pg_cursors",
        ],
    ),
];

/// A database with what the statements above name, so that they do not fail for want of it.
async fn hardened() -> Result<TestDatabase> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    client.batch_execute("CREATE SEQUENCE warehouse.tickets; SELECT lo_create(4711)").await?;
    let named = "CREATE FUNCTION warehouse.wipe() RETURNS void LANGUAGE sql AS 'DELETE FROM warehouse.metrics'";
    client.batch_execute(named).await?;
    Ok(database)
}

async fn run(runner: &PgRunner, sql: &str, limits: RunLimits) -> Result<String, RunError> {
    let malformed = |error: &dyn std::fmt::Display| RunError::Unavailable(format!("a test is wrong: {error}"));
    let sql = SqlText::parse(sql).map_err(|error| malformed(&error))?;
    let statement = BoundStatement::without_arguments(&Statement::parse(&sql).map_err(|error| malformed(&error))?);
    let mut rows = JsonRows::default();
    runner.run(&statement, None, limits, Permit::default(), &mut rows).await?;
    Ok(String::from_utf8_lossy(&rows.finish()).into_owned())
}

#[test]
fn every_class_that_hardening_closes_is_tried() {
    for class in harm_classes() {
        assert!(HARM.iter().any(|(name, _)| *name == class.name), "{}", class.name);
    }
}

#[tokio::test]
async fn a_statement_that_was_not_validated_does_no_harm() -> Result<()> {
    let database = hardened().await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig { max_connections: 1, ..RunnerConfig::default() })?;
    for (class, statements) in HARM {
        for sql in *statements {
            match run(&runner, sql, RunLimits::default()).await {
                // The right is missing, or the transaction is read-only.
                Err(RunError::Failed { sqlstate, .. }) if ["42501", "25006"].contains(&sqlstate.as_str()) => {}
                other => bail!("{class}: {sql}: {other:?}"),
            }
        }
    }
    Ok(())
}

/// The rights hold by themselves: without the runner, and without a transaction that is read-only.
#[tokio::test]
async fn the_reader_has_no_right_to_do_harm() -> Result<()> {
    let database = hardened().await?;
    let client = database.connect_as_reader().await?;
    client.batch_execute("SET default_transaction_read_only = off").await?;
    for (class, statements) in HARM {
        for sql in *statements {
            let error = client.batch_execute(sql).await.err().with_context(|| format!("{class}: {sql}"))?;
            assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{class}: {sql}: {error:?}");
        }
    }
    Ok(())
}

/// What a statement may leave behind on a database that is not hardened, if nobody cleans up.
const TRACES: &[(&str, u64)] = &[
    ("SELECT set_config('statement_timeout', '0', false), set_config('search_path', 'catalog', false)", 1_000),
    (
        "SELECT set_config('default_transaction_read_only', 'off', false), set_config('timezone', 'Asia/Tokyo', false)",
        1_000,
    ),
    ("SELECT set_config('metricd.mark', 'set', false)", 1_000),
    ("SELECT pg_advisory_lock(1), pg_advisory_lock(1), pg_advisory_lock_shared(2, 3)", 1_000),
    ("SELECT pg_advisory_lock(n) FROM generate_series(1, 50) AS n", 1_000),
    ("SELECT pg_try_advisory_lock(1), interval '1 day' AS cast_to_text", 1_000),
    // Failing half way, cut after the first rows, and stopped for its time.
    ("SELECT pg_advisory_lock(4), 1 / (3 - n) FROM generate_series(1, 5) AS n", 1_000),
    ("SELECT pg_advisory_lock(5), generate_series(1, 1000000)", 1_000),
    ("SELECT pg_advisory_lock(6), pg_sleep(20)", 50),
    ("SELECT lo_create(815), lo_from_bytea(816, 'x'), lo_open(815, 131072)", 1_000),
    ("SELECT pg_notify('everybody', 'hello')", 1_000),
    ("SELECT query_to_xml('SELECT pg_advisory_lock(7)', true, true, '')", 1_000),
    ("SELECT 1 AS a INTO TEMPORARY mine", 1_000),
    ("SELECT pg_export_snapshot()", 1_000),
];

/// A setting that was made up stays known to the session, without a value: PostgreSQL never forgets its name.
const STATE: &str = "
    SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') AS locks,
        (SELECT count(*) FROM pg_largeobject_metadata) AS large_objects,
        (SELECT count(*) FROM pg_prepared_statements WHERE from_sql) AS prepared,
        (SELECT json_object_agg(name, setting ORDER BY name) FROM pg_settings WHERE source = 'session') AS set,
        coalesce(current_setting('metricd.mark', true), '') AS mark, current_setting('statement_timeout') AS timeout,
        current_setting('search_path') AS path, current_setting('transaction_read_only') AS read_only,
        current_setting('timezone') AS zone, pg_my_temp_schema()::text AS temporary, current_user::text AS who";

#[tokio::test]
async fn a_connection_comes_back_clean_where_nothing_is_hardened() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let runner = PgRunner::new(
        &database.reader,
        RunnerConfig { max_connections: 1, acquire_timeout: Duration::from_secs(10), ..RunnerConfig::default() },
    )?;
    let before = run(&runner, STATE, RunLimits::default()).await?;
    assert!(before.contains(r#""locks":0,"large_objects":0,"prepared":0"#), "{before}");
    let session = run(&runner, "SELECT pg_backend_pid() AS pid", RunLimits::default()).await?;
    for (sql, milliseconds) in TRACES {
        let limits = RunLimits {
            rows: RowLimit::parse("2")?,
            time: Duration::from_millis(*milliseconds),
            ..RunLimits::default()
        };
        // Whether it goes well is its own business.
        let outcome = run(&runner, sql, limits).await;
        assert!(!matches!(outcome, Err(RunError::Unavailable(_))), "{sql}: {outcome:?}");
        assert_eq!(run(&runner, STATE, RunLimits::default()).await?, before, "{sql}: {outcome:?}");
    }
    let after = run(&runner, "SELECT pg_backend_pid() AS pid", RunLimits::default()).await?;
    assert_eq!(after, session, "all of it went over one connection");
    Ok(())
}

/// PostgreSQL hides it from roles that are no superusers, hardened or not.
#[tokio::test]
async fn what_other_roles_run_is_not_seen_where_nothing_is_hardened() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let owner = database.connect().await?;
    owner.batch_execute("SELECT 'of the owner'").await?;
    let seen = "SELECT count(*) AS sessions, count(*) FILTER (WHERE query LIKE '%of the ' || 'owner%') AS seen
                FROM pg_stat_activity WHERE datname = current_database() AND usename <> current_user";
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    assert_eq!(run(&runner, seen, RunLimits::default()).await?, r#"[{"sessions":1,"seen":0}]"#);
    let as_owner = seen.replace("<>", "=");
    assert_eq!(owner.query_one(&as_owner, &[]).await?.get::<_, i64>("sessions"), 1);
    Ok(())
}

/// Without hardening a statement can lift the limit of the next one in its transaction, of which there is none.
#[tokio::test]
async fn a_statement_cannot_lift_its_own_time_limit() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let sql = "SELECT count(*) FROM (SELECT generate_series(1, 1000000000000)) AS endless, \
               (SELECT set_config('statement_timeout', '0', false)) AS lifted";
    let limits = RunLimits { time: Duration::from_secs(60), cost: u64::MAX, ..RunLimits::default() };
    let began = std::time::Instant::now();
    let outcome = run(&runner, sql, limits).await;
    assert!(matches!(outcome, Err(RunError::TimedOut { .. })), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(30), "it was the role's own limit of 5 s");
    Ok(())
}
