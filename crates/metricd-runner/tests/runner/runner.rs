//! Running stored SQL against the real database.

mod batcher;
mod changing;
mod connections;
mod foreign_tables;
mod locks;
mod sending;
mod snapshot_batch;
mod timing;
mod unstoppable;
mod wire;

use std::time::Duration;

use anyhow::{Result, bail};
use metricd_domain::{RowLimit, SqlText};
use metricd_execution::{BoundStatement, JsonRows, MetricRunner, Permit, RunError, RunLimits, RunOutcome, Statement};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use tokio_postgres::Client;

/// On a database where nothing but the runner itself keeps order.
async fn runner(max_connections: usize) -> Result<(TestDatabase, PgRunner)> {
    let database = TestDatabase::unhardened().await?;
    let config =
        RunnerConfig { max_connections, acquire_timeout: Duration::from_millis(200), ..RunnerConfig::default() };
    let runner = PgRunner::new(&database.reader, config)?;
    Ok((database, runner))
}

async fn run(runner: &PgRunner, sql: &str, limits: RunLimits) -> Result<(RunOutcome, String), RunError> {
    let malformed = |error: &dyn std::fmt::Display| RunError::Unavailable(format!("a test is wrong: {error}"));
    let sql = SqlText::parse(sql).map_err(|error| malformed(&error))?;
    let statement = BoundStatement::without_arguments(&Statement::parse(&sql).map_err(|error| malformed(&error))?);
    let mut rows = JsonRows::default();
    let outcome = runner.run(&statement, None, limits, Permit::default(), &mut rows).await?;
    Ok((outcome, String::from_utf8_lossy(&rows.finish()).into_owned()))
}

async fn rows(runner: &PgRunner, sql: &str) -> Result<String, RunError> {
    run(runner, sql, RunLimits::default()).await.map(|(_, rows)| rows)
}

async fn sqlstate(runner: &PgRunner, sql: &str) -> Result<String> {
    match rows(runner, sql).await {
        Err(RunError::Failed { sqlstate, .. }) => Ok(sqlstate),
        other => bail!("{sql}: {other:?}"),
    }
}

