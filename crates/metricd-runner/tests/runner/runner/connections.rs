//! The connections that statements run over: how often they are waited for, what they keep, and how they fail.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use metricd_database::DatabaseUrl;
use metricd_execution::{MetricRunner, RunError};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::{TestDatabase, add_built_in_function};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::wire::Wire;
use super::{rows, runner, sqlstate, until_running};

#[tokio::test]
async fn a_prepared_statement_costs_one_round_trip() -> Result<()> {
    let database = TestDatabase::new().await?;
    let (wire, url) = Wire::listen(&database.connect().await?).await?;
    let runner = PgRunner::new(&url, RunnerConfig { max_connections: 1, ..RunnerConfig::default() })?;
    for (sql, expected) in [("SELECT 1 AS a", 1), ("SELECT interval '1 day' AS a", 1)] {
        rows(&runner, sql).await?;
        wire.round_trips();
        rows(&runner, sql).await?;
        assert_eq!(wire.round_trips(), expected, "{sql}");
    }
    Ok(())
}

/// Whether a statement is sent without a transaction around it: it is the last that its session sees.
async fn is_alone(client: &Client, runner: &PgRunner) -> Result<bool> {
    let last = "SELECT state, query FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY query_start DESC NULLS LAST LIMIT 1";
    rows(runner, "SELECT 1 AS alone").await?;
    loop {
        let row = client.query_one(last, &[]).await?;
        if row.get::<_, &str>("state") == "idle" {
            return Ok(row.get::<_, &str>("query").starts_with("SELECT 1 AS alone"));
        }
    }
}

#[tokio::test]
async fn a_statement_is_sent_alone_where_the_reader_can_leave_nothing_behind() -> Result<()> {
    let config = RunnerConfig { max_connections: 1, ..RunnerConfig::default() };
    let open = TestDatabase::unhardened().await?;
    assert!(!is_alone(&open.connect().await?, &PgRunner::new(&open.reader, config.clone())?).await?);

    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let hardened = PgRunner::new(&database.reader, config.clone())?;
    assert!(is_alone(&client, &hardened).await?);
    assert_eq!(sqlstate(&hardened, "SELECT set_config('statement_timeout', '0', false)").await?, "42501");
    client.batch_execute("CREATE TABLE warehouse.t (a integer); GRANT ALL ON warehouse.t TO metricd_reader").await?;
    assert_eq!(sqlstate(&hardened, "WITH w AS (DELETE FROM t RETURNING a) SELECT a FROM w").await?, "25006");
    assert!(is_alone(&client, &hardened).await?);

    // One right that is given back is enough, and so is somebody else's function, which may do what PostgreSQL's no longer do.
    for right in [
        "GRANT EXECUTE ON FUNCTION pg_catalog.lo_get(oid) TO metricd_reader",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.lo_get(oid) FROM metricd_reader;
         CREATE FUNCTION warehouse.f() RETURNS integer LANGUAGE sql VOLATILE AS 'SELECT 1'",
        // A view calls it for those who may not use its schema.
        "DROP FUNCTION warehouse.f; CREATE SCHEMA private;
         CREATE FUNCTION private.f() RETURNS integer LANGUAGE sql VOLATILE AS 'SELECT 1'",
    ] {
        client.batch_execute(right).await?;
        assert!(!is_alone(&client, &PgRunner::new(&database.reader, config.clone())?).await?, "{right}");
    }
    Ok(())
}

#[tokio::test]
async fn a_volatile_function_of_postgresql_that_is_not_known_counts_as_harmful() -> Result<()> {
    let config = RunnerConfig { max_connections: 1, ..RunnerConfig::default() };
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    add_built_in_function(&client, "later(integer) RETURNS void").await?;
    assert!(!is_alone(&client, &PgRunner::new(&database.reader, config.clone())?).await?, "the server is newer");
    client.batch_execute("DROP FUNCTION pg_catalog.later").await?;
    // Extensions may have functions there, too.
    let extension = "CREATE FUNCTION pg_catalog.extended() RETURNS integer LANGUAGE sql VOLATILE AS 'SELECT 1'";
    client.batch_execute(extension).await?;
    assert!(!is_alone(&client, &PgRunner::new(&database.reader, config.clone())?).await?, "{extension}");
    client.batch_execute("REVOKE EXECUTE ON FUNCTION pg_catalog.extended FROM PUBLIC").await?;
    assert!(is_alone(&client, &PgRunner::new(&database.reader, config)?).await?);
    Ok(())
}

