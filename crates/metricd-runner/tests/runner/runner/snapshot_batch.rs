//! Several statements on one snapshot.

mod failures;

use std::time::Duration;

use anyhow::{Context, Result};
use metricd_domain::{RowLimit, SqlText};
use metricd_execution::{
    BoundStatement, JsonRows, MetricRunner, Permit, RunError, RunLimits, RunOutcome, SnapshotRun, Statement,
};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use tokio::time::{Instant, timeout};

use super::{rows, until_running};
use crate::permits;

/// Cheap to the planner.
const SUM: &str = "SELECT sum(obsolescence)::bigint AS total FROM metrics";

type Outcomes = Vec<Result<(RunOutcome, String), RunError>>;

fn runner(database: &TestDatabase, max_connections: usize) -> Result<PgRunner> {
    let config = RunnerConfig { max_connections, acquire_timeout: Duration::from_secs(5), ..RunnerConfig::default() };
    Ok(PgRunner::new(&database.reader, config)?.exporting_as(&database.owner)?)
}

/// Runs the texts together, with these limits.
pub(super) async fn run_batch(runner: &PgRunner, asked: &[(&str, RunLimits)], time: Duration) -> Result<Outcomes> {
    run_batch_with(runner, asked, time, permits()).await
}

/// Runs the texts together, on as many connections as there are permits.
pub(super) async fn run_batch_with(
    runner: &PgRunner,
    asked: &[(&str, RunLimits)],
    time: Duration,
    permits: Vec<Permit>,
) -> Result<Outcomes> {
    let statement =
        |sql: &str| anyhow::Ok(BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(sql)?)?));
    let statements = asked.iter().map(|(sql, _)| statement(sql)).collect::<Result<Vec<_>>>()?;
    let mut sinks: Vec<_> = asked.iter().map(|_| JsonRows::default()).collect();
    let runs = statements.iter().zip(asked).zip(&mut sinks);
    let runs = runs.map(|((statement, (_, limits)), sink)| SnapshotRun { statement, limits: *limits, sink }).collect();
    let outcomes = runner.run_on_one_snapshot(runs, None, time, permits).await?.outcomes;
    let told = |(outcome, sink): (Result<RunOutcome, RunError>, JsonRows)| {
        outcome.map(|outcome| (outcome, String::from_utf8_lossy(&sink.finish()).into_owned()))
    };
    Ok(outcomes.into_iter().zip(sinks).map(told).collect())
}

async fn all(runner: &PgRunner, texts: &[&str]) -> Result<Outcomes> {
    let asked: Vec<_> = texts.iter().map(|sql| (*sql, RunLimits::default())).collect();
    run_batch(runner, &asked, Duration::from_secs(20)).await
}

fn told(outcome: &Result<(RunOutcome, String), RunError>) -> &str {
    outcome.as_ref().map_or("", |(_, rows)| rows)
}

/// A dear statement that has one row.
pub(super) fn expensive(columns: &str) -> String {
    format!(
        "SELECT {columns} FROM (SELECT count(*) FROM generate_series(1, 300000) AS a, generate_series(1, 4) AS b) AS many"
    )
}

#[tokio::test]
async fn all_of_them_see_one_snapshot_while_others_write() -> Result<()> {
    for database in [TestDatabase::new().await?, TestDatabase::unhardened().await?] {
        let client = database.connect().await?;
        client
            .batch_execute("INSERT INTO warehouse.metrics (id, date, obsolescence) SELECT 'q', '2025-06-01', 0 FROM generate_series(1, 10)")
            .await?;
        let writing = tokio::spawn(async move {
            loop {
                client.batch_execute("UPDATE warehouse.metrics SET obsolescence = obsolescence + 1").await?;
            }
            #[expect(unreachable_code, reason = "names the type")]
            anyhow::Ok(())
        });
        let runner = runner(&database, 4)?;
        let expensive = expensive("(SELECT sum(obsolescence)::bigint FROM metrics) AS total");
        let mut seen = std::collections::BTreeSet::new();
        for texts in [[SUM; 4], [expensive.as_str(); 4], [SUM, &expensive, &expensive, SUM]] {
            for _ in 0..5 {
                let outcomes = all(&runner, &texts).await?;
                let totals: Vec<_> = outcomes.iter().map(told).collect();
                assert!(totals.iter().all(|total| *total == totals[0] && total.contains("total")), "{outcomes:?}");
                seen.insert(totals[0].to_owned());
            }
        }
        writing.abort();
        assert!(seen.len() > 3, "the writer has written meanwhile: {seen:?}");
    }
    Ok(())
}

