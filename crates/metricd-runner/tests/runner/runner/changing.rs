//! What statements were prepared against changes, or goes and comes again.

mod load;

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use metricd_domain::{Metric, MetricDefinition, MetricId, QueryId, SqlText};
use metricd_execution::{JsonRows, MetricRunner, MetricStatement, Permit, RunLimits};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use tokio_postgres::Client;

use super::rows;
use super::wire::Wire;

/// Runs of one statement, before and after each change. The statement is prepared, sent alone, with others, and together.
async fn goes_on(make: &str, sql: &str, changes: &[(&str, &str)]) -> Result<()> {
    for database in [TestDatabase::new().await?, TestDatabase::unhardened().await?] {
        let client = database.connect().await?;
        client.batch_execute(make).await?;
        let runner = PgRunner::new(&database.reader, RunnerConfig { max_connections: 1, ..RunnerConfig::default() })?;
        for (change, expected) in changes {
            client.batch_execute(change).await.with_context(|| (*change).to_owned())?;
            for _ in 0..3 {
                assert_eq!(rows(&runner, sql).await?, *expected, "{sql} after {change}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_enum_may_be_replaced_by_another_of_its_name() -> Result<()> {
    goes_on(
        "CREATE TYPE warehouse.state AS ENUM ('a', 'b'); CREATE TABLE warehouse.t (s warehouse.state, n integer);
         INSERT INTO warehouse.t VALUES ('a', 1)",
        "SELECT s, array_agg(s) AS all, count(*) AS n FROM t WHERE s = 'a' GROUP BY s",
        &[
            ("", r#"[{"s":"a","all":["a"],"n":1}]"#),
            (
                "CREATE TYPE warehouse.new AS ENUM ('a', 'b', 'c');
                 ALTER TABLE warehouse.t ALTER s TYPE warehouse.new USING s::text::warehouse.new;
                 DROP TYPE warehouse.state; ALTER TYPE warehouse.new RENAME TO state",
                r#"[{"s":"a","all":["a"],"n":1}]"#,
            ),
            ("INSERT INTO warehouse.t VALUES ('a', 2)", r#"[{"s":"a","all":["a","a"],"n":2}]"#),
        ],
    )
    .await
}

#[tokio::test]
async fn what_a_statement_reads_may_be_dropped_and_made_again() -> Result<()> {
    let table = "CREATE TABLE warehouse.t AS SELECT 1 AS n";
    goes_on(table, "SELECT n FROM t", &[
        ("", r#"[{"n":1}]"#),
        ("DROP TABLE warehouse.t; CREATE TABLE warehouse.t AS SELECT 2 AS n", r#"[{"n":2}]"#),
        ("DROP TABLE warehouse.t; CREATE VIEW warehouse.t AS SELECT 3.5 AS n; GRANT SELECT ON warehouse.t TO PUBLIC", r#"[{"n":3.5}]"#),
        ("DROP VIEW warehouse.t; CREATE TABLE warehouse.t AS SELECT interval '4 days' AS n", r#"[{"n":"4 days"}]"#),
    ])
    .await?;
    let function = "CREATE FUNCTION warehouse.f() RETURNS integer STABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'";
    goes_on(
        function,
        "SELECT f() AS n",
        &[
            ("", r#"[{"n":1}]"#),
            (
                "DROP FUNCTION warehouse.f;
             CREATE FUNCTION warehouse.f() RETURNS text STABLE LANGUAGE plpgsql AS $$BEGIN RETURN 'two'; END$$",
                r#"[{"n":"two"}]"#,
            ),
            (
                "CREATE OR REPLACE FUNCTION warehouse.f() RETURNS text STABLE LANGUAGE sql AS $$SELECT 'three'$$",
                r#"[{"n":"three"}]"#,
            ),
        ],
    )
    .await?;
    let domain =
        "CREATE DOMAIN warehouse.amount AS integer; CREATE TYPE warehouse.pair AS (a integer, b warehouse.amount)";
    goes_on(domain, "SELECT 1::amount AS a, ARRAY[1::amount] AS l, ROW(1, 2)::pair AS p", &[
        ("", r#"[{"a":1,"l":[1],"p":"(1,2)"}]"#),
        (
            "DROP TYPE warehouse.pair; DROP DOMAIN warehouse.amount; CREATE DOMAIN warehouse.amount AS interval day;
             CREATE FUNCTION warehouse.days(integer) RETURNS warehouse.amount IMMUTABLE LANGUAGE sql AS 'SELECT make_interval(days => $1)';
             CREATE CAST (integer AS interval) WITH FUNCTION warehouse.days(integer);
             CREATE TYPE warehouse.pair AS (a text, b integer)",
            r#"[{"a":"1 day","l":["1 day"],"p":"(1,2)"}]"#,
        ),
    ])
    .await
}

/// A parameter has the type that its statement was prepared with, which goes with the enum.
#[tokio::test]
async fn the_type_of_a_parameter_may_be_replaced() -> Result<()> {
    for database in [TestDatabase::new().await?, TestDatabase::unhardened().await?] {
        let client = database.connect().await?;
        client
            .batch_execute("CREATE TYPE warehouse.state AS ENUM ('a'); CREATE TABLE warehouse.t (s warehouse.state)")
            .await?;
        client.batch_execute("INSERT INTO warehouse.t VALUES ('a')").await?;
        let runner = PgRunner::new(&database.reader, RunnerConfig { max_connections: 1, ..RunnerConfig::default() })?;
        let metric = Metric::new(MetricId::parse("m")?, QueryId::parse("q")?, true);
        let sql = SqlText::parse("SELECT count(*) AS n FROM t WHERE s = :s")?;
        let statement = MetricStatement::of(&MetricDefinition::new(metric, sql, None))?;
        let ask = async |value: &str| {
            let mut rows = JsonRows::default();
            let given = [("s".to_owned(), value.to_owned())].into();
            let bound = statement.bind(&given).map_err(|faults| anyhow::anyhow!("{faults:?}"))?.0;
            runner.run(&bound, None, RunLimits::default(), Permit::default(), &mut rows).await?;
            anyhow::Ok(String::from_utf8(rows.finish())?)
        };
        for _ in 0..3 {
            assert_eq!(ask("a").await?, r#"[{"n":1}]"#);
        }
        let replace = "CREATE TYPE warehouse.new AS ENUM ('a', 'c');
                       ALTER TABLE warehouse.t ALTER s TYPE warehouse.new USING s::text::warehouse.new;
                       ALTER TYPE warehouse.state RENAME TO old; ALTER TYPE warehouse.new RENAME TO state";
        client.batch_execute(replace).await?;
        // The former type is still there, and does not have the value.
        assert_eq!(ask("c").await?, r#"[{"n":0}]"#);
        client.batch_execute("ALTER TABLE warehouse.t ALTER s TYPE text; DROP TYPE warehouse.state").await?;
        for (value, n) in [("a", 1), ("anything", 0)] {
            assert_eq!(ask(value).await?, format!(r#"[{{"n":{n}}}]"#));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_types_that_are_read_are_those_of_the_statement_that_ran() -> Result<()> {
    let answers = load::ask_while_types_change(3_000).await?;
    let count = |counter: &std::sync::atomic::AtomicUsize| counter.load(Ordering::Relaxed);
    assert_eq!((count(&answers.wrong), count(&answers.failed)), (0, 0), "{answers:?}");
    assert!(count(&answers.changes) > 4, "{answers:?}");
    Ok(())
}

/// One after the other, not all at once: what is asked for again and again stays prepared.
#[tokio::test]
async fn the_least_recently_used_statement_is_evicted_first() -> Result<()> {
    // Where each statement is sent by itself, whatever it costs.
    let database = TestDatabase::unhardened().await?;
    let (wire, url) = Wire::listen(&database.connect().await?).await?;
    let runner = PgRunner::new(&url, RunnerConfig { max_connections: 1, ..RunnerConfig::default() })?;
    let often = "SELECT 'often' AS a";
    rows(&runner, often).await?;
    for number in 0..600 {
        rows(&runner, &format!("SELECT {number} AS n")).await?;
        wire.round_trips();
        rows(&runner, often).await?;
        assert_eq!(wire.round_trips(), 1, "after {number} others");
    }
    Ok(())
}

/// A table that is rewritten is empty to every snapshot from before.
#[tokio::test]
async fn a_run_that_waits_for_a_table_to_be_rewritten_has_its_rows() -> Result<()> {
    for isolation in ["read committed", "repeatable read", "serializable"] {
        for database in [TestDatabase::new().await?, TestDatabase::unhardened().await?] {
            let client = database.connect().await?;
            let set = format!(
                "ALTER DATABASE {} SET default_transaction_isolation = '{isolation}'",
                database.owner.database()
            );
            client.batch_execute(&format!("CREATE TABLE warehouse.t AS SELECT 1 AS n; {set}")).await?;
            let runner =
                PgRunner::new(&database.reader, RunnerConfig { max_connections: 1, ..RunnerConfig::default() })?;
            assert_eq!(rows(&runner, "SELECT n FROM t").await?, r#"[{"n":1}]"#);
            client.batch_execute("BEGIN; TRUNCATE warehouse.t; INSERT INTO warehouse.t VALUES (2)").await?;
            let asking = tokio::spawn(async move { rows(&runner, "SELECT n FROM t").await });
            until_waiting(&client, "warehouse.t").await?;
            client.batch_execute("COMMIT").await?;
            assert_eq!(asking.await??, r#"[{"n":2}]"#, "{isolation}");
        }
    }
    Ok(())
}

/// Waits until somebody waits for a lock on the table.
async fn until_waiting(client: &Client, table: &str) -> Result<()> {
    let waiting = format!("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass");
    while client.query_one(&waiting, &[]).await?.get::<_, i64>(0) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
