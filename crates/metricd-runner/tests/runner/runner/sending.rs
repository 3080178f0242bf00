//! When a run's statement is sent.

use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use futures_util::future::join_all;
use metricd_domain::SqlText;
use metricd_execution::{
    BoundStatement, Column, EncodeError, Fields, JsonRows, MetricRunner, Permit, RowSink, RunError, RunLimits,
    Statement,
};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use tokio::runtime::Handle;
use tokio_postgres::Client;

/// A sink for which a row is committed just when it is told that the statement is sent.
struct Committing<'a> {
    owner: &'a Client,
    rows: JsonRows,
    /// What has become of each.
    told: Vec<Result<(), tokio_postgres::Error>>,
}

#[async_trait]
impl RowSink for Committing<'_> {
    fn columns(&mut self, columns: &[Column]) -> Result<(), EncodeError> {
        self.rows.columns(columns)
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize) -> Result<bool, EncodeError> {
        self.rows.row(fields, max_bytes)
    }

    fn sent(&mut self) {
        let committing = self.owner.batch_execute("INSERT INTO warehouse.t VALUES (1)");
        // In a thread of its own: to wait within this one, whose runtime waits too, may take a wake from that.
        let runtime = Handle::current();
        let committed = thread::scope(|scope| scope.spawn(|| runtime.block_on(committing)).join());
        self.told.push(committed.unwrap_or_else(|panicked| resume_unwind(panicked)));
    }
}

struct Told {
    outcome: Result<String, RunError>,
    times: usize,
}

async fn run(runner: &PgRunner, owner: &Client, sql: &str, limits: RunLimits) -> Result<Told> {
    let statement = BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(sql)?)?);
    let mut sink = Committing { owner, rows: JsonRows::default(), told: Vec::new() };
    let outcome = runner.run(&statement, None, limits, Permit::default(), &mut sink).await;
    let Committing { rows, told, .. } = sink;
    let outcome = outcome.map(|_| String::from_utf8_lossy(&rows.finish()).into_owned());
    let told: Vec<()> = told.into_iter().collect::<Result<_, _>>()?;
    Ok(Told { outcome, times: told.len() })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_before_is_in_the_result() -> Result<()> {
    let waiting = RunLimits { write_timeout: Duration::from_secs(1), ..RunLimits::default() };
    for database in [TestDatabase::new().await?, TestDatabase::unhardened().await?] {
        let config =
            RunnerConfig { max_connections: 1, acquire_timeout: Duration::from_millis(100), ..RunnerConfig::default() };
        let (runner, owner) = (PgRunner::new(&database.reader, config)?, database.connect().await?);
        owner.batch_execute("CREATE TABLE warehouse.t (a integer)").await?;
        for (rows, limits) in [(1, RunLimits::default()), (2, RunLimits::default()), (3, waiting), (4, waiting)] {
            let told = run(&runner, &owner, "SELECT count(*) AS rows FROM t", limits).await?;
            assert_eq!((told.outcome?, told.times), (format!(r#"[{{"rows":{rows}}}]"#), 1));
        }

        let all = "SELECT * FROM t LIMIT 1";
        assert_eq!(run(&runner, &owner, all, RunLimits::default()).await?.times, 1);
        owner.batch_execute("ALTER TABLE warehouse.t ADD COLUMN b integer").await?;
        let told = run(&runner, &owner, all, RunLimits::default()).await?;
        assert_eq!((told.outcome?.as_str(), told.times), (r#"[{"a":1,"b":null}]"#, 2), "it is sent once more");

        let costly = run(&runner, &owner, all, RunLimits { cost: 0, ..RunLimits::default() }).await?;
        assert!(matches!(costly.outcome, Err(RunError::TooCostly { .. })) && costly.times == 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_statements_cost_one_round_trip() -> Result<()> {
    let database = TestDatabase::new().await?;
    let (runner, owner) = (PgRunner::new(&database.reader, RunnerConfig::default())?, database.connect().await?);
    owner.batch_execute("CREATE TABLE warehouse.t (a integer)").await?;
    let ask = || run(&runner, &owner, "SELECT count(*) FROM t", RunLimits::default());
    assert_eq!(ask().await?.outcome?, r#"[{"count":1}]"#);
    for round in 0..20 {
        // Each commits its row before the next one does.
        for (number, told) in (2..).zip(join_all([(); 5].map(|()| ask())).await) {
            let told = told?;
            let rows: usize = told.outcome?.trim_matches(|c: char| !c.is_ascii_digit()).parse()?;
            assert!(rows >= 5 * round + number, "{rows} in round {round}, as number {number}");
        }
    }
    Ok(())
}
