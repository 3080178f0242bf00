//! Where a run's time goes.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use metricd_domain::SqlText;
use metricd_execution::{
    BoundStatement, Column, EncodeError, Fields, MetricRunner, Permit, RowSink, RunError, RunLimits, RunOutcome,
    RunTiming, SnapshotBatchOutcome, SnapshotRun, Statement,
};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;

use super::{runner, until_running};
use crate::permits;

/// Some tenths of a second, and a row.
const DEAR: &str = "SELECT count(*) FROM generate_series(1, 2000000) AS n";

const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 1000000000000) AS n";

/// A sink that takes so long for each row, is full after each, and then waits for so long.
#[derive(Debug, Default)]
struct Slow {
    encode: Duration,
    flush: Duration,
    told: Vec<RunTiming>,
}

#[async_trait]
impl RowSink for Slow {
    fn columns(&mut self, _: &[Column]) -> Result<(), EncodeError> {
        assert_eq!(self.told.len(), 1, "it is told before the columns");
        Ok(())
    }

    fn row(&mut self, _: Fields<'_>, _: usize) -> Result<bool, EncodeError> {
        sleep(self.encode);
        Ok(true)
    }

    fn is_full(&self) -> bool {
        !self.flush.is_zero()
    }

    fn timed(&mut self, timing: RunTiming) {
        self.told.push(timing);
    }

    async fn flush(&mut self) {
        tokio::time::sleep(self.flush).await;
    }
}

fn statement(sql: &str) -> Result<BoundStatement> {
    Ok(BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(sql)?)?))
}

/// How a run has ended, what its sink was told, and how long it took.
struct Told {
    outcome: Result<RunOutcome, RunError>,
    timings: Vec<RunTiming>,
    elapsed: Duration,
}

impl Told {
    async fn of(runner: &PgRunner, sql: &str, limits: RunLimits, mut sink: Slow) -> Result<Self> {
        let (statement, began) = (statement(sql)?, Instant::now());
        let outcome = runner.run(&statement, None, limits, Permit::default(), &mut sink).await;
        Ok(Self { outcome, timings: sink.told, elapsed: began.elapsed() })
    }

    fn last(&self) -> RunTiming {
        self.timings.last().copied().unwrap_or_default()
    }
}

fn sum(timing: RunTiming) -> Duration {
    timing.queue + timing.database + timing.encode
}

#[tokio::test]
async fn most_of_an_expensive_run_is_database_time() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    // Opening the connection is the queue's.
    Told::of(&runner, "SELECT 1", RunLimits::default(), Slow::default()).await?;
    let told = Told::of(&runner, DEAR, RunLimits::default(), Slow::default()).await?;
    let RunTiming { queue, database, encode } = told.last();
    assert!(told.outcome.is_ok() && database > 4 * (queue + encode), "{:?}", told.timings);
    assert!(sum(told.last()) <= told.elapsed && told.elapsed < sum(told.last()) * 11 / 10, "{:?}", told.timings);
    // Before the columns, nothing was encoded.
    assert!(told.timings[0].encode.is_zero() && told.timings[0].database > database / 2, "{:?}", told.timings);
    Ok(())
}

#[tokio::test]
async fn slow_rows_are_database_time() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    // PostgreSQL sends them as they come, since each fills a piece of its own.
    let sql = "SELECT repeat('x', 9000), (SELECT count(*) FROM generate_series(1, 200000) AS m WHERE m > n)
               FROM generate_series(1, 20) AS n";
    let told = Told::of(&runner, sql, RunLimits::default(), Slow::default()).await?;
    let RunTiming { database, encode, .. } = told.last();
    assert!(told.timings[0].database < database / 2 && encode < database / 4, "{:?}", told.timings);
    Ok(())
}

#[tokio::test]
async fn encoding_is_not_database_time() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    let sql = "SELECT generate_series(1, 100)";
    Told::of(&runner, sql, RunLimits::default(), Slow::default()).await?;
    let slow = Slow { encode: Duration::from_millis(5), ..Slow::default() };
    let told = Told::of(&runner, sql, RunLimits::default(), slow).await?;
    let RunTiming { database, encode, .. } = told.last();
    assert!(encode >= Duration::from_millis(500) && database < encode / 2, "{:?}", told.timings);
    Ok(())
}

