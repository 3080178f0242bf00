//! Compares a statement under a tenant policy with the same statement with a condition in its SQL.
//!
//! `cargo run --release -p metricd-runner --example tenants`

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use metricd_domain::{SqlText, Tenant};
use metricd_execution::{BoundStatement, JsonRows, MetricRunner, Permit, RunLimits, Statement};
use metricd_postgres::tenant_key;
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use tokio::task::spawn_blocking;

/// How long each is run, in each round.
const ROUND: Duration = Duration::from_millis(500);

/// They are run in turns.
const ROUNDS: usize = 9;

/// 100 tenants with 300 rows each, once under a policy and once without.
const TABLES: &str = "
    CREATE TABLE warehouse.sales AS
        SELECT 'tenant ' || n % 100 AS tenant, n / 100 AS day, n AS amount FROM generate_series(0, 29999) AS n;
    CREATE INDEX ON warehouse.sales (tenant, day);
    CREATE TABLE warehouse.open_sales AS TABLE warehouse.sales;
    CREATE INDEX ON warehouse.open_sales (tenant, day);
    ALTER TABLE warehouse.sales ENABLE ROW LEVEL SECURITY;
    CREATE POLICY of_tenant ON warehouse.sales FOR SELECT USING (tenant = (SELECT tenancy.current_tenant()));
    ANALYZE warehouse.sales;
    ANALYZE warehouse.open_sales";

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "it is what this is for")]
async fn main() -> Result<()> {
    println!("{:10} {:>12} {:>10} {:>6}", "database", "condition µs", "tenant µs", "ratio");
    for (name, database) in [("hardened", TestDatabase::new().await?), ("other", TestDatabase::unhardened().await?)] {
        database.connect().await?.batch_execute(TABLES).await?;
        let owner = database.owner.clone();
        let key = spawn_blocking(move || tenant_key(&owner)).await??.into();
        let runner = PgRunner::new(&database.reader, RunnerConfig::default())?.naming_tenants_by(key);
        let tenant = Tenant::parse("tenant 7")?;
        let by_condition = statement("SELECT sum(amount) AS sum FROM open_sales WHERE tenant = 'tenant 7'")?;
        let by_policy = statement("SELECT sum(amount) AS sum FROM sales")?;
        let (mut conditions, mut policies) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            conditions.push(microseconds(&runner, &by_condition, None).await?);
            policies.push(microseconds(&runner, &by_policy, Some(&tenant)).await?);
        }
        let (condition, policy) = (median(conditions), median(policies));
        println!("{name:10} {condition:12.0} {policy:10.0} {:6.2}", policy / condition);
    }
    Ok(())
}

fn statement(sql: &str) -> Result<BoundStatement> {
    Ok(BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(sql)?)?))
}

/// How long a run takes, one after the other.
async fn microseconds(runner: &PgRunner, statement: &BoundStatement, tenant: Option<&Tenant>) -> Result<f64> {
    let began = Instant::now();
    let mut count = 0_u32;
    while began.elapsed() < ROUND {
        let mut rows = JsonRows::default();
        runner.run(statement, tenant, RunLimits::default(), Permit::default(), &mut rows).await?;
        // The sum of 7, 107, …, 29907: both see the same rows.
        ensure!(rows.finish() == br#"[{"sum":4487100}]"#, "not the rows of the tenant");
        count += 1;
    }
    Ok(began.elapsed().as_secs_f64() * 1_000_000.0 / f64::from(count))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