#[tokio::test]
async fn locks_of_the_session_do_not_outlive_a_run() -> Result<()> {
    let (database, runner) = runner(1).await?;
    rows(&runner, "SELECT pg_advisory_lock(42)").await?;
    let client = database.connect().await?;
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database =
                 (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(client.query_one(locks, &[]).await?.get::<_, i64>(0), 0);
    Ok(())
}

#[tokio::test]
async fn the_slot_of_a_waiter_that_has_gone_passes_to_the_next() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let client = database.connect().await?;
    let config =
        RunnerConfig { max_connections: 1, acquire_timeout: Duration::from_secs(10), ..RunnerConfig::default() };
    let runner = PgRunner::new(&database.reader, config)?;
    let spawn = |sql: &'static str| {
        let runner = runner.clone();
        tokio::spawn(async move { rows(&runner, sql).await })
    };
    let busy = spawn("SELECT pg_sleep(0.3)");
    until_running(&client, "pg_sleep", 1).await?;
    let given_up = spawn("SELECT 1 AS one");
    tokio::task::yield_now().await;
    let next = spawn("SELECT 2 AS two");
    tokio::task::yield_now().await;
    given_up.abort();
    busy.await??;
    assert_eq!(next.await??, r#"[{"two":2}]"#);
    Ok(())
}