#[tokio::test]
async fn backpressure_counts_as_no_part_of_the_time() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    let limits = RunLimits { write_timeout: Duration::from_secs(5), ..RunLimits::default() };
    let sql = "SELECT generate_series(1, 5)";
    Told::of(&runner, sql, limits, Slow::default()).await?;
    let slow = Slow { encode: Duration::from_millis(20), flush: Duration::from_millis(100), ..Slow::default() };
    let told = Told::of(&runner, sql, limits, slow).await?;
    assert!(told.elapsed >= Duration::from_millis(500), "{:?}", told.elapsed);
    assert!(told.last().encode >= Duration::from_millis(100), "{:?}", told.timings);
    assert!(sum(told.last()) + Duration::from_millis(500) <= told.elapsed, "{:?}", told.timings);
    Ok(())
}

#[tokio::test]
async fn a_run_that_is_stopped_tells_its_time() -> Result<()> {
    let (_database, runner) = runner(1).await?;
    let time = Duration::from_millis(200);
    let limits = RunLimits { time, cost: u64::MAX, ..RunLimits::default() };
    let told = Told::of(&runner, ENDLESS, limits, Slow::default()).await?;
    assert!(matches!(told.outcome, Err(RunError::TimedOut { .. })), "{:?}", told.outcome);
    assert!(told.last().database >= time && sum(told.last()) <= told.elapsed, "{:?}", told.timings);
    Ok(())
}

#[tokio::test]
async fn most_of_a_run_without_a_free_connection_is_queue_time() -> Result<()> {
    for (acquire_timeout, is_free_in_time) in [(Duration::from_millis(200), false), (Duration::from_secs(20), true)] {
        let database = TestDatabase::new().await?;
        let runner = PgRunner::new(
            &database.reader,
            RunnerConfig { max_connections: 1, acquire_timeout, ..RunnerConfig::default() },
        )?;
        let limits = RunLimits { time: Duration::from_secs(1), cost: u64::MAX, ..RunLimits::default() };
        let busy = runner.clone();
        let busy = tokio::spawn(async move { Told::of(&busy, ENDLESS, limits, Slow::default()).await });
        until_running(&database.connect().await?, "1000000000000", 1).await?;
        let told = Told::of(&runner, "SELECT 1", RunLimits::default(), Slow::default()).await?;
        let RunTiming { queue, database, encode } = told.last();
        assert_eq!(told.outcome.is_ok(), is_free_in_time, "{:?}", told.outcome);
        assert!(queue >= Duration::from_millis(200) && queue > 4 * (database + encode), "{:?}", told.timings);
        busy.await??;
    }
    Ok(())
}

#[tokio::test]
async fn several_tell_the_time_of_all_of_them_by_the_clock() -> Result<()> {
    let (database, runner) = runner(3).await?;
    let runner = runner.exporting_as(&database.owner)?;
    let statements = ["SELECT generate_series(1, 10)", "SELECT 1", DEAR, DEAR].map(statement);
    let statements = statements.into_iter().collect::<Result<Vec<_>>>()?;
    let slow = || Slow { encode: Duration::from_millis(5), told: vec![RunTiming::default()], ..Slow::default() };
    let mut sinks = [slow(), slow(), slow(), slow()];
    let run = |(statement, sink)| SnapshotRun { statement, limits: RunLimits::default(), sink };
    let runs = statements.iter().zip(sinks.iter_mut().map(|sink| sink as &mut dyn RowSink)).map(run).collect();
    let began = Instant::now();
    let SnapshotBatchOutcome { outcomes, timing } =
        runner.run_on_one_snapshot(runs, None, Duration::from_secs(20), permits()).await?;
    let elapsed = began.elapsed();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert!(timing.encode >= Duration::from_millis(5 * 13), "{timing:?}");
    assert!(timing.database > timing.queue + timing.encode, "{timing:?}");
    assert!(sum(timing) <= elapsed && elapsed < sum(timing) * 11 / 10, "{timing:?}, {elapsed:?}");
    Ok(())
}
