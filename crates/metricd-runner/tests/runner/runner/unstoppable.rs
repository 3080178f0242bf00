//! Statements that PostgreSQL does not stop, and what they keep from others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use metricd_domain::{Contract, RowLimit, RowOffset, SqlText};
use metricd_execution::{
    BoundStatement, JsonRows, MetricRunner, Permit, RequestZone, RunError, RunLimits, Selection, SelectionRequest,
    SnapshotRun, Statement,
};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use tokio_postgres::Client;

use super::snapshot_batch::run_batch;
use super::{rows, run, until_running};

/// How long a statement computes without a check for interrupts: longer than the limits and the bounds of stopping are
/// together.
const COMPUTING: Duration = Duration::from_secs(10);

/// How many sides two polygons have whose comparison takes that long. Builds of PostgreSQL differ by a factor.
async fn sides(client: &Client) -> Result<u32> {
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        client.batch_execute(&compared("100 + (random() * 0)::integer")).await?;
        quickest = quickest.min(began.elapsed());
    }
    // Each side of the one is compared with each of the other.
    let squared = 100 * 100 * COMPUTING.as_micros() / quickest.as_micros();
    Ok(u32::try_from(squared.isqrt())?)
}

fn compared(sides: &str) -> String {
    format!(
        "SELECT path(polygon(n, circle '<(0,0),1>')) <-> path(polygon(n, circle '<(0,0),2>')) AS d FROM (SELECT {sides} AS n) AS s"
    )
}

/// A statement that computes that long.
async fn slow(client: &Client) -> Result<String> {
    Ok(compared(&format!("{} + (random() * 0)::integer", sides(client).await?)))
}

fn limits() -> RunLimits {
    RunLimits { time: Duration::from_millis(300), ..RunLimits::default() }
}

fn bound(sql: &str) -> Result<BoundStatement> {
    Ok(BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(sql)?)?))
}

/// The second page of the statement's rows.
fn page(sql: &str) -> Result<BoundStatement> {
    let request = SelectionRequest { offset: RowOffset::parse("1")?, ..SelectionRequest::default() };
    let selection = Selection::parse(&request, Some(&Contract::default()), &RequestZone::default());
    let selection = Arc::new(selection.map_err(|faults| anyhow::anyhow!("{faults:?}"))?);
    Ok(bound(sql)?.selecting(&selection, RowLimit::default()))
}

async fn runner(max_connections: usize) -> Result<(TestDatabase, Client, PgRunner)> {
    let database = TestDatabase::new().await?;
    let config =
        RunnerConfig { max_connections, acquire_timeout: Duration::from_millis(200), ..RunnerConfig::default() };
    let (client, runner) = (database.connect().await?, PgRunner::new(&database.reader, config)?);
    let runner = runner.exporting_as(&database.owner)?;
    Ok((database, client, runner))
}