/// Waits until as many statements with this word in them run as that.
async fn until_running(client: &Client, word: &str, count: i64) -> Result<()> {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid() AND query LIKE $1";
    let pattern = format!("%{word}%");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while client.query_one(sql, &[&pattern]).await?.get::<_, i64>(0) != count {
        if tokio::time::Instant::now() > deadline {
            bail!("not {count} statements with `{word}`");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_result_is_cut_after_the_limit_and_says_so() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    let sql = "SELECT n FROM generate_series(1, 3) AS n";
    for (limit, expected, truncated) in [
        ("2", r#"[{"n":1},{"n":2}]"#, true),
        ("3", r#"[{"n":1},{"n":2},{"n":3}]"#, false),
        ("4", r#"[{"n":1},{"n":2},{"n":3}]"#, false),
    ] {
        let limits = RunLimits { rows: RowLimit::parse(limit)?, ..RunLimits::default() };
        let (outcome, rows) = run(&runner, sql, limits).await?;
        assert_eq!((rows.as_str(), outcome.truncated), (expected, truncated), "{limit}");
        assert_eq!(outcome.row_count, rows.matches('{').count());
    }
    Ok(())
}

#[tokio::test]
async fn a_result_is_cut_at_a_whole_row_before_its_bytes_go_past_the_limit() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    let limits = RunLimits { size_bytes: 30, ..RunLimits::default() };
    let (outcome, rows) = run(&runner, "SELECT repeat('x', 10) AS t FROM generate_series(1, 100)", limits).await?;
    assert_eq!(rows, r#"[{"t":"xxxxxxxxxx"}]"#);
    assert_eq!(outcome, RunOutcome { row_count: 1, truncated: true });
    Ok(())
}

#[tokio::test]
async fn a_row_that_is_far_too_large_is_cut_and_the_runner_goes_on() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    for sql in
        ["SELECT repeat('x', 20000000) AS t", "SELECT array_agg(repeat('x', 1000)) FROM generate_series(1, 150000)"]
    {
        let (outcome, found) = run(&runner, sql, RunLimits::default()).await?;
        assert_eq!((outcome, found.as_str()), (RunOutcome { row_count: 0, truncated: true }, "[]"), "{sql}");
        assert_eq!(rows(&runner, "SELECT 1 AS one").await?, r#"[{"one":1}]"#);
    }
    Ok(())
}

/// Arrays of numbers are the values that take the most bytes on the wire for those that they are printed in.
#[tokio::test]
async fn a_row_is_measured_as_it_is_printed() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    let columns: Vec<_> = (0..1_600).map(|number| format!("1::bigint AS c{number}")).collect();
    for sql in [
        "SELECT array_agg(1::bigint) AS a FROM generate_series(1, 100000)",
        "SELECT array_agg(1::numeric) AS a FROM generate_series(1, 100000)",
        "SELECT array_agg(ARRAY[n % 10, 1]) AS a FROM generate_series(1, 100000) AS n",
        &format!("SELECT {}", columns.join(", ")),
    ] {
        let json = rows(&runner, sql).await?;
        let exactly = RunLimits { size_bytes: json.len(), ..RunLimits::default() };
        let (outcome, found) = run(&runner, sql, exactly).await?;
        assert_eq!(outcome, RunOutcome { row_count: 1, truncated: false }, "{}", sql.get(..60).unwrap_or(sql));
        assert_eq!(found.len(), json.len());
    }
    Ok(())
}

#[tokio::test]
async fn an_endless_result_costs_what_is_read_of_it() -> Result<()> {
    let (database, runner) = runner(1).await?;
    // Rows that are made as they are read; as a table function all of them would be made first.
    let sql = "SELECT generate_series(1, 1000000000000) AS n";
    for _ in 0..20 {
        let limits = RunLimits { cost: u64::MAX, ..RunLimits::default() };
        let (outcome, _) = run(&runner, sql, limits).await?;
        assert_eq!(outcome, RunOutcome { row_count: 1_000, truncated: true });
    }
    until_running(&database.connect().await?, "1000000000000", 0).await?;
    assert_eq!(rows(&runner, "SELECT 1 AS one").await?, r#"[{"one":1}]"#);
    Ok(())
}

#[tokio::test]
async fn past_its_time_a_statement_is_stopped_in_the_database() -> Result<()> {
    let (database, runner) = runner(1).await?;
    let client = database.connect().await?;
    let limits = RunLimits { time: Duration::from_millis(50), ..RunLimits::default() };
    let outcome = run(&runner, "SELECT pg_sleep(4)", limits).await;
    assert!(matches!(outcome, Err(RunError::TimedOut { limit }) if limit == limits.time), "{outcome:?}");
    until_running(&client, "pg_sleep", 0).await?;
    assert_eq!(rows(&runner, "SELECT 1 AS one").await?, r#"[{"one":1}]"#);
    Ok(())
}

#[tokio::test]
async fn a_dropped_run_is_stopped_in_the_database() -> Result<()> {
    let (database, runner) = runner(1).await?;
    let client = database.connect().await?;
    let waiting = runner.clone();
    let task = tokio::spawn(async move { rows(&waiting, "SELECT pg_sleep(4)").await });
    until_running(&client, "pg_sleep", 1).await?;
    task.abort();
    until_running(&client, "pg_sleep", 0).await?;
    // The only connection is back, and clean.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    let answer = loop {
        match rows(&runner, "SELECT 1 AS one").await {
            Err(RunError::NoConnection { .. }) if tokio::time::Instant::now() < deadline => {}
            answer => break answer?,
        }
    };
    assert_eq!(answer, r#"[{"one":1}]"#);
    Ok(())
}

#[tokio::test]
async fn what_a_statement_sets_is_gone_in_the_next_run() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    let settings = "SELECT current_setting('statement_timeout') AS t, current_setting('search_path') AS s,
                    current_setting('transaction_read_only') AS r";
    let before = rows(&runner, settings).await?;
    assert_eq!(before, r#"[{"t":"5s","s":"\"warehouse\"","r":"on"}]"#);
    rows(&runner, "SELECT set_config('statement_timeout', '0', false), set_config('search_path', 'public', false)")
        .await?;
    assert_eq!(rows(&runner, settings).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_statement_that_is_wrong_fails_and_the_connection_goes_on() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    assert_eq!(sqlstate(&runner, "SELECT 1 FRM x").await?, "42601");
    assert_eq!(sqlstate(&runner, "SELECT * FROM nowhere").await?, "42P01");
    assert_eq!(sqlstate(&runner, "SELECT 1 LIMIT (SELECT 1, 2)").await?, "42601");
    assert_eq!(sqlstate(&runner, "SELECT 1 / (3 - n) FROM generate_series(1, 1000) AS n").await?, "22012");
    assert_eq!(rows(&runner, "SELECT 1 AS one").await?, r#"[{"one":1}]"#);
    Ok(())
}

#[tokio::test]
async fn a_second_statement_is_refused_by_the_protocol_too() -> Result<()> {
    let client = TestDatabase::new().await?.connect().await?;
    let error = client.query("SELECT 1; SELECT 2", &[]).await.unwrap_err();
    assert_eq!(error.code().map(|code| code.code().to_owned()).as_deref(), Some("42601"));
    Ok(())
}

#[tokio::test]
async fn no_rows_and_no_columns_are_results_too() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    assert_eq!(rows(&runner, "SELECT id FROM metrics").await?, "[]");
    assert_eq!(rows(&runner, "SELECT FROM generate_series(1, 2)").await?, "[{},{}]");
    Ok(())
}

#[tokio::test]
async fn columns_of_one_name_stay_apart() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    assert_eq!(rows(&runner, "SELECT 1 AS a, interval '1 day' AS a").await?, r#"[{"a":1,"a":"1 day"}]"#);
    Ok(())
}

#[tokio::test]
async fn goes_on_when_a_table_changes_between_two_runs() -> Result<()> {
    let (database, runner) = runner(1).await?;
    let client = database.connect().await?;
    client.batch_execute("CREATE TABLE warehouse.t AS SELECT 1 AS a, 2 AS b").await?;
    assert_eq!(rows(&runner, "SELECT * FROM t").await?, r#"[{"a":1,"b":2}]"#);
    client.batch_execute("ALTER TABLE warehouse.t ALTER a TYPE interval USING interval '1 day'").await?;
    assert_eq!(rows(&runner, "SELECT * FROM t").await?, r#"[{"a":"1 day","b":2}]"#);
    client.batch_execute("ALTER TABLE warehouse.t DROP a").await?;
    assert_eq!(rows(&runner, "SELECT * FROM t").await?, r#"[{"b":2}]"#);
    client.batch_execute("DROP TABLE warehouse.t").await?;
    assert_eq!(sqlstate(&runner, "SELECT * FROM t").await?, "42P01");
    Ok(())
}

/// `Statement` takes queries alone, but some functions run SQL of their own.
#[tokio::test]
async fn no_function_runs_what_a_rollback_does_not_take_back() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    let prepared = "SELECT count(*) AS n FROM pg_prepared_statements WHERE from_sql";
    assert_eq!(rows(&runner, prepared).await?, r#"[{"n":0}]"#);
    for command in ["PREPARE mine AS SELECT 1", "DEALLOCATE ALL", "COMMIT", "SET statement_timeout = 0"] {
        let sql = format!("SELECT query_to_xml('{command}', true, true, '')");
        sqlstate(&runner, &sql).await?;
    }
    assert_eq!(rows(&runner, prepared).await?, r#"[{"n":0}]"#);
    Ok(())
}

#[tokio::test]
async fn writing_is_refused() -> Result<()> {
    let (database, runner) = runner(1).await?;
    // Even where the role has the right.
    let grant = "CREATE TABLE warehouse.t (a integer); GRANT ALL ON warehouse.t TO metricd_reader;
                 GRANT CREATE ON SCHEMA warehouse TO metricd_reader";
    database.connect().await?.batch_execute(grant).await?;
    for sql in [
        "WITH w AS (DELETE FROM t RETURNING a) SELECT a FROM w",
        "WITH w AS (SELECT 1 AS a) INSERT INTO t SELECT a FROM w RETURNING a",
        "SELECT 1 AS a INTO u",
        "SELECT a FROM t FOR UPDATE",
    ] {
        assert_eq!(sqlstate(&runner, sql).await?, "25006", "{sql}");
    }
    assert_eq!(rows(&runner, "SELECT a FROM t").await?, "[]");
    Ok(())
}

#[tokio::test]
async fn casts_keep_the_order_of_the_rows() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    let sql = "SELECT n * interval '1 day' AS d FROM generate_series(1, 3) AS n ORDER BY n DESC -- longest first";
    assert_eq!(rows(&runner, sql).await?, r#"[{"d":"3 days"},{"d":"2 days"},{"d":"1 day"}]"#);
    Ok(())
}

#[tokio::test]
async fn what_the_planner_expects_to_cost_too_much_is_not_run() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    let limits = RunLimits { cost: 1_000, ..RunLimits::default() };
    let costly = run(&runner, "SELECT count(*) FROM generate_series(1, 1000000)", limits).await;
    assert!(matches!(costly, Err(RunError::TooCostly { limit: 1_000, .. })), "{costly:?}");
    assert_eq!(run(&runner, "SELECT 1 AS one", limits).await?.1, r#"[{"one":1}]"#);
    // The estimate is held; the limit is the run's.
    let (outcome, _) = run(&runner, "SELECT count(*) FROM generate_series(1, 1000000)", RunLimits::default()).await?;
    assert_eq!(outcome.row_count, 1);
    Ok(())
}
