//! SQL that reads schemas of the operator's choice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use metricd_database::{DataSchemas, DatabaseUrl};
use metricd_domain::{Contract, Metric, MetricDefinition, MetricId, Period, QueryId, SqlText, TimeColumn};
use metricd_execution::{
    BoundStatement, Declarations, JsonRows, MetricRunner, MetricStatement, Permit, RunError, RunLimits, SnapshotRun,
    SqlValidationError, SqlValidator, Statement,
};
use metricd_postgres::{ReaderLimits, check_reader, prepare_reader};
use metricd_runner::{PgResolver, PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

const TABLES: &str = r#"
    CREATE SCHEMA sales;
    CREATE SCHEMA "Shop, 1";
    CREATE TYPE sales.state AS ENUM ('open', 'paid');
    CREATE FUNCTION sales.net(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 2';
    CREATE TABLE sales.orders (placed date, amount numeric, state sales.state);
    INSERT INTO sales.orders VALUES ('2025-01-01', 10, 'open'), ('2025-01-02', 20, 'paid');
    CREATE TABLE "Shop, 1".orders (placed date, amount numeric);
    INSERT INTO "Shop, 1".orders VALUES ('2025-01-01', 7);
    CREATE TABLE "Shop, 1".customers (name text);
    INSERT INTO "Shop, 1".customers VALUES ('ann');"#;

/// A database with tables in two schemas, a runner and a validator of SQL over both.
pub(crate) struct Shop {
    pub(crate) database: TestDatabase,
    pub(crate) runner: PgRunner,
    validator: SqlValidator,
}

impl Shop {
    pub(crate) async fn new() -> Result<Self> {
        let database = TestDatabase::new().await?;
        let client = database.connect().await?;
        client.batch_execute(TABLES).await?;
        let port: String = client.query_one("SHOW port", &[]).await?.get(0);
        let name = database.owner.database();
        // The settings of a role hold in all databases, and other tests use the common reader.
        let reader = DatabaseUrl::parse(format!("postgres://reader_{name}:pw@127.0.0.1:{port}/{name}"))?;
        let schemas = DataSchemas::new(["sales".to_owned(), "Shop, 1".to_owned()])?;
        let (owner, role, of_role) = (database.owner.clone(), reader.clone(), schemas.clone());
        spawn_blocking(move || {
            prepare_reader(&owner, &role, &of_role, ReaderLimits::default())?;
            check_reader(&role, &of_role)
        })
        .await??;
        let resolver = Arc::new(PgResolver::new(&database.owner, &schemas));
        let validator = SqlValidator::new(resolver, &BTreeSet::new()).await?;
        let runner = PgRunner::new(&reader, RunnerConfig { schemas, ..RunnerConfig::default() })?;
        Ok(Self { database, runner, validator })
    }

    /// The same with a validator that knows the types and functions that the schemas have now.
    async fn with_new_validator(self) -> Result<Self> {
        let schemas = DataSchemas::new(["sales".to_owned(), "Shop, 1".to_owned()])?;
        let resolver = Arc::new(PgResolver::new(&self.database.owner, &schemas));
        Ok(Self { validator: SqlValidator::new(resolver, &BTreeSet::new()).await?, ..self })
    }

    pub(crate) async fn validate(&self, sql: &str, time_column: Option<&str>) -> Result<Result<Contract, String>> {
        let sql = SqlText::parse(sql)?;
        let time_column = time_column.map(TimeColumn::parse).transpose()?;
        let declared = Declarations { parameters: &[], time_column: time_column.as_ref(), period: None };
        match self.validator.validate(&sql, declared).await {
            Ok(contract) => Ok(Ok(contract)),
            Err(SqlValidationError::Refused(findings)) => Ok(Err(findings[0].message.clone())),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn run(&self, sql: &str) -> Result<String> {
        self.run_with(&bound(sql)?, RunLimits::default()).await
    }

    pub(crate) async fn run_with(&self, statement: &BoundStatement, limits: RunLimits) -> Result<String> {
        let mut sink = JsonRows::default();
        self.runner.run(statement, None, limits, Permit::default(), &mut sink).await?;
        Ok(String::from_utf8(sink.finish())?)
    }

    pub(crate) async fn run_on_one_snapshot(&self, statement: &BoundStatement) -> Result<String> {
        let mut sink = JsonRows::default();
        let runs = vec![SnapshotRun { statement, limits: RunLimits::default(), sink: &mut sink }];
        let time = Duration::from_secs(20);
        let outcomes = self.runner.run_on_one_snapshot(runs, None, time, crate::permits()).await?.outcomes;
        outcomes.into_iter().next().context("one outcome")??;
        Ok(String::from_utf8(sink.finish())?)
    }

    /// The statement for a period since 2025.
    async fn narrowed(&self, sql: &str, time_column: &str) -> Result<BoundStatement> {
        let contract = self.validate(sql, Some(time_column)).await?.map_err(anyhow::Error::msg)?;
        assert!(matches!(contract.period(), Period::Narrowed(_)), "{:?}", contract.period());
        let mut metric = Metric::new(MetricId::parse("m1")?, QueryId::parse("q1")?, true);
        metric.time_column = Some(TimeColumn::parse(time_column)?);
        let definition = MetricDefinition::new(metric, SqlText::parse(sql)?, Some(contract));
        let given = BTreeMap::from([("start_date".to_owned(), "2025-01-01".to_owned())]);
        let bound = MetricStatement::of(&definition)?.bind(&given);
        Ok(bound.map_err(|faults| anyhow::anyhow!("{faults:?}"))?.0)
    }
}

pub(crate) fn bound(sql: &str) -> Result<BoundStatement> {
    Ok(BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(sql)?)?))
}

fn tables(contract: &Contract) -> Vec<String> {
    contract.tables().iter().map(|table| format!("{}.{} {}", table.schema, table.name, table.is_visible)).collect()
}

#[tokio::test]
async fn names_are_searched_in_the_order_of_the_schemas() -> Result<()> {
    let shop = Shop::new().await?;
    for (sql, read, rows) in [
        ("SELECT sum(amount) AS n FROM orders", vec!["sales.orders true"], r#"[{"n":30}]"#),
        ("SELECT sum(amount) AS n FROM \"Shop, 1\".orders", vec!["Shop, 1.orders false"], r#"[{"n":7}]"#),
        (
            "SELECT name, net(sum(amount)) AS n, 'open'::state AS s FROM customers, orders WHERE orders.state = 'open' GROUP BY name",
            vec!["Shop, 1.customers true", "sales.orders true"],
            r#"[{"name":"ann","n":5.0000000000000000,"s":"open"}]"#,
        ),
    ] {
        let contract = shop.validate(sql, None).await?.map_err(anyhow::Error::msg)?;
        assert_eq!(tables(&contract), read, "{sql}");
        assert_eq!(shop.run(sql).await?, rows, "{sql}");
        shop.runner.verify(&bound(sql)?, Some(&contract)).await?;
    }
    for (sql, message) in [
        ("SELECT * FROM warehouse.metrics", "only tables and views of the schemas `sales`, `Shop, 1`"),
        ("SELECT * FROM catalog.queries", "only tables and views of the schemas"),
        ("SELECT * FROM pg_class", "only tables and views of the schemas"),
        ("SELECT * FROM metrics", "metrics"),
    ] {
        let refused = shop.validate(sql, None).await?.err().context(sql)?;
        assert!(refused.contains(message), "{sql}: {refused}");
    }
    Ok(())
}

#[tokio::test]
async fn a_period_narrows_the_table_that_a_name_means() -> Result<()> {
    let shop = Shop::new().await?;
    let both = "SELECT count(*) AS n FROM orders UNION ALL SELECT count(*) FROM \"Shop, 1\".orders";
    for (time_column, schema) in [("sales.orders.placed", "sales"), ("Shop, 1.orders.placed", "Shop, 1")] {
        let contract = shop.validate(both, Some(time_column)).await?.map_err(anyhow::Error::msg)?;
        let Period::Narrowed(source) = contract.period() else { anyhow::bail!("{:?}", contract.period()) };
        assert_eq!(source.schema, schema);
    }
    let ambiguous = shop.validate(both, Some("orders.placed")).await?.err().context("two tables have it")?;
    assert!(ambiguous.ends_with("; write `Shop, 1.orders.placed` or `sales.orders.placed`"), "{ambiguous}");
    Ok(())
}

#[tokio::test]
async fn a_table_that_appears_in_an_earlier_schema_is_drift() -> Result<()> {
    let shop = Shop::new().await?;
    let sql = "SELECT name FROM customers";
    let contract = shop.validate(sql, None).await?.map_err(anyhow::Error::msg)?;
    shop.runner.verify(&bound(sql)?, Some(&contract)).await?;
    let create = "CREATE TABLE sales.customers (name text); GRANT SELECT ON ALL TABLES IN SCHEMA sales TO PUBLIC";
    shop.database.connect().await?.batch_execute(create).await?;
    let verified = shop.runner.verify(&bound(sql)?, Some(&contract)).await;
    assert!(matches!(verified, Err(RunError::Drifted)), "{verified:?}");
    Ok(())
}

/// Every way in which a statement runs, on several connections with prepared statements.
#[tokio::test]
async fn a_table_that_appears_in_an_earlier_schema_is_read_within_a_second() -> Result<()> {
    let shop = Shop::new().await?;
    let client = shop.database.connect().await?;
    client
        .batch_execute(
            "CREATE TABLE \"Shop, 1\".returns (placed date); INSERT INTO \"Shop, 1\".returns VALUES ('2025-01-01');
             GRANT SELECT ON \"Shop, 1\".returns TO PUBLIC",
        )
        .await?;
    let sql = "SELECT name FROM customers";
    let contract = shop.validate(sql, None).await?.map_err(anyhow::Error::msg)?;
    let fingerprint = async || shop.runner.fingerprint(contract.tables()).await;
    assert!(contract.fingerprint().is_some());
    assert_eq!(fingerprint().await?.as_deref(), contract.fingerprint());
    let (plain, narrowed) = (bound(sql)?, shop.narrowed("SELECT placed FROM returns", "returns.placed").await?);
    let answers = async |statement: &BoundStatement| -> Result<Vec<String>> {
        let concurrent = (0..8).map(|_| async {
            let json = shop.run_with(statement, RunLimits::default()).await?;
            let stream = RunLimits { write_timeout: Duration::from_secs(5), ..RunLimits::default() };
            Ok([json, shop.run_with(statement, stream).await?, shop.run_on_one_snapshot(statement).await?])
        });
        let concurrent: Result<Vec<[String; 3]>> = join_all(concurrent).await.into_iter().collect();
        let mut answers = concurrent?.concat();
        answers.dedup();
        Ok(answers)
    };
    for _ in 0..3 {
        assert_eq!(answers(&plain).await?, [r#"[{"name":"ann"}]"#]);
        assert_eq!(answers(&narrowed).await?, [r#"[{"placed":"2025-01-01"}]"#]);
    }
    let appear = "CREATE TABLE sales.customers (name text); CREATE TABLE sales.returns (placed date);
                  GRANT SELECT ON sales.customers, sales.returns TO PUBLIC";
    client.batch_execute(appear).await?;
    assert_ne!(fingerprint().await?.as_deref(), contract.fingerprint());
    sleep(Duration::from_secs(1)).await;
    for _ in 0..3 {
        assert_eq!(answers(&plain).await?, ["[]"]);
        assert_eq!(answers(&narrowed).await?, ["[]"]);
    }
    // The other way round, and a table with a column of another type.
    let disappear = "DROP TABLE sales.customers; ALTER TABLE sales.returns ALTER placed TYPE timestamptz";
    client.batch_execute(disappear).await?;
    assert_eq!(fingerprint().await?.as_deref(), contract.fingerprint());
    assert_eq!(answers(&plain).await?, [r#"[{"name":"ann"}]"#]);
    assert!(answers(&narrowed).await.is_err());
    Ok(())
}

/// A type of a trusted extension may be named if the extension is in a data schema.
#[tokio::test]
async fn an_extension_is_used_from_the_schema_in_which_it_is() -> Result<()> {
    let shop = Shop::new().await?;
    let client = shop.database.connect().await?;
    client
        .batch_execute(
            "CREATE EXTENSION citext SCHEMA \"Shop, 1\"; CREATE EXTENSION hstore SCHEMA public;
             CREATE TABLE sales.people (name \"Shop, 1\".citext, tags public.hstore);
             INSERT INTO sales.people VALUES ('Ann', 'a => 1'); GRANT SELECT ON sales.people TO PUBLIC",
        )
        .await?;
    let shop = shop.with_new_validator().await?;
    for sql in [
        "SELECT 'x'::citext = 'X' AS n, 'x'::\"Shop, 1\".citext AS c",
        "SELECT name, tags FROM people WHERE name = 'ANN' GROUP BY name, tags ORDER BY name",
    ] {
        let contract = shop.validate(sql, None).await?;
        assert!(contract.is_ok(), "{sql}: {contract:?}");
        shop.run(sql).await?;
    }
    for (sql, message) in [
        ("SELECT 'a => 1'::public.hstore AS h", "have the operator allow it with `--allow-type public.hstore`"),
        ("SELECT 'a => 1'::hstore AS h", "have the operator allow it with `--allow-type`"),
        ("SELECT public.akeys(tags) AS h FROM people", "the function `akeys` may not be called"),
    ] {
        let refused = shop.validate(sql, None).await?.err().context(sql)?;
        assert!(refused.contains(message), "{sql}: {refused}");
    }
    Ok(())
}

#[tokio::test]
async fn relations_are_named_with_their_schemas() -> Result<()> {
    let shop = Shop::new().await?;
    let relations = shop.runner.relations().await?;
    let names: Vec<_> =
        relations.iter().map(|relation| format!("{} {}", relation.qualified_name(), relation.is_visible)).collect();
    assert_eq!(names, ["Shop, 1.customers true", "Shop, 1.orders false", "sales.orders true"]);
    let count = |text: &str| relations.iter().filter(|relation| relation.is_named(text)).count();
    assert_eq!([count("orders"), count("Shop, 1.orders"), count("sales.orders"), count("metrics")], [1, 1, 1, 0]);
    Ok(())
}
