//! What befalls one of several statements is not the others'.

use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use metricd_domain::{RowLimit, SqlText};
use metricd_execution::{
    BoundStatement, Column, EncodeError, Fields, JsonRows, MetricRunner, RowSink, RunError, RunLimits, RunOutcome,
    SnapshotRun, Statement,
};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::{Pooler, StartupOptions, TestDatabase};
use tokio::time::{Instant, timeout};

use super::super::until_running;
use super::super::wire::Wire;
use super::{all, expensive, run_batch, runner, told};
use crate::permits;

const LONG: Duration = Duration::from_secs(20);

/// A function that the planner holds for cheap, since it does not see into it.
const SLOW: &str = "CREATE FUNCTION warehouse.slow(seconds double precision) RETURNS integer LANGUAGE plpgsql
                    STABLE COST 1 AS 'BEGIN PERFORM pg_sleep(seconds); RETURN 1; END'";

#[tokio::test]
async fn rows_past_the_cap_do_not_delay_the_others() -> Result<()> {
    let database = TestDatabase::new().await?;
    let runner = runner(&database, 1)?;
    let limits = RunLimits::default();
    let narrow = RunLimits { size_bytes: 1_500, ..limits };
    let few = RunLimits { rows: RowLimit::parse("2")?, ..limits };
    let asked = [
        ("SELECT 1 AS one", limits),
        ("SELECT generate_series(1, (SELECT 1000000000000)) AS n", limits),
        ("SELECT 10 / (5 - n) AS n FROM generate_series(1, 9) AS n", few),
        ("SELECT repeat('x', 1000) AS n, generate_series(1, (SELECT 1000000000000))", narrow),
        ("SELECT 2 AS two", limits),
    ];
    let began = Instant::now();
    let outcomes = run_batch(&runner, &asked, LONG).await?;
    let cut = |outcome: &Result<(RunOutcome, String), RunError>| {
        outcome.as_ref().ok().filter(|(outcome, _)| outcome.truncated).map(|(outcome, _)| outcome.row_count)
    };
    let cuts: Vec<_> = outcomes.iter().map(cut).collect();
    assert_eq!(cuts, [None, Some(1_000), Some(2), Some(1), None], "{:?}", outcomes.get(1..));
    assert_eq!((told(&outcomes[0]), told(&outcomes[4])), (r#"[{"one":1}]"#, r#"[{"two":2}]"#));
    assert!(began.elapsed() < limits.time, "{:?}", began.elapsed());
    Ok(())
}

/// A sink that can show nothing.
struct Blind;

#[async_trait]
impl RowSink for Blind {
    fn columns(&mut self, columns: &[Column]) -> Result<(), EncodeError> {
        let column = columns.first().map(|column| column.name.clone()).unwrap_or_default();
        Err(EncodeError::Malformed { column, type_name: "none".into() })
    }

    fn row(&mut self, _: Fields<'_>, _: usize) -> Result<bool, EncodeError> {
        Ok(true)
    }
}

#[tokio::test]
async fn a_sink_that_cannot_show_its_rows_is_the_only_one_without() -> Result<()> {
    let database = TestDatabase::new().await?;
    let runner = runner(&database, 1)?;
    for sql in ["SELECT 1 AS one", &expensive("1 AS one")] {
        let statement = BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(sql)?)?);
        let (mut blind, mut first, mut last) = (Blind, JsonRows::default(), JsonRows::default());
        let limits = RunLimits::default();
        let sinks: [&mut dyn RowSink; 3] = [&mut first, &mut blind, &mut last];
        let runs = sinks.into_iter().map(|sink| SnapshotRun { statement: &statement, limits, sink }).collect();
        let outcomes = runner.run_on_one_snapshot(runs, None, LONG, permits()).await?.outcomes;
        assert!(matches!(outcomes[..], [Ok(_), Err(RunError::Encode(_)), Ok(_)]), "{outcomes:?}");
        assert_eq!((first.finish(), last.finish()), (br#"[{"one":1}]"#.to_vec(), br#"[{"one":1}]"#.to_vec()));
    }
    Ok(())
}

#[tokio::test]
async fn each_has_its_own_time_from_when_it_begins() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    database.connect().await?.batch_execute(SLOW).await?;
    let runner = runner(&database, 1)?;
    let limits = RunLimits::default();
    let short = RunLimits { time: Duration::from_millis(100), ..limits };
    let asked = [
        ("SELECT 1 AS one", limits),
        ("SELECT warehouse.slow(30)", short),
        ("SELECT 2 AS two", limits),
        ("SELECT 3 AS three", short),
    ];
    let began = Instant::now();
    let outcomes = run_batch(&runner, &asked, LONG).await?;
    assert!(matches!(outcomes[1], Err(RunError::TimedOut { limit }) if limit == short.time), "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3, "{outcomes:?}");
    assert!(began.elapsed() < limits.time, "{:?}", began.elapsed());

    // All of them take longer than each of them may.
    let second = RunLimits { time: Duration::from_secs(1), ..limits };
    let outcomes = run_batch(&runner, &[("SELECT warehouse.slow(0.3)", second); 8], LONG).await?;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    Ok(())
}

#[tokio::test]
async fn a_short_time_of_one_is_not_that_of_those_after_it() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    database.connect().await?.batch_execute(SLOW).await?;
    let runner = runner(&database, 1)?;
    let limits = RunLimits::default();
    let short = RunLimits { time: Duration::from_millis(100), ..limits };
    // Dearer than the first one, which is therefore run first.
    let slow = "SELECT warehouse.slow(0.3) AS slow FROM generate_series(1, 1)";
    let expensive = expensive("warehouse.slow(0.3) AS slow");
    let asked = [("SELECT 0 AS zero", short), (slow, limits), (expensive.as_str(), limits)];
    let outcomes = run_batch(&runner, &asked, LONG).await?;
    let rows: Vec<_> = outcomes.iter().map(told).collect();
    assert_eq!(rows, [r#"[{"zero":0}]"#, r#"[{"slow":1}]"#, r#"[{"slow":1}]"#], "{outcomes:?}");
    Ok(())
}

#[tokio::test]
async fn one_whose_table_is_locked_is_the_only_one_without_rows() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    client.batch_execute("CREATE TABLE warehouse.t AS SELECT 1 AS a").await?;
    let runner = runner(&database, 2)?;
    let limits = RunLimits::default();
    let short = RunLimits { time: Duration::from_millis(200), ..limits };
    let asked = [("SELECT 1 AS one", limits), ("SELECT a FROM t", short), ("SELECT 2 AS two", limits)];
    // It is neither prepared when the table is locked first, nor asked what it costs.
    for _ in 0..2 {
        client.batch_execute("BEGIN; LOCK TABLE warehouse.t").await?;
        let began = Instant::now();
        let outcomes = run_batch(&runner, &asked, LONG).await?;
        assert!(began.elapsed() < limits.time, "{:?}", began.elapsed());
        assert!(matches!(outcomes[1], Err(RunError::TimedOut { limit }) if limit == short.time), "{outcomes:?}");
        assert_eq!((told(&outcomes[0]), told(&outcomes[2])), (r#"[{"one":1}]"#, r#"[{"two":2}]"#));
        client.batch_execute("ROLLBACK").await?;
        assert_eq!(told(&run_batch(&runner, &asked, LONG).await?[1]), r#"[{"a":1}]"#);
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_connection_keeps_the_outcomes_so_far() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let endless = "SELECT count(*) AS endless FROM generate_series(1, 100000) AS a, generate_series(1, 100000) AS b";
    let expensive = expensive("1 AS one");
    for max_connections in [1, 2] {
        let runner = runner(&database, max_connections)?;
        let limits = RunLimits { cost: u64::MAX, ..RunLimits::default() };
        let texts = ["SELECT 1 AS one", endless, &expensive, &expensive].map(|sql| (sql, limits));
        let ending = async {
            // Not while it is only prepared, or asked what it costs.
            let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                         WHERE datname = current_database() AND application_name = 'metricd' AND state = 'active'
                               AND query LIKE 'SELECT%endless%' AND query_start < clock_timestamp() - interval '300 ms'";
            while client.query_one(ended, &[]).await?.get::<_, i64>(0) == 0 {}
            anyhow::Ok(())
        };
        let (outcomes, ended) = tokio::join!(run_batch(&runner, &texts, LONG), ending);
        ended?;
        let outcomes = outcomes?;
        assert!(matches!(outcomes[1], Err(RunError::Unavailable(_))), "{outcomes:?}");
        assert_eq!(outcomes.iter().filter(|outcome| told(outcome) == r#"[{"one":1}]"#).count(), 3, "{outcomes:?}");
        assert_eq!(told(&all(&runner, &["SELECT 1 AS one"]).await?[0]), r#"[{"one":1}]"#);
    }
    Ok(())
}

/// As where the owner's URL leads to another server than the reader's, a standby's primary for one.
#[tokio::test]
async fn a_snapshot_that_cannot_be_imported_is_not_needed() -> Result<()> {
    let (database, other) = (TestDatabase::new().await?, TestDatabase::new().await?);
    let config = RunnerConfig { max_connections: 3, ..RunnerConfig::default() };
    let runner = PgRunner::new(&database.reader, config)?.exporting_as(&other.owner)?;
    let outcomes = all(&runner, &[expensive("pg_backend_pid() AS pid").as_str(); 3]).await?;
    assert!(told(&outcomes[0]).contains("pid"), "{outcomes:?}");
    assert!(outcomes.iter().all(|outcome| told(outcome) == told(&outcomes[0])), "{outcomes:?}");
    Ok(())
}

#[tokio::test]
async fn one_whose_table_has_changed_stays_in_the_transaction_of_the_others() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    client.batch_execute("CREATE TABLE warehouse.t AS SELECT 1 AS a").await?;
    let runner = runner(&database, 1)?;
    let texts = ["SELECT now()::text AS at, t.* FROM t", "SELECT now()::text AS at FROM t"];
    all(&runner, &texts).await?;
    client.batch_execute("ALTER TABLE warehouse.t ADD COLUMN b text DEFAULT 'x'").await?;
    let outcomes = all(&runner, &texts).await?;
    let (first, second) = (told(&outcomes[0]), told(&outcomes[1]));
    assert_eq!(first.replace(r#","a":1,"b":"x""#, ""), second, "{first}");
    assert!(second.contains("at"), "{outcomes:?}");
    Ok(())
}

/// Of a table that is rewritten, a snapshot from before sees no rows.
#[tokio::test]
async fn what_changes_while_they_run_is_seen_by_none_of_them() -> Result<()> {
    for is_pooled in [true, false] {
        let database = TestDatabase::unhardened().await?;
        let client = database.connect().await?;
        client
            .batch_execute(
                "CREATE TABLE warehouse.t AS SELECT 1 AS a;
                 CREATE TABLE warehouse.n AS SELECT 1 AS n FROM generate_series(1, 1000);
                 ANALYZE warehouse.t, warehouse.n",
            )
            .await?;
        let pooler = Pooler::listen(&database, 2, StartupOptions::Ignored).await?;
        let reader = if is_pooled { &pooler.reader } else { &database.reader };
        let runner = PgRunner::new(reader, RunnerConfig::default())?;
        // In the order in which they are run.
        let texts = ["SELECT pg_sleep(2)::text AS slept", "SELECT * FROM t", "SELECT max(n) AS n FROM n"];
        for (round, change) in ["ADD COLUMN b text DEFAULT 'x'", "ALTER COLUMN a TYPE bigint"].into_iter().enumerate() {
            let changing = async {
                let sleeping = "SELECT count(*) FROM pg_stat_activity
                                WHERE datname = current_database() AND wait_event = 'PgSleep'";
                while client.query_one(sleeping, &[]).await?.get::<_, i64>(0) == 0 {}
                let change = format!("ALTER TABLE warehouse.t {change}");
                client.batch_execute(&format!("BEGIN; {change}; UPDATE warehouse.n SET n = n + 1; COMMIT")).await?;
                anyhow::Ok(())
            };
            let (outcomes, changed) = tokio::join!(all(&runner, &texts), changing);
            changed?;
            let outcomes = outcomes?;
            if round == 0 {
                assert_eq!(told(&outcomes[1]), r#"[{"a":1,"b":"x"}]"#, "{is_pooled} {outcomes:?}");
            } else {
                assert!(matches!(outcomes[1], Err(RunError::TableLocked)), "{is_pooled} {outcomes:?}");
            }
            assert_eq!(told(&outcomes[2]), format!(r#"[{{"n":{}}}]"#, round + 1), "{is_pooled} {outcomes:?}");
        }
        assert_eq!(told(&all(&runner, &texts[1..2]).await?[0]), r#"[{"a":1,"b":"x"}]"#);
    }
    Ok(())
}

#[tokio::test]
async fn those_that_wait_for_a_connection_go_first() -> Result<()> {
    let database = TestDatabase::new().await?;
    let runner = runner(&database, 3)?;
    let expensive = expensive("1 AS one");
    let texts = vec![expensive.as_str(); 15];
    let mut batch = std::pin::pin!(all(&runner, &texts));
    let client = database.connect().await?;
    tokio::select! {
        outcomes = &mut batch => anyhow::bail!("ended too early: {outcomes:?}"),
        running = until_running(&client, "AS many", 3) => running?,
    }
    tokio::select! {
        outcomes = &mut batch => anyhow::bail!("went first: {outcomes:?}"),
        plain = super::super::rows(&runner, "SELECT 2 AS two") => assert_eq!(plain?, r#"[{"two":2}]"#),
    }
    let outcomes = timeout(LONG, batch).await.context("goes on")??;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    Ok(())
}

/// A cancel request that is still on its way stops no other statement, and the response that it was for is read to its
/// end.
#[tokio::test]
async fn a_late_cancel_request_stops_no_other_statement() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let (wire, url) = Wire::listen(&database.connect().await?).await?;
    let runner = PgRunner::new(&url, RunnerConfig { max_connections: 1, ..RunnerConfig::default() })?;
    *wire.cancel_latency.lock().unwrap() = Duration::from_millis(2_500);
    let limits = RunLimits { rows: RowLimit::parse("3")?, ..RunLimits::default() };
    let asked = [
        ("SELECT generate_series(1, 100000000) AS n", limits),
        ("SELECT generate_series(11, 100000000) AS n", limits),
        ("SELECT 21 AS n", limits),
    ];
    let outcomes = run_batch(&runner, &asked, Duration::from_secs(30)).await?;
    let expected = [r#"[{"n":1},{"n":2},{"n":3}]"#, r#"[{"n":11},{"n":12},{"n":13}]"#, r#"[{"n":21}]"#];
    assert_eq!(outcomes.iter().map(told).collect::<Vec<_>>(), expected, "{outcomes:?}");
    assert_eq!(*wire.cancel_latency.lock().unwrap(), Duration::ZERO, "a request was late");
    Ok(())
}
