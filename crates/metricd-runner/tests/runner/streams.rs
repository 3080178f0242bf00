//! Rows that are handed on while they are read.

use std::time::Duration;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use metricd_domain::{RowLimit, SqlText};
use metricd_execution::{
    BoundStatement, Column, CsvWriter, EncodeError, Fields, JsonRows, MetricRunner, Permit, RowSink, RowWriter,
    RunError, RunLimits, RunOutcome, Statement,
};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use tokio::time::Instant;

/// A sink that is full whenever it has more than some bytes, and notes what its runner does.
#[derive(Default)]
struct Chunked {
    writer: CsvWriter,
    chunk: Vec<u8>,
    max_bytes: usize,
    flushed: Vec<usize>,
    /// Whether nobody takes what it has.
    is_stuck: bool,
}

#[async_trait]
impl RowSink for Chunked {
    fn columns(&mut self, columns: &[Column]) -> Result<(), EncodeError> {
        self.writer.head(columns, &mut self.chunk)
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize) -> Result<bool, EncodeError> {
        assert!(!self.is_full(), "a sink that is full is handed a row");
        self.writer.row(fields, max_bytes, &mut self.chunk)
    }

    fn is_full(&self) -> bool {
        self.chunk.len() > self.max_bytes
    }

    async fn flush(&mut self) {
        if self.is_stuck {
            std::future::pending::<()>().await;
        }
        self.flushed.push(std::mem::take(&mut self.chunk).len());
    }
}

async fn run(
    runner: &PgRunner,
    sql: &str,
    limits: RunLimits,
    sink: &mut dyn RowSink,
) -> Result<Result<RunOutcome, RunError>> {
    let statement = BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(sql)?)?);
    Ok(runner.run(&statement, None, limits, Permit::default(), sink).await)
}

async fn runner() -> Result<(TestDatabase, PgRunner)> {
    let database = TestDatabase::unhardened().await?;
    let config = RunnerConfig { max_connections: 1, ..RunnerConfig::default() };
    let runner = PgRunner::new(&database.reader, config)?;
    Ok((database, runner))
}

fn patient(time: Duration, write_timeout: Duration) -> RunLimits {
    RunLimits { rows: RowLimit::STREAM_MAX, time, write_timeout, ..RunLimits::default() }
}

#[tokio::test]
async fn a_sink_that_is_full_is_flushed_before_the_next_row() -> Result<()> {
    let (_database, runner) = runner().await?;
    let mut sink = Chunked { max_bytes: 1_000, ..Chunked::default() };
    let limits = patient(Duration::from_secs(5), Duration::from_secs(5));
    let outcome = run(&runner, "SELECT generate_series(100001, 150000)", limits, &mut sink).await??;
    assert_eq!(outcome, RunOutcome { row_count: 50_000, truncated: false });
    assert!(sink.flushed.iter().all(|bytes| *bytes <= 1_008), "{:?}", sink.flushed);
    let total = sink.flushed.iter().sum::<usize>() + sink.chunk.len();
    assert_eq!(total, "generate_series\r\n".len() + 50_000 * 8);
    Ok(())
}

#[tokio::test]
async fn a_run_that_waits_too_long_for_its_sink_is_stopped_in_the_database() -> Result<()> {
    let (_database, runner) = runner().await?;
    let mut sink = Chunked { max_bytes: 100, is_stuck: true, ..Chunked::default() };
    let limits = patient(Duration::from_millis(100), Duration::from_millis(300));
    let sql = "SELECT repeat('x', 1000) FROM (SELECT generate_series(1, 1000000)) AS s";
    let began = Instant::now();
    let outcome = run(&runner, sql, limits, &mut sink).await?;
    assert!(matches!(outcome, Err(RunError::ClientTooSlow { limit }) if limit == limits.write_timeout), "{outcome:?}");
    assert!(began.elapsed() >= limits.write_timeout);
    // The only connection comes back.
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match run(&runner, "SELECT 1 AS one", RunLimits::default(), &mut JsonRows::default()).await? {
            Err(RunError::NoConnection { .. }) => ensure!(Instant::now() < deadline),
            outcome => {
                assert_eq!(outcome?.row_count, 1);
                return Ok(());
            }
        }
    }
}

#[tokio::test]
async fn a_run_with_a_write_timeout_has_the_time_limit_that_it_had_without() -> Result<()> {
    let (_database, runner) = runner().await?;
    let limits = patient(Duration::from_millis(100), Duration::from_secs(60));
    let began = Instant::now();
    let outcome = run(&runner, "SELECT pg_sleep(4)", limits, &mut Chunked::default()).await?;
    assert!(matches!(outcome, Err(RunError::TimedOut { limit }) if limit == limits.time), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
    Ok(())
}

/// PostgreSQL's own limit would count the time in which nobody reads.
#[tokio::test]
async fn only_a_run_with_a_write_timeout_is_given_more_time_by_postgresql() -> Result<()> {
    let (_database, runner) = runner().await?;
    let sql = "SELECT current_setting('statement_timeout') AS t";
    for (limits, expected) in [
        (patient(Duration::from_secs(5), Duration::from_secs(300)), "305s"),
        (RunLimits { time: Duration::from_secs(7), ..RunLimits::default() }, "5s"),
    ] {
        let mut rows = JsonRows::default();
        run(&runner, sql, limits, &mut rows).await??;
        assert_eq!(String::from_utf8(rows.finish())?, format!(r#"[{{"t":"{expected}"}}]"#));
    }
    Ok(())
}

#[tokio::test]
async fn postgresql_checks_for_its_client() -> Result<()> {
    let (_database, runner) = runner().await?;
    let limits = RunLimits::default();
    let off = "SELECT set_config('client_connection_check_interval', '0', false)";
    run(&runner, off, limits, &mut JsonRows::default()).await??;
    let mut rows = JsonRows::default();
    run(&runner, "SELECT current_setting('client_connection_check_interval') AS t", limits, &mut rows).await??;
    assert_eq!(String::from_utf8(rows.finish())?, r#"[{"t":"100ms"}]"#);
    Ok(())
}
