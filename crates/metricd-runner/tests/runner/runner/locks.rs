//! Statements that wait for a lock, and what they leave to others.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use metricd_execution::{MetricRunner, RunError, RunLimits};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;

use super::snapshot_batch::run_batch;
use super::{rows, run};

const CONNECTIONS: usize = 8;

/// How many of them statements behind a lock may have.
const QUARTER: i64 = 2;

/// Reads the table that is locked.
const LOCKED: &str = "SELECT count(*) AS n FROM metrics";

/// Reads another one.
const OTHER: &str = "SELECT n FROM other";

const LONG: Duration = Duration::from_secs(20);

async fn runner() -> Result<(TestDatabase, PgRunner)> {
    let database = TestDatabase::new().await?;
    let script = "CREATE TABLE warehouse.other (n integer); INSERT INTO warehouse.other VALUES (7);
                  GRANT SELECT ON warehouse.other TO metricd_reader";
    database.connect().await?.batch_execute(script).await?;
    let config =
        RunnerConfig { max_connections: CONNECTIONS, acquire_timeout: Duration::from_secs(2), ..Default::default() };
    let runner = PgRunner::new(&database.reader, config)?.exporting_as(&database.owner)?;
    Ok((database, runner))
}

#[tokio::test]
async fn statements_behind_a_lock_leave_connections_to_others() -> Result<()> {
    let (database, runner) = runner().await?;
    let client = database.connect().await?;
    let mut locker = database.connect().await?;
    let lock = locker.transaction().await?;
    lock.batch_execute("LOCK TABLE warehouse.metrics").await?;
    let readers: Vec<_> = (0..12)
        .map(|index| {
            let (runner, sql) = (runner.clone(), format!("SELECT count(*) + {index} AS n FROM metrics"));
            tokio::spawn(async move {
                loop {
                    let outcome = rows(&runner, &sql).await;
                    if !matches!(outcome, Err(RunError::TableLocked)) {
                        return outcome;
                    }
                }
            })
        })
        .collect();
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'warehouse.metrics'::regclass
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        assert_eq!(rows(&runner, OTHER).await?, r#"[{"n":7}]"#, "after {:?}", began.elapsed());
        runner.check().await?;
        let waiting: i64 = client.query_one(waiting, &[]).await?.get(0);
        // Until then each of them has to find out.
        let is_known = began.elapsed() > Duration::from_secs(2);
        assert!(!is_known || waiting <= QUARTER, "{waiting} wait");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    lock.commit().await?;
    for (index, reader) in readers.into_iter().enumerate() {
        assert_eq!(reader.await??, format!(r#"[{{"n":{index}}}]"#));
    }
    Ok(())
}

#[tokio::test]
async fn of_several_statements_those_behind_a_lock_do_not_keep_the_others_waiting() -> Result<()> {
    let (database, runner) = runner().await?;
    let mut locker = database.connect().await?;
    let lock = locker.transaction().await?;
    lock.batch_execute("LOCK TABLE warehouse.metrics").await?;
    let behind: Vec<_> = (0..6).map(|index| format!("SELECT count(*) + {index} AS n FROM metrics")).collect();
    let mut asked: Vec<_> = behind.iter().map(|sql| (sql.as_str(), RunLimits::default())).collect();
    asked.push((OTHER, RunLimits::default()));
    let outcomes = run_batch(&runner, &asked, LONG).await?;
    let (last, others) = outcomes.split_last().unwrap();
    assert!(last.is_ok() && others.iter().all(|one| matches!(one, Err(RunError::TableLocked))), "{outcomes:?}");

    // Behind a few that try again, the others are refused at once.
    let trying: Vec<_> = behind.iter().take(2).map(|sql| rows(&runner, sql)).collect();
    let trying = futures_util::future::join_all(trying);
    let batch = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        let outcomes = run_batch(&runner, &asked, LONG).await?;
        ensure!(outcomes.last().is_some_and(Result::is_ok), "{outcomes:?}");
        anyhow::Ok(began.elapsed())
    };
    let (_, took) = tokio::join!(trying, batch);
    assert!(took? < Duration::from_millis(2_500), "each of them waited once more");
    lock.commit().await?;
    let outcomes = super::snapshot_batch::run_batch(&runner, &asked, LONG).await?;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    Ok(())
}

#[tokio::test]
async fn a_statement_that_is_prepared_waits_for_a_lock_once() -> Result<()> {
    let (database, runner) = runner().await?;
    rows(&runner, LOCKED).await?;
    let mut locker = database.connect().await?;
    let lock = locker.transaction().await?;
    lock.batch_execute("LOCK TABLE warehouse.metrics").await?;
    for limits in [RunLimits::default(), RunLimits { write_timeout: LONG, ..RunLimits::default() }] {
        let began = Instant::now();
        let outcome = run(&runner, LOCKED, limits).await;
        assert!(matches!(outcome, Err(RunError::TableLocked)), "{outcome:?}");
        assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    }
    lock.commit().await?;
    assert_eq!(rows(&runner, LOCKED).await?, r#"[{"n":0}]"#);
    Ok(())
}
