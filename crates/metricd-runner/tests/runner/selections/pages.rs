//! Pages, limits, and what they leave to a run's limits.

use std::time::Duration;

use anyhow::{Result, ensure};
use metricd_execution::{JsonRows, MetricRunner, Permit, RunError, RunLimits};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;

use super::{ALL, Select, bound, definition, ids};

async fn numbers() -> Result<(TestDatabase, PgRunner)> {
    let database = TestDatabase::new().await?;
    database
        .connect()
        .await?
        .batch_execute(
            "SET search_path = warehouse;
             CREATE TABLE numbers AS SELECT n AS id, n % 3 AS rest FROM generate_series(1, 10) AS n;
             CREATE TABLE many AS SELECT n AS id FROM generate_series(1, 200000) AS n;
             GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO metricd_reader; ANALYZE",
        )
        .await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig { max_connections: 1, ..RunnerConfig::default() })?;
    Ok((database, runner))
}

#[tokio::test]
async fn a_page_knows_whether_rows_follow() -> Result<()> {
    let (database, runner) = numbers().await?;
    let stored = definition(&database, "SELECT * FROM numbers ORDER BY id").await?;
    // Several times, so that they also run in batches.
    for _ in 0..3 {
        for (sort, filters, offset, limit, expected, is_truncated) in [
            ("", vec![], "0", "3", vec![1, 2, 3], true),
            ("", vec![], "3", "3", vec![4, 5, 6], true),
            ("", vec![], "9", "3", vec![10], false),
            ("", vec![], "10", "3", vec![], false),
            ("", vec![], "1000000", "3", vec![], false),
            ("", vec![], "7", "3", vec![8, 9, 10], false),
            ("-id", vec![], "0", "2", vec![10, 9], true),
            ("-id", vec![], "8", "2", vec![2, 1], false),
            ("rest,-id", vec![], "2", "4", vec![3, 10, 7, 4], true),
            ("", vec!["rest.eq.0"], "0", "3", vec![3, 6, 9], false),
            ("", vec!["rest.eq.0"], "0", "2", vec![3, 6], true),
            ("-id", vec!["rest.eq.0", "id.lt.9"], "1", "2", vec![3], false),
            ("-id", vec![], "0", "10", (1..=10).rev().collect(), false),
        ] {
            let select = Select { sort, filters: &filters, offset, limit };
            assert_eq!(ids(&runner, &stored, &[], select).await?, (expected, is_truncated), "{select:?}");
        }
    }
    Ok(())
}

/// All pages together are the result, if the sort is by a unique column.
#[tokio::test]
async fn pages_of_a_total_order_have_every_row_once() -> Result<()> {
    let (database, runner) = numbers().await?;
    let stored = definition(&database, "SELECT * FROM numbers").await?;
    let mut found = Vec::new();
    for offset in ["0", "4", "8"] {
        found.extend(ids(&runner, &stored, &[], Select { sort: "-rest,id", offset, limit: "4", ..ALL }).await?.0);
    }
    assert_eq!(found, [2, 5, 8, 1, 4, 7, 10, 3, 6, 9]);
    Ok(())
}

/// A small page does not hide what the statement costs: the estimate is that of all pages, and holds for all of them.
#[tokio::test]
async fn the_limit_of_the_cost_is_that_of_all_pages() -> Result<()> {
    let (database, runner) = numbers().await?;
    let stored = definition(&database, "SELECT a.id FROM many a, many b").await?;
    for (select, cost, is_refused) in [
        (Select { limit: "1", offset: "1", ..ALL }, 100_000, true),
        (Select { limit: "1", offset: "1", ..ALL }, u64::MAX, false),
        (Select { limit: "1", filters: &["id.gt.5"], ..ALL }, 100_000, true),
    ] {
        let limits = RunLimits { cost, ..RunLimits::default() };
        let statement = bound(&stored, &[], select)?;
        let outcome = runner.run(&statement, None, limits, Permit::default(), &mut JsonRows::default()).await;
        match outcome {
            Err(RunError::TooCostly { .. }) => ensure!(is_refused, "{select:?}"),
            Ok(_) => ensure!(!is_refused, "{select:?}"),
            other => anyhow::bail!("{select:?}: {other:?}"),
        }
    }
    Ok(())
}

/// PostgreSQL stops by itself after one row more than the limit, and keeps no more rows than that for a sort.
#[tokio::test]
async fn a_sort_keeps_only_the_rows_of_the_page() -> Result<()> {
    let (database, _runner) = numbers().await?;
    let client = database.connect().await?;
    let stored = definition(&database, "SELECT * FROM many").await?;
    let statement = bound(&stored, &[], Select { sort: "-id", limit: "5", ..ALL })?;
    let text = statement.text().replace("$1", "6").replace("$2", "0");
    client.batch_execute("SET search_path = warehouse").await?;
    let plan = client.query(&format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {text}"), &[]).await?;
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("top-N heapsort"), "{plan}");
    Ok(())
}

#[tokio::test]
async fn a_selection_has_the_time_limit_of_its_statement() -> Result<()> {
    let (database, runner) = numbers().await?;
    let stored = definition(&database, "SELECT a.id FROM many a, many b").await?;
    let statement = bound(&stored, &[], Select { sort: "-id", limit: "1", ..ALL })?;
    let limits = RunLimits { cost: u64::MAX, time: Duration::from_millis(200), ..RunLimits::default() };
    let outcome = runner.run(&statement, None, limits, Permit::default(), &mut JsonRows::default()).await;
    assert!(matches!(outcome, Err(RunError::TimedOut { .. })), "{outcome:?}");
    Ok(())
}
