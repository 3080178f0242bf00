//! Running stored SQL against the real database.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use metricd_domain::{RowLimit, SqlText};
use metricd_execution::{BoundStatement, JsonRows, MetricRunner, RunError, RunLimits, RunOutcome, Statement};
use metricd_postgres::{DatabaseUrl, PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_postgres::Client;

/// On a database where nothing but the runner itself keeps order.
async fn runner(max_connections: usize) -> Result<(TestDatabase, PgRunner)> {
    let database = TestDatabase::unhardened().await?;
    let config = RunnerConfig { max_connections, acquire_timeout: Duration::from_millis(200) };
    let runner = PgRunner::new(&database.reader, config)?;
    Ok((database, runner))
}

async fn run(runner: &PgRunner, sql: &str, limits: RunLimits) -> Result<(RunOutcome, String), RunError> {
    let malformed = |error: &dyn std::fmt::Display| RunError::Unavailable(format!("a test is wrong: {error}"));
    let sql = SqlText::parse(sql).map_err(|error| malformed(&error))?;
    let statement = BoundStatement::without_arguments(&Statement::parse(&sql).map_err(|error| malformed(&error))?);
    let mut rows = JsonRows::default();
    let outcome = runner.run(&statement, limits, &mut rows).await?;
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

/// Stands between a runner and its database, and counts what goes over the wire.
#[derive(Clone, Default)]
struct Wire {
    /// `>` for bytes to the database, `<` for bytes from it.
    seen: Arc<Mutex<String>>,
    opened: Arc<AtomicUsize>,
    /// Closes the connections that are open.
    cut: Arc<Notify>,
}

impl Wire {
    async fn listen(database: &Client) -> Result<(Self, DatabaseUrl)> {
        let port: u16 = database.query_one("SHOW port", &[]).await?.get::<_, String>(0).parse()?;
        let name: String = database.query_one("SELECT current_database()::text", &[]).await?.get(0);
        let role = format!("wired_{name}");
        database.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'wired'")).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("postgres://{role}:wired@127.0.0.1:{}/{name}", listener.local_addr()?.port());
        let wire = Self::default();
        let accepting = wire.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().pass(near, port));
            }
        });
        Ok((wire, DatabaseUrl::parse(url)?))
    }

    async fn pass(self, mut near: TcpStream, port: u16) -> Result<()> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        let mut far = TcpStream::connect(("127.0.0.1", port)).await?;
        let (mut sent, mut answered) = ([0; 8_192], [0; 8_192]);
        loop {
            let (bytes, mark, to) = tokio::select! {
                count = near.read(&mut sent) => (&sent[..count?], '>', &mut far),
                count = far.read(&mut answered) => (&answered[..count?], '<', &mut near),
                () = self.cut.notified() => return Ok(()),
            };
            if bytes.is_empty() {
                return Ok(());
            }
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(mark);
            to.write_all(bytes).await?;
        }
    }

    /// Whether the last bytes came from the database.
    fn is_answered(&self) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).ends_with('<')
    }

    /// How often the runner has waited for an answer since this was last asked.
    fn round_trips(&self) -> usize {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        seen.replace(">>", ">").matches("><").count()
    }
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
async fn a_run_that_nobody_waits_for_is_stopped_in_the_database() -> Result<()> {
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
    assert_eq!(before, r#"[{"t":"5s","s":"warehouse","r":"on"}]"#);
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
async fn a_prepared_statement_costs_one_round_trip() -> Result<()> {
    let database = TestDatabase::new().await?;
    let (wire, url) = Wire::listen(&database.connect().await?).await?;
    let runner = PgRunner::new(&url, RunnerConfig { max_connections: 1, ..RunnerConfig::default() })?;
    for (sql, expected) in [("SELECT 1 AS a", 1), ("SELECT interval '1 day' AS a", 2)] {
        rows(&runner, sql).await?;
        wire.round_trips();
        rows(&runner, sql).await?;
        assert_eq!(wire.round_trips(), expected, "{sql}");
    }
    Ok(())
}

/// How many transactions a run takes, by PostgreSQL's own count of them in the session.
async fn transactions(runner: &PgRunner) -> Result<i32> {
    let sql = "SELECT split_part(virtualtransaction, '/', 2)::integer AS n FROM pg_locks
               WHERE pid = pg_backend_pid() LIMIT 1";
    let mut counts = [0; 2];
    rows(runner, sql).await?;
    for count in &mut counts {
        *count = rows(runner, sql).await?.trim_matches(|it: char| !it.is_ascii_digit()).parse()?;
    }
    Ok(counts[1] - counts[0])
}

/// Takes from every role the functions of that name. The rights are those of one database.
async fn revoke(client: &Client, names: &str) -> Result<()> {
    let sql = format!(
        "DO $$ DECLARE f regprocedure; BEGIN
         FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^({names})$'
         LOOP EXECUTE 'REVOKE EXECUTE ON FUNCTION ' || f || ' FROM PUBLIC'; END LOOP; END $$"
    );
    Ok(client.batch_execute(&sql).await?)
}

#[tokio::test]
async fn a_statement_is_sent_alone_where_the_reader_can_leave_nothing_behind() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let client = database.connect().await?;
    let runner = || PgRunner::new(&database.reader, RunnerConfig { max_connections: 1, ..RunnerConfig::default() });
    assert_eq!(transactions(&runner()?).await?, 2);
    revoke(
        &client,
        "set_config|pg_notify|pg_logical_emit_message|lo_.*|lowrite|pg_(try_)?advisory_lock(_shared)?|setseed",
    )
    .await?;
    let hardened = runner()?;
    assert_eq!(transactions(&hardened).await?, 1);
    assert_eq!(sqlstate(&hardened, "SELECT set_config('statement_timeout', '0', false)").await?, "42501");
    client.batch_execute("CREATE TABLE warehouse.t (a integer); GRANT ALL ON warehouse.t TO metricd_reader").await?;
    assert_eq!(sqlstate(&hardened, "WITH w AS (DELETE FROM t RETURNING a) SELECT a FROM w").await?, "25006");
    assert_eq!(transactions(&hardened).await?, 1);
    // Somebody else's function may do what PostgreSQL's own no longer do.
    client.batch_execute("CREATE FUNCTION warehouse.f() RETURNS integer LANGUAGE sql VOLATILE AS 'SELECT 1'").await?;
    assert_eq!(transactions(&runner()?).await?, 2);
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
async fn a_place_that_nobody_waits_for_any_more_goes_to_the_next() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let client = database.connect().await?;
    let config = RunnerConfig { max_connections: 1, acquire_timeout: Duration::from_secs(10) };
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
async fn says_that_the_database_is_not_there() -> Result<()> {
    let nowhere = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
    let url = DatabaseUrl::parse(format!("postgres://ann:s3cret@127.0.0.1:{nowhere}/m"))?;
    let runner = PgRunner::new(&url, RunnerConfig::default())?;
    for outcome in [rows(&runner, "SELECT 1").await.map(drop), runner.check().await] {
        assert!(matches!(&outcome, Err(RunError::Unavailable(why)) if !why.contains("s3cret")), "{outcome:?}");
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
    // As a statement does that is the end of its process each time. BEGIN has been answered by then.
    while !task.is_finished() {
        let running = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep%' AND state = 'active'
                       AND clock_timestamp() - query_start > '1s'";
        if !client.query(running, &[]).await?.is_empty() && wire.is_answered() {
            wire.cut.notify_waiters();
        }
    }
    let outcome = task.await?;
    assert!(matches!(outcome, Err(RunError::Unavailable(_))), "{outcome:?}");
    assert_eq!(wire.opened.load(Ordering::SeqCst), 1);
    Ok(())
}

#[tokio::test]
async fn says_that_no_connection_is_free() -> Result<()> {
    let (database, runner) = runner(1).await?;
    let busy = runner.clone();
    let task = tokio::spawn(async move { rows(&busy, "SELECT pg_sleep(4)").await });
    until_running(&database.connect().await?, "pg_sleep", 1).await?;
    let outcome = rows(&runner, "SELECT 1").await;
    assert!(matches!(outcome, Err(RunError::NoConnection { .. })), "{outcome:?}");
    task.abort();
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
    let config = RunnerConfig { max_connections: 4, acquire_timeout: Duration::from_secs(20) };
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

#[tokio::test]
async fn what_the_planner_expects_to_cost_too_much_is_not_run() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    let limits = RunLimits { cost: 1_000, ..RunLimits::default() };
    let costly = run(&runner, "SELECT count(*) FROM generate_series(1, 10000000)", limits).await;
    assert!(matches!(costly, Err(RunError::TooCostly { limit: 1_000, .. })), "{costly:?}");
    assert_eq!(run(&runner, "SELECT 1 AS one", limits).await?.1, r#"[{"one":1}]"#);
    // The estimate is held; the limit is the run's.
    let (outcome, _) = run(&runner, "SELECT count(*) FROM generate_series(1, 10000000)", RunLimits::default()).await?;
    assert_eq!(outcome.row_count, 1);
    Ok(())
}