#[tokio::test]
async fn expensive_statements_use_several_connections_and_cheap_ones_one() -> Result<()> {
    let database = TestDatabase::new().await?;
    let runner = runner(&database, 3)?;
    let pids = |outcomes: &Outcomes| {
        outcomes.iter().map(told).map(str::to_owned).collect::<std::collections::BTreeSet<_>>().len()
    };
    let cheap = all(&runner, &["SELECT pg_backend_pid() AS pid"; 6]).await?;
    assert_eq!(pids(&cheap), 1, "{cheap:?}");
    let expensive = expensive("pg_backend_pid() AS pid");
    let expensive = all(&runner, &[expensive.as_str(); 6]).await?;
    assert_eq!(pids(&expensive), 3, "{expensive:?}");
    // Without somebody who may export a snapshot, one connection has to do.
    let alone = PgRunner::new(&database.reader, RunnerConfig { max_connections: 3, ..RunnerConfig::default() })?;
    let outcomes = all(&alone, &[super::snapshot_batch::expensive("pg_backend_pid() AS pid").as_str(); 3]).await?;
    assert_eq!(pids(&outcomes), 1, "{outcomes:?}");
    Ok(())
}

#[tokio::test]
async fn an_error_belongs_to_its_statement() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let runner = runner(&database, 2)?;
    let limits = RunLimits::default();
    let few = RunLimits { rows: RowLimit::parse("2")?, ..limits };
    let small = RunLimits { size_bytes: 20, ..limits };
    let costly = RunLimits { cost: 0, ..limits };
    let short = RunLimits { time: Duration::from_millis(100), ..limits };
    let many = "SELECT n FROM generate_series(1, 5) AS n";
    let endless = "SELECT count(*) AS endless FROM generate_series(1, 100000) AS a, generate_series(1, 100000) AS b";
    // Cheap to the planner, which does not see into the function.
    database
        .connect()
        .await?
        .batch_execute(
            "CREATE FUNCTION warehouse.slow() RETURNS integer LANGUAGE plpgsql STABLE COST 1 AS
             'BEGIN PERFORM pg_sleep(30); RETURN 1; END'",
        )
        .await?;
    let asked = [
        ("SELECT 1 AS first", limits),
        ("SELECT 1 / 0 AS fails", limits),
        (many, few),
        ("SELECT nothing", limits),
        (many, costly),
        ("SELECT warehouse.slow()", short),
        (many, small),
        (endless, RunLimits { cost: u64::MAX, ..short }),
        (many, limits),
        ("SELECT 1 AS last", limits),
        ("SELECT 1 AS first", limits),
    ];
    let outcomes = run_batch(&runner, &asked, Duration::from_secs(20)).await?;
    let short_form = |outcome: &Result<(RunOutcome, String), RunError>| match outcome {
        Ok((outcome, rows)) => format!("{}{rows}", if outcome.truncated { "cut: " } else { "" }),
        Err(RunError::Failed { sqlstate, .. }) => sqlstate.clone(),
        Err(RunError::TimedOut { limit }) => format!("past {limit:?}"),
        Err(RunError::TooCostly { .. }) => "too costly".to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(
        outcomes.iter().map(short_form).collect::<Vec<_>>(),
        [
            r#"[{"first":1}]"#,
            "22012",
            r#"cut: [{"n":1},{"n":2}]"#,
            "42703",
            "too costly",
            "past 100ms",
            r#"cut: [{"n":1},{"n":2}]"#,
            "past 100ms",
            r#"[{"n":1},{"n":2},{"n":3},{"n":4},{"n":5}]"#,
            r#"[{"last":1}]"#,
            r#"[{"first":1}]"#,
        ]
    );
    assert!(all(&runner, &[]).await?.is_empty());
    assert_eq!(all(&runner, &["SELECT 1 AS one"; 50]).await?.iter().filter(|outcome| outcome.is_ok()).count(), 50);
    Ok(())
}

