//! Two tenants on the same few connections, at full speed, with streams that are cut and statements that are given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use metricd_domain::RowLimit;
use metricd_execution::{Column, EncodeError, Fields, MetricRunner, Permit, RowSink, RunLimits, SnapshotRun};
use metricd_runner::PgRunner;
use metricd_test_support::TestDatabase;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{bound, keyed, tenant};
use crate::permits;

const TENANTS: [&str; 2] = ["red", "blue"];

/// So many tasks of each tenant, each of which asks so often, of so few connections.
const TASKS: usize = 4;
const TURNS: usize = 500;
const CONNECTIONS: usize = 3;

const ROWS_OF_EACH: usize = 3_000;

const COUNT: &str = "SELECT tenant, count(*) FROM orders GROUP BY tenant";
const LIST: &str = "SELECT tenant, number, repeat('x', 100) FROM orders";
const SLOW: &str =
    "SELECT a.tenant, a.number FROM orders AS a, orders AS b WHERE a.number % 7 = b.number % 5 AND a.number < 0";

/// What has become of the runs.
#[derive(Debug, Default)]
struct Counts {
    whole: AtomicUsize,
    cut: AtomicUsize,
    cancelled: AtomicUsize,
    rows: AtomicUsize,
}

/// Looks at the tenant of each row. After so many flushes it takes no more.
struct Watching {
    tenant: &'static str,
    rows: usize,
    foreign: Vec<String>,
    unflushed: usize,
    flushes_left: usize,
}

impl Watching {
    fn of(tenant: &'static str, flushes_left: usize) -> Self {
        Self { tenant, rows: 0, foreign: Vec::new(), unflushed: 0, flushes_left }
    }
}

#[async_trait]
impl RowSink for Watching {
    fn columns(&mut self, _: &[Column]) -> Result<(), EncodeError> {
        Ok(())
    }

    fn row(&mut self, mut fields: Fields<'_>, _: usize) -> Result<bool, EncodeError> {
        let tenant = fields.next().flatten().unwrap_or_default();
        if tenant != self.tenant.as_bytes() {
            self.foreign.push(String::from_utf8_lossy(tenant).into_owned());
        }
        self.rows += 1;
        self.unflushed += 1;
        Ok(true)
    }

    fn is_full(&self) -> bool {
        self.unflushed >= 100
    }

    async fn flush(&mut self) {
        if self.flushes_left == 0 {
            std::future::pending::<()>().await;
        }
        self.flushes_left -= 1;
        self.unflushed = 0;
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_tenants_never_see_a_row_of_each_other() -> Result<()> {
    for database in [TestDatabase::new().await?, TestDatabase::unhardened().await?] {
        let tables = format!(
            "CREATE TABLE warehouse.orders AS
                 SELECT tenant, n AS number FROM unnest(ARRAY['red', 'blue']) AS tenant, generate_series(1, {ROWS_OF_EACH}) AS n;
             ALTER TABLE warehouse.orders ENABLE ROW LEVEL SECURITY;
             CREATE POLICY of_tenant ON warehouse.orders FOR SELECT USING (tenant = (SELECT tenancy.current_tenant()))"
        );
        database.connect().await?.batch_execute(&tables).await?;
        let runner = keyed(&database, CONNECTIONS).await?;
        let counts = Arc::new(Counts::default());
        let mut tasks = JoinSet::new();
        for name in TENANTS {
            for task in 0..TASKS {
                let (runner, counts) = (runner.clone(), Arc::clone(&counts));
                tasks.spawn(async move {
                    for turn in 0..TURNS {
                        ask(&runner, name, task + turn, &counts).await?;
                    }
                    anyhow::Ok(())
                });
            }
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        let told = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        ensure!(told(&counts.whole) >= 2_000, "{counts:?}");
        ensure!(told(&counts.cut) >= 500 && told(&counts.cancelled) >= 500, "{counts:?}");
        show(&counts);
    }
    Ok(())
}

/// Asks once, in one of several ways, and looks at every row that comes.
async fn ask(runner: &PgRunner, name: &'static str, turn: usize, counts: &Counts) -> Result<()> {
    let tenant = tenant(name)?;
    let tenant = tenant.as_ref();
    let limits = RunLimits { time: Duration::from_secs(20), ..RunLimits::default() };
    let streaming = RunLimits { rows: RowLimit::STREAM_MAX, write_timeout: Duration::from_secs(20), ..limits };
    let mut sinks = Vec::new();
    match turn % 5 {
        0 | 1 => {
            let mut sink = Watching::of(name, usize::MAX);
            runner.run(&bound(COUNT)?, tenant, limits, Permit::default(), &mut sink).await?;
            ensure!(sink.rows == 1, "{} rows", sink.rows);
            counts.whole.fetch_add(1, Ordering::Relaxed);
            sinks.push(sink);
        }
        2 => {
            let statements = [bound(COUNT)?, bound("SELECT 1 / 0 FROM orders")?, bound(LIST)?];
            sinks.extend(statements.iter().map(|_| Watching::of(name, usize::MAX)));
            let limits = RunLimits { rows: RowLimit::parse("10000")?, ..limits };
            let runs = statements.iter().zip(&mut sinks);
            let runs = runs.map(|(statement, sink)| SnapshotRun { statement, limits, sink }).collect();
            let outcomes = runner.run_on_one_snapshot(runs, tenant, Duration::from_secs(20), permits()).await?.outcomes;
            ensure!(matches!(&outcomes[..], [Ok(_), Err(_), Ok(_)]), "{outcomes:?}");
            ensure!(sinks[2].rows == ROWS_OF_EACH, "{} rows", sinks[2].rows);
            counts.whole.fetch_add(1, Ordering::Relaxed);
        }
        3 => {
            let flushes = turn % 7;
            let mut sink = Watching::of(name, flushes);
            let run = timeout(Duration::from_millis(15), async {
                runner.run(&bound(LIST)?, tenant, streaming, Permit::default(), &mut sink).await?;
                anyhow::Ok(())
            });
            // It may not have come so far by then.
            ensure!(run.await.is_err(), "a stream was read to its end that nobody took");
            counts.cut.fetch_add(1, Ordering::Relaxed);
            sinks.push(sink);
        }
        _ => {
            let mut sink = Watching::of(name, usize::MAX);
            let run = timeout(Duration::from_millis(1 + turn as u64 % 4), async {
                runner.run(&bound(SLOW)?, tenant, limits, Permit::default(), &mut sink).await?;
                anyhow::Ok(())
            });
            match run.await {
                Ok(ended) => ended?,
                Err(_) => drop(counts.cancelled.fetch_add(1, Ordering::Relaxed)),
            }
            sinks.push(sink);
        }
    }
    for sink in sinks {
        ensure!(sink.foreign.is_empty(), "{name} has seen rows of {:?}", sink.foreign);
        counts.rows.fetch_add(sink.rows, Ordering::Relaxed);
    }
    Ok(())
}

/// Shows what has been counted, to whoever runs the test with `--nocapture`.
#[expect(clippy::print_stdout, reason = "the numbers are worth as much as that they are large enough")]
fn show(counts: &Counts) {
    println!("{counts:?}");
}
