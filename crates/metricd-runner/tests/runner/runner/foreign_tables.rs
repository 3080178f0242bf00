//! Tables whose rows another server has.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::future::join_all;
use metricd_execution::{MetricRunner, Permit, RemoteRelations, RunError, RunLimits, SnapshotScope};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use tokio_postgres::Client;

use super::snapshot_batch::{expensive, run_batch_with};
use super::{rows, run, sqlstate, until_running};

/// A database with a table `orders` of two partitions, each on a server of its own, and the first of these servers.
struct Sharded {
    database: TestDatabase,
    owner: Client,
    shard: TestDatabase,
    shard_owner: Client,
}

impl Sharded {
    async fn new() -> Result<Self> {
        let database = TestDatabase::new().await?;
        let (owner, shard, other) = (database.connect().await?, TestDatabase::new().await?, TestDatabase::new().await?);
        owner
            .batch_execute(
                "CREATE TABLE warehouse.orders (id integer, amount bigint, half integer) PARTITION BY LIST (half)",
            )
            .await?;
        let mut shard_owner = None;
        for (half, remote) in [(1, &shard), (2, &other)] {
            let remote_owner = remote.connect().await?;
            let table = format!(
                "CREATE TABLE warehouse.orders (id integer, amount bigint, half integer);
                 INSERT INTO warehouse.orders SELECT n, 0, {half} FROM generate_series(1, 100) AS n;
                 GRANT SELECT ON warehouse.orders TO metricd_reader"
            );
            remote_owner.batch_execute(&table).await?;
            let name = format!("half_{half}");
            let foreign = format!(
                "{}; CREATE FOREIGN TABLE warehouse.orders_{half} PARTITION OF warehouse.orders FOR VALUES IN ({half})
                 SERVER {name} OPTIONS (schema_name 'warehouse', table_name 'orders')",
                remote.foreign_server(&name)?
            );
            owner.batch_execute(&foreign).await?;
            shard_owner = shard_owner.or(Some(remote_owner));
        }
        owner.batch_execute("GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO metricd_reader").await?;
        Ok(Self { database, owner, shard, shard_owner: shard_owner.context("a shard")? })
    }

    fn runner(&self) -> Result<PgRunner> {
        let config =
            RunnerConfig { max_connections: 4, acquire_timeout: Duration::from_secs(5), ..RunnerConfig::default() };
        Ok(PgRunner::new(&self.database.reader, config)?.exporting_as(&self.database.owner)?)
    }
}

#[tokio::test]
async fn statements_on_one_connection_see_one_snapshot_of_each_server() -> Result<()> {
    let sharded = Sharded::new().await?;
    let writer = sharded.shard.connect().await?;
    let writing = tokio::spawn(async move {
        loop {
            writer.batch_execute("UPDATE warehouse.orders SET amount = amount + 1").await?;
        }
        #[expect(unreachable_code, reason = "names the type")]
        anyhow::Ok(())
    });
    let runner = sharded.runner()?;
    // More than one connection would run them in parallel.
    let sum = &expensive("(SELECT sum(amount)::bigint FROM orders) AS total");
    let failing = "SELECT sum(amount / (amount - amount))::bigint AS total FROM orders";
    let asked = [sum, failing, sum, sum].map(|sql| (sql, RunLimits::default()));
    let mut seen = BTreeSet::new();
    // Until the writer has written a few times meanwhile.
    while seen.len() < 4 {
        let outcomes = run_batch_with(&runner, &asked, Duration::from_secs(20), vec![Permit::default()]).await?;
        let totals: Vec<_> = [0, 2, 3].map(|index| outcomes[index].as_ref().ok().map(|(_, rows)| rows.as_str())).into();
        assert!(totals.iter().all(|total| total.is_some() && *total == totals[0]), "{outcomes:?}");
        assert!(matches!(&outcomes[1], Err(RunError::Failed { sqlstate, .. }) if sqlstate == "22012"), "{outcomes:?}");
        seen.extend(totals.into_iter().flatten().map(str::to_owned));
    }
    writing.abort();
    Ok(())
}