#[tokio::test]
async fn reports_that_the_database_is_unavailable() -> Result<()> {
    let nowhere = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
    let url = DatabaseUrl::parse(format!("postgres://ann:s3cret@127.0.0.1:{nowhere}/m"))?;
    let runner = PgRunner::new(&url, RunnerConfig::default())?;
    for outcome in [rows(&runner, "SELECT 1").await.map(drop), runner.check().await] {
        assert!(matches!(&outcome, Err(RunError::Unavailable(why)) if !why.contains("s3cret")), "{outcome:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_check_finds_the_host_that_answers_behind_one_that_hangs() -> Result<()> {
    let database = TestDatabase::new().await?;
    let (_wire, url) = Wire::listen_at(&database.connect().await?).await?;
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let url = url.replace('@', &format!("@127.0.0.1:{},", silent.local_addr()?.port()));
    let runner = PgRunner::new(&DatabaseUrl::parse(url)?, RunnerConfig::default())?;
    timeout(Duration::from_secs(20), async { while runner.check().await.is_err() {} }).await?;
    Ok(())
}

#[tokio::test]
async fn checks_the_target_session_attrs_of_the_url() -> Result<()> {
    let database = TestDatabase::new().await?;
    let (_wire, url) = Wire::listen_at(&database.connect().await?).await?;
    for (target, is_served) in [
        ("any", true),
        ("read-write", true),
        ("primary", true),
        ("prefer-standby", true),
        ("read-only", false),
        ("standby", false),
    ] {
        let url = DatabaseUrl::parse(format!("{url}?target_session_attrs={target}"))?;
        let outcome = rows(&PgRunner::new(&url, RunnerConfig::default())?, "SELECT 1 AS one").await;
        match outcome {
            Err(RunError::Unavailable(why)) if !is_served => assert!(why.contains("target_session_attrs"), "{why}"),
            outcome => assert_eq!(outcome.is_ok(), is_served, "{target}: {outcome:?}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_statement_that_was_running_is_not_run_again() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let client = database.connect().await?;
    let (wire, url) = Wire::listen(&client).await?;
    let runner = PgRunner::new(&url, RunnerConfig { max_connections: 4, ..RunnerConfig::default() })?;
    let task = tokio::spawn(async move { rows(&runner, "SELECT pg_sleep(4)").await });
    // As a statement does that is the end of its process each time.
    while !task.is_finished() {
        let running = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep%' AND state = 'active'
                       AND clock_timestamp() - query_start > '1s'";
        if !client.query(running, &[]).await?.is_empty() {
            wire.cut.notify_waiters();
        }
    }
    let outcome = task.await?;
    assert!(matches!(outcome, Err(RunError::Unavailable(_))), "{outcome:?}");
    assert_eq!(wire.opened.load(Ordering::SeqCst), 1);
    Ok(())
}

#[tokio::test]
async fn reports_that_no_connection_is_free() -> Result<()> {
    let (database, runner) = runner(1).await?;
    let busy = runner.clone();
    let task = tokio::spawn(async move { rows(&busy, "SELECT pg_sleep(4)").await });
    until_running(&database.connect().await?, "pg_sleep", 1).await?;
    let outcome = rows(&runner, "SELECT 1").await;
    assert!(matches!(outcome, Err(RunError::NoConnection { .. })), "{outcome:?}");
    task.abort();
    Ok(())
}

/// As when another metricd uses the same database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_with_the_connections_that_postgresql_lets_in() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let (wire, url) = Wire::listen(&client).await?;
    let role = format!(
        "ALTER ROLE wired_{} CONNECTION LIMIT",
        client.query_one("SELECT current_database()::text", &[]).await?.get::<_, &str>(0)
    );
    client.batch_execute(&format!("{role} 2")).await?;
    let config =
        RunnerConfig { max_connections: 8, acquire_timeout: Duration::from_secs(20), ..RunnerConfig::default() };
    let runner = PgRunner::new(&url, config.clone())?;
    let mut runs = tokio::task::JoinSet::new();
    for number in 0..500 {
        let runner = runner.clone();
        runs.spawn(async move { (number, rows(&runner, &format!("SELECT {number} AS n")).await) });
    }
    while let Some(ended) = runs.join_next().await {
        let (number, rows) = ended?;
        assert_eq!(rows?, format!(r#"[{{"n":{number}}}]"#));
    }
    // The first ones try together; from then on one does now and then.
    let opened = wire.opened.load(Ordering::SeqCst);
    assert!(opened < 50, "{opened}");

    // Where nobody is let in there is nothing to wait for. A runner that has connections is ready all the same.
    client.batch_execute(&format!("{role} 0")).await?;
    runner.check().await?;
    let began = tokio::time::Instant::now();
    let refused = PgRunner::new(&url, config.clone())?;
    assert!(matches!(refused.check().await, Err(RunError::Unavailable(_))));
    let outcome = rows(&refused, "SELECT 1").await;
    assert!(matches!(outcome, Err(RunError::NoConnection { .. })), "{outcome:?}");
    assert!(began.elapsed() < config.acquire_timeout);
    Ok(())
}

/// The client leaves at any moment of a run: while it prepares, asks what it costs, runs, or is stopped.
#[tokio::test]
async fn whenever_a_run_is_given_up_the_connection_serves_the_next() -> Result<()> {
    let (database, runner) = runner(1).await?;
    let client = database.connect().await?;
    for microseconds in (0..20_000).step_by(400) {
        let sql = format!("SELECT set_config('search_path', 'elsewhere', false), {microseconds} AS n, pg_sleep(0.005)");
        let run = rows(&runner, &sql);
        drop(tokio::time::timeout(Duration::from_micros(microseconds), run).await);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        let found = loop {
            match rows(
                &runner,
                "SELECT current_setting('search_path') AS s, current_setting('transaction_read_only') AS r",
            )
            .await
            {
                Err(RunError::NoConnection { .. }) if tokio::time::Instant::now() < deadline => {}
                found => break found?,
            }
        };
        assert_eq!(found, r#"[{"s":"\"warehouse\"","r":"on"}]"#, "{microseconds} µs");
    }
    let opened = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename <> current_user";
    assert_eq!(client.query_one(opened, &[]).await?.get::<_, i64>(0), 1);
    Ok(())
}

#[tokio::test]
async fn recovers_when_the_database_closes_every_connection() -> Result<()> {
    let (database, runner) = runner(2).await?;
    rows(&runner, "SELECT 1").await?;
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.connect().await?.batch_execute(others).await?;
    assert_eq!(rows(&runner, "SELECT 1 AS one").await?, r#"[{"one":1}]"#);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_share_few_connections() -> Result<()> {
    let database = TestDatabase::new().await?;
    let config =
        RunnerConfig { max_connections: 4, acquire_timeout: Duration::from_secs(20), ..RunnerConfig::default() };
    let runner = PgRunner::new(&database.reader, config)?;
    let mut runs = tokio::task::JoinSet::new();
    for number in 0..1_000 {
        let runner = runner.clone();
        runs.spawn(async move { (number, rows(&runner, &format!("SELECT {} AS n", number % 300)).await) });
    }
    while let Some(ended) = runs.join_next().await {
        let (number, rows) = ended?;
        assert_eq!(rows?, format!(r#"[{{"n":{}}}]"#, number % 300));
    }
    Ok(())
}