/// How many processes compute such a statement.
async fn computing(client: &Client) -> Result<i64> {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND state = 'active' AND query LIKE '%<->%' AND query NOT LIKE 'EXPLAIN%'
               AND pid <> pg_backend_pid()";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

async fn until_none_is_stuck(runner: &PgRunner) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(120);
    while runner.stuck_connections() > 0 {
        ensure!(Instant::now() < deadline, "a statement still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_statement_that_does_not_stop_keeps_its_connection_and_permit_and_is_not_run_twice() -> Result<()> {
    let (_database, client, runner) = runner(2).await?;
    let held = Arc::new(());
    let slow = slow(&client).await?;
    let (statement, mut sink) = (bound(&slow)?, JsonRows::default());
    let permit = Permit::new(Arc::clone(&held));
    let began = Instant::now();
    let outcome = runner.run(&statement, None, limits(), permit, &mut sink).await;
    assert!(matches!(outcome, Err(RunError::NotStopped { limit }) if limit == limits().time), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!((runner.stuck_connections(), Arc::strong_count(&held)), (1, 2));

    let again = Instant::now();
    let outcome = run(&runner, &slow, limits()).await;
    assert!(matches!(outcome, Err(RunError::Quarantined)), "{outcome:?}");
    assert!(again.elapsed() < Duration::from_millis(100), "at once");
    let page = page(&slow)?;
    let outcome = runner.run(&page, None, limits(), Permit::default(), &mut JsonRows::default()).await;
    assert!(matches!(outcome, Err(RunError::Quarantined)), "neither is a page of it: {outcome:?}");
    assert_eq!(computing(&client).await?, 1, "it is not run twice");
    assert_eq!(rows(&runner, "SELECT 1 AS one").await?, r#"[{"one":1}]"#, "others are");
    runner.check().await?;

    until_none_is_stuck(&runner).await?;
    assert_eq!((computing(&client).await?, Arc::strong_count(&held)), (0, 1));
    let outcome = runner.run(&page, None, limits(), Permit::default(), &mut JsonRows::default()).await;
    assert!(matches!(outcome, Err(RunError::NotStopped { .. })), "it is run again: {outcome:?}");
    let outcome = run(&runner, &slow, limits()).await;
    assert!(matches!(outcome, Err(RunError::Quarantined)), "as a page it is the same statement: {outcome:?}");
    until_none_is_stuck(&runner).await
}

#[tokio::test]
async fn a_statement_whose_caller_has_gone_is_quarantined_too() -> Result<()> {
    let (_database, client, runner) = runner(1).await?;
    let (waiting, slow) = (runner.clone(), slow(&client).await?);
    let task = tokio::spawn(async move { run(&waiting, &slow, RunLimits::default()).await.map(|_| ()) });
    let deadline = Instant::now() + Duration::from_secs(10);
    while computing(&client).await? == 0 {
        ensure!(Instant::now() < deadline, "it does not run");
    }
    // PostgreSQL shows the text also while it only parses it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(computing(&client).await?, 1, "it runs");
    task.abort();
    let deadline = Instant::now() + Duration::from_secs(10);
    while runner.stuck_connections() == 0 {
        ensure!(Instant::now() < deadline, "it is not quarantined");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The only connection is taken, which is told.
    let outcome = run(&runner, "SELECT 1 AS one", limits()).await;
    assert!(matches!(outcome, Err(RunError::ConnectionsStuck)), "{outcome:?}");
    let began = Instant::now();
    runner.check().await?;
    assert!(began.elapsed() < Duration::from_secs(2), "readiness does not wait for it");
    until_none_is_stuck(&runner).await?;
    assert_eq!(rows(&runner, "SELECT 1 AS one").await?, r#"[{"one":1}]"#);
    Ok(())
}

#[tokio::test]
async fn the_statement_of_a_snapshot_batch_that_does_not_stop_is_identified() -> Result<()> {
    let (_database, client, runner) = runner(2).await?;
    let slow = slow(&client).await?;
    let asked = [("SELECT 1 AS a", limits()), (slow.as_str(), limits()), ("SELECT 2 AS b", limits())];
    let first = run_batch(&runner, &asked, Duration::from_secs(5)).await?;
    assert!(matches!(first[1], Err(RunError::NotStopped { .. })), "{first:?}");
    assert_eq!((runner.stuck_connections(), computing(&client).await?), (1, 1));
    let second = run_batch(&runner, &asked, Duration::from_secs(5)).await?;
    assert!(matches!(second[1], Err(RunError::Quarantined)), "{second:?}");
    assert!(second[0].is_ok() && second[2].is_ok(), "{second:?}");
    assert_eq!(computing(&client).await?, 1, "it is not run twice");
    until_none_is_stuck(&runner).await
}

/// The planner computes what is constant.
fn planned(sides: u32, radius: u32) -> String {
    format!(
        "SELECT path(polygon({sides}, circle '<(0,0),1>')) <-> path(polygon({sides}, circle '<(0,0),{radius}>')) AS d"
    )
}

#[tokio::test]
async fn statements_that_are_held_to_their_contracts_leave_connections_to_others() -> Result<()> {
    let (_database, client, runner) = runner(4).await?;
    let sides = sides(&client).await?;
    let first = runner.verify(&bound(&planned(sides, 4))?, None).await;
    assert!(matches!(first, Err(RunError::Unavailable(_))), "{first:?}");
    let second = runner.verify(&bound(&planned(sides, 5))?, None).await;
    assert!(matches!(second, Err(RunError::TableLocked)), "{second:?}");
    assert_eq!(rows(&runner, "SELECT 1 AS one").await?, r#"[{"one":1}]"#);
    let deadline = Instant::now() + Duration::from_secs(120);
    while runner.verify(&bound("SELECT 1 AS one")?, None).await.is_err() {
        ensure!(Instant::now() < deadline, "the first one still runs");
    }
    Ok(())
}

#[tokio::test]
async fn each_connection_whose_statement_does_not_stop_keeps_a_permit_of_its_own() -> Result<()> {
    let (_database, client, runner) = runner(4).await?;
    let sides = sides(&client).await?;
    let statements = [bound(&planned(sides, 2))?, bound(&planned(sides, 3))?, bound("SELECT 1 AS one")?];
    let mut sinks = [JsonRows::default(), JsonRows::default(), JsonRows::default()];
    let runs = statements.iter().zip(&mut sinks);
    let runs = runs.map(|(statement, sink)| SnapshotRun { statement, limits: limits(), sink }).collect();
    let held = [Arc::new(()), Arc::new(())];
    let permits = held.iter().map(|held| Permit::new(Arc::clone(held))).collect();
    let outcomes = runner.run_on_one_snapshot(runs, None, Duration::from_secs(20), permits).await?.outcomes;
    let not_stopped = |outcome: &Result<_, RunError>| matches!(outcome, Err(RunError::NotStopped { .. }));
    assert!(outcomes[..2].iter().all(not_stopped), "{outcomes:?}");
    // There is no permit left for a third connection.
    assert!(matches!(outcomes[2], Err(RunError::Unavailable(_))), "{outcomes:?}");
    assert_eq!((runner.stuck_connections(), held.each_ref().map(Arc::strong_count)), (2, [2, 2]));
    until_none_is_stuck(&runner).await?;
    assert_eq!(held.each_ref().map(Arc::strong_count), [1, 1]);
    Ok(())
}

/// Its estimate is small, so that it may be sent with others.
#[tokio::test]
async fn a_batched_statement_that_does_not_stop_is_identified_and_not_run_twice() -> Result<()> {
    let (_database, client, runner) = runner(3).await?;
    let held = Arc::new(());
    let quick = async |sql| {
        let (statement, mut sink) = (bound(sql)?, JsonRows::default());
        let permit = Permit::new(Arc::clone(&held));
        anyhow::Ok(runner.run(&statement, None, RunLimits::default(), permit, &mut sink).await?)
    };
    // What the statements cost has to be known.
    let other = "SELECT count(*) AS n FROM metrics";
    rows(&runner, other).await?;
    let sides = sides(&client).await?;
    let sized = format!(
        "SELECT path(polygon(n, circle '<(0,0),1>')) <-> path(polygon(n, circle '<(0,0),2>')) AS d
         FROM (SELECT count(*)::integer * {sides} + 2 AS n FROM metrics WHERE parts_flagged = 1) AS s"
    );
    rows(&runner, &sized).await?;
    client
        .batch_execute("INSERT INTO warehouse.metrics (id, date, parts_flagged) VALUES ('q', '2025-06-01', 1)")
        .await?;
    let slow = run(&runner, &sized, limits());
    let (slow, a, b) = tokio::join!(slow, quick(other), quick(other));
    assert!(matches!(slow, Err(RunError::NotStopped { .. } | RunError::Quarantined)), "{slow:?}");
    assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
    assert_eq!(computing(&client).await?, 1, "it is not run twice");
    assert_eq!(Arc::strong_count(&held), 1, "the connection keeps no permit of the others");
    until_none_is_stuck(&runner).await
}

#[tokio::test]
async fn the_planner_s_constants_are_not_held() -> Result<()> {
    let (_database, client, runner) = runner(1).await?;
    // In a condition, PostgreSQL says them with the cost; in a column, it would keep them with the prepared statement.
    let refused = "SELECT count(*) AS n FROM metrics WHERE id = left(repeat('x', 6000000), obsolescence::integer)";
    let long = RunLimits { time: Duration::from_secs(60), ..RunLimits::default() };
    let outcome = run(&runner, refused, long).await;
    assert!(matches!(outcome, Err(RunError::TooCostly { .. })), "{outcome:?}");
    let pid = "SELECT pg_backend_pid() AS pid";
    for size in [200_000, 3_000_000] {
        let before = rows(&runner, pid).await?;
        assert_eq!(rows(&runner, pid).await?, before);
        let large = format!("SELECT left(repeat('x0', {size}), count(*)::integer) AS a FROM metrics");
        assert_eq!(run(&runner, &large, long).await?.1, r#"[{"a":""}]"#);
        assert_ne!(rows(&runner, pid).await?, before, "its session has ended, with what it held");
    }
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'metricd_reader'";
    assert_eq!(client.query_one(sessions, &[]).await?.get::<_, i64>(0), 1);
    Ok(())
}

#[tokio::test]
async fn connections_end_after_their_lifetime_and_when_nobody_uses_them() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(600));
    let pid = "SELECT pg_backend_pid() AS pid";
    for (max_lifetime, idle_timeout) in [(short, long), (long, short)] {
        let config = RunnerConfig { max_lifetime, idle_timeout, ..RunnerConfig::default() };
        let runner = PgRunner::new(&database.reader, config)?;
        let first = rows(&runner, pid).await?;
        let deadline = Instant::now() + Duration::from_secs(20);
        while client.query_one(sessions, &[]).await?.get::<_, i64>(0) > 0 {
            ensure!(Instant::now() < deadline, "{max_lifetime:?}, {idle_timeout:?}: an idle connection stays");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_ne!(rows(&runner, pid).await?, first);
    }
    Ok(())
}

#[tokio::test]
async fn streams_leave_connections_to_others() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let config = RunnerConfig { max_connections: 4, acquire_timeout: Duration::from_millis(200), ..Default::default() };
    let (client, runner) = (database.connect().await?, PgRunner::new(&database.reader, config)?);
    let stream =
        RunLimits { time: Duration::from_secs(60), write_timeout: Duration::from_secs(60), ..RunLimits::default() };
    let streams: Vec<_> = (0..2)
        .map(|_| {
            let runner = runner.clone();
            tokio::spawn(async move { run(&runner, "SELECT pg_sleep(50) AS streamed", stream).await.map(|_| ()) })
        })
        .collect();
    until_running(&client, "streamed", 2).await?;
    let outcome = run(&runner, "SELECT 1 AS one", stream).await;
    assert!(matches!(outcome, Err(RunError::TooManyStreams { .. })), "{outcome:?}");
    assert_eq!(rows(&runner, "SELECT 1 AS one").await?, r#"[{"one":1}]"#);
    streams.iter().for_each(tokio::task::JoinHandle::abort);
    until_running(&client, "streamed", 0).await
}