#[tokio::test]
async fn limits_and_cancel_requests_reach_the_other_servers() -> Result<()> {
    let sharded = Sharded::new().await?;
    sharded
        .shard_owner
        .batch_execute("INSERT INTO warehouse.orders SELECT n, n, 1 FROM generate_series(1, 20000) AS n; ANALYZE")
        .await?;
    let runner = sharded.runner()?;

    let costly = "SELECT count(*) AS n FROM orders_1 AS a, orders_1 AS b WHERE a.amount < b.amount";
    let limits = RunLimits { cost: 1_000, ..RunLimits::default() };
    assert!(matches!(run(&runner, costly, limits).await, Err(RunError::TooCostly { .. })));

    let endless = "SELECT count(*) AS n FROM orders_1 AS a, orders_1 AS b, orders_1 AS c WHERE a.id * b.id < c.id";
    let short = RunLimits { cost: u64::MAX, time: Duration::from_secs(5), ..RunLimits::default() };
    let (outcome, remote) = tokio::join!(run(&runner, endless, short), until_running(&sharded.shard_owner, "FETCH", 1));
    remote?;
    assert!(matches!(outcome, Err(RunError::TimedOut { .. })), "{outcome:?}");
    until_running(&sharded.shard_owner, "FETCH", 0).await?;

    // A client that has gone.
    let unlimited = RunLimits { cost: u64::MAX, time: Duration::from_secs(60), ..RunLimits::default() };
    tokio::select! {
        outcome = run(&runner, endless, unlimited) => bail!("{outcome:?}"),
        remote = until_running(&sharded.shard_owner, "FETCH", 1) => remote?,
    }
    until_running(&sharded.shard_owner, "FETCH", 0).await?;

    // The connections still serve.
    assert_eq!(rows(&runner, "SELECT count(*) AS n FROM orders_2").await?, r#"[{"n":100}]"#);
    Ok(())
}

#[tokio::test]
async fn a_statement_that_waits_for_other_servers_is_not_batched() -> Result<()> {
    let sharded = Sharded::new().await?;
    // Volatile functions end batching.
    sharded.owner.batch_execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC").await?;
    let runner = sharded.runner()?;
    // The statements of a batch share a transaction.
    let transactions = async |sql: &str| -> Result<usize> {
        rows(&runner, sql).await?;
        let mut fewest = usize::MAX;
        for _ in 0..20 {
            let outcomes = join_all((0..8).map(|_| rows(&runner, sql))).await;
            fewest = fewest.min(outcomes.into_iter().collect::<Result<BTreeSet<_>, _>>()?.len());
        }
        Ok(fewest)
    };
    assert!(transactions("SELECT now() AS at, pg_backend_pid() AS pid, count(*) AS n FROM metrics").await? < 8);
    assert_eq!(transactions("SELECT now() AS at, pg_backend_pid() AS pid, count(*) AS n FROM orders_1").await?, 8);
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_down_makes_the_database_unavailable() -> Result<()> {
    let sharded = Sharded::new().await?;
    let runner = sharded.runner()?;
    sharded.owner.batch_execute("ALTER SERVER half_1 OPTIONS (SET port '1')").await?;
    assert_eq!(sqlstate(&runner, "SELECT count(*) AS n FROM orders").await?, "08001");
    assert_eq!(rows(&runner, "SELECT count(*) AS n FROM orders_2").await?, r#"[{"n":100}]"#);
    sharded.owner.batch_execute("DROP USER MAPPING FOR metricd_reader SERVER half_2").await?;
    assert_eq!(sqlstate(&runner, "SELECT count(*) AS n FROM orders_2").await?, "42704");
    Ok(())
}

#[tokio::test]
async fn relations_with_rows_of_other_servers_are_found_through_views_and_parents() -> Result<()> {
    let sharded = Sharded::new().await?;
    let runner = sharded.runner()?;
    sharded
        .owner
        .batch_execute(
            "SET search_path = warehouse;
             CREATE VIEW by_id AS SELECT id FROM orders;
             CREATE SCHEMA other;
             CREATE VIEW other.ids AS SELECT id FROM by_id UNION SELECT 1;
             CREATE MATERIALIZED VIEW kept AS SELECT id FROM orders;
             CREATE VIEW of_kept AS SELECT id FROM kept;
             CREATE EXTENSION file_fdw;
             CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
             CREATE FOREIGN TABLE log (line text) SERVER files OPTIONS (filename '/dev/null');
             CREATE VIEW mixed AS SELECT id::text FROM orders UNION ALL SELECT line FROM log",
        )
        .await?;
    let scopes = |relations: &[(&str, &str, SnapshotScope)]| {
        relations.iter().map(|(schema, name, scope)| (((*schema).to_owned(), (*name).to_owned()), *scope)).collect()
    };
    let expected = scopes(&[
        ("other", "ids", SnapshotScope::PerServer),
        ("warehouse", "by_id", SnapshotScope::PerServer),
        ("warehouse", "log", SnapshotScope::None),
        ("warehouse", "mixed", SnapshotScope::None),
        ("warehouse", "orders", SnapshotScope::PerServer),
        ("warehouse", "orders_1", SnapshotScope::PerServer),
        ("warehouse", "orders_2", SnapshotScope::PerServer),
    ]);
    assert_eq!(
        runner.remote_relations().await?,
        RemoteRelations { default_scope: SnapshotScope::Database, scopes: expected }
    );
    Ok(())
}

/// Only the name of the extension counts here.
#[tokio::test]
async fn a_database_with_citus_promises_no_snapshot() -> Result<()> {
    let database = TestDatabase::new().await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    assert_eq!(runner.remote_relations().await?, RemoteRelations::default());
    let owner = database.connect().await?;
    owner
        .batch_execute("CREATE EXTENSION hstore; UPDATE pg_extension SET extname = 'citus' WHERE extname = 'hstore'")
        .await?;
    let distributed = RemoteRelations { default_scope: SnapshotScope::None, ..RemoteRelations::default() };
    assert_eq!(runner.remote_relations().await?, distributed);

    owner
        .batch_execute(
            "CREATE TABLE warehouse.orders (tenant text);
             ALTER TABLE warehouse.orders ENABLE ROW LEVEL SECURITY;
             CREATE POLICY isolation ON warehouse.orders USING (tenant = (SELECT tenancy.current_tenant()));
             GRANT SELECT ON warehouse.orders TO metricd_reader",
        )
        .await?;
    let relations = runner.relations().await?;
    let orders = relations.iter().find(|relation| relation.name == "orders").context("the table")?;
    assert_eq!(orders.gap.as_deref(), Some("Citus may distribute it, and its workers do not know the tenant"));
    Ok(())
}