#[tokio::test]
async fn what_has_not_ended_in_the_time_of_all_is_stopped() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let client = database.connect().await?;
    let runner = runner(&database, 3)?;
    let slow = RunLimits { cost: u64::MAX, ..RunLimits::default() };
    let endless = "SELECT count(*) AS endless FROM generate_series(1, 100000) AS a, generate_series(1, 100000) AS b";
    let asked =
        [("SELECT 1 AS one", slow), (endless, slow), ("SELECT pg_sleep(30)::text AS endless", slow), (endless, slow)];
    let outcomes = run_batch(&runner, &asked, Duration::from_secs(2)).await?;
    assert_eq!(told(&outcomes[0]), r#"[{"one":1}]"#, "{outcomes:?}");
    for outcome in &outcomes[1..] {
        assert!(matches!(outcome, Err(RunError::TimedOut { limit }) if limit.as_secs() == 2), "{outcome:?}");
    }
    let given_up = Instant::now();
    until_running(&client, "endless", 0).await?;
    assert!(given_up.elapsed() < Duration::from_secs(2), "{:?}", given_up.elapsed());

    // Likewise where nobody waits for it any more.
    let waiting = run_batch(&runner, &asked, Duration::from_secs(60));
    assert!(timeout(Duration::from_millis(400), waiting).await.is_err());
    let given_up = Instant::now();
    until_running(&client, "endless", 0).await?;
    assert!(given_up.elapsed() < Duration::from_secs(2), "{:?}", given_up.elapsed());
    let pipelined = [("SELECT pg_sleep(30)::text AS endless", slow); 4];
    assert!(
        timeout(Duration::from_millis(300), run_batch(&runner, &pipelined, Duration::from_secs(60))).await.is_err()
    );
    let given_up = Instant::now();
    until_running(&client, "endless", 0).await?;
    assert!(given_up.elapsed() < Duration::from_secs(2), "{:?}", given_up.elapsed());
    assert_eq!(rows(&runner, "SELECT 1 AS one").await?, r#"[{"one":1}]"#);
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_on_a_connection() -> Result<()> {
    for database in [TestDatabase::new().await?, TestDatabase::unhardened().await?] {
        let runner = runner(&database, 1)?;
        let state = "SELECT current_setting('transaction_isolation') AS level, current_setting('work_mem') AS memory";
        let before = rows(&runner, state).await?;
        let texts = ["SELECT set_config('work_mem', '77MB', false) AS set", "SELECT 1 / 0 AS fails", "SELECT 1 AS one"];
        let outcomes = all(&runner, &texts).await?;
        assert_eq!(told(&outcomes[2]), r#"[{"one":1}]"#);
        assert_eq!(rows(&runner, state).await?, before);
        let held = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'";
        assert_eq!(database.connect().await?.query_one(held, &[]).await?.get::<_, i64>(0), 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_table_that_changes_and_a_connection_that_ends_are_got_over() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    client.batch_execute("CREATE TABLE warehouse.t AS SELECT 1 AS a").await?;
    let runner = runner(&database, 2)?;
    let texts = ["SELECT * FROM t", "SELECT 2 AS two"];
    assert_eq!(told(&all(&runner, &texts).await?[0]), r#"[{"a":1}]"#);
    client.batch_execute("ALTER TABLE warehouse.t ADD COLUMN b text DEFAULT 'x'").await?;
    let outcomes = all(&runner, &texts).await?;
    assert_eq!((told(&outcomes[0]), told(&outcomes[1])), (r#"[{"a":1,"b":"x"}]"#, r#"[{"two":2}]"#));
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                 WHERE application_name IN ('metricd', 'metricd snapshot') AND datname = current_database()";
    client.execute(ended, &[]).await?;
    let expensive = expensive("1 AS one");
    assert_eq!(told(&all(&runner, &[&expensive, &expensive]).await?[1]), r#"[{"one":1}]"#);
    Ok(())
}

#[tokio::test]
async fn many_at_once_share_a_few_connections_with_others() -> Result<()> {
    let database = TestDatabase::new().await?;
    let runner = runner(&database, 2)?;
    // The planner expects a million rows, as it cannot know that they are a hundredth of that. How long they take is not what
    // this is about.
    let series = "generate_series(1, (SELECT 100))";
    let expensive = format!("SELECT 1 AS one FROM (SELECT count(*) FROM {series} AS a, {series} AS b) AS many");
    let batches = (0..6).map(|_| async { all(&runner, &["SELECT 1 AS one", &expensive, &expensive]).await });
    let plain = (0..20).map(|_| async { rows(&runner, "SELECT 1 AS one").await });
    let both =
        futures_util::future::join(futures_util::future::join_all(batches), futures_util::future::join_all(plain));
    let (batches, plain) = timeout(Duration::from_secs(30), both).await.context("nobody waits for ever")?;
    for outcomes in batches {
        assert!(outcomes?.iter().all(|outcome| told(outcome) == r#"[{"one":1}]"#));
    }
    for rows in plain {
        assert_eq!(rows?, r#"[{"one":1}]"#);
    }
    Ok(())
}
