//! Periods against PostgreSQL.

mod meaning;
mod narrowing;
mod statements;
mod time_zones;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result};
use metricd_database::DataSchemas;
use metricd_domain::{
    Metric, MetricDefinition, MetricId, Period, PeriodApply, PeriodDeclaration, QueryId, SqlText, TimeColumn,
};
use metricd_execution::{
    BoundStatement, Declarations, JsonRows, MetricRunner, MetricStatement, Permit, RunLimits, SqlValidator, Statement,
};
use metricd_runner::{PgResolver, PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use serde_json::Value;

/// Tables of several shapes: with a dropped column, with inheritance, partitioned, with a function that has the name of a
/// column, with names outside of ASCII.
const WAREHOUSE: &str = r#"
    SET search_path = warehouse;
    CREATE TABLE sales (id integer PRIMARY KEY, gone integer, day date NOT NULL, amount numeric, kind text, tags text[]);
    ALTER TABLE sales DROP COLUMN gone;
    CREATE TABLE old_sales () INHERITS (sales);
    CREATE TABLE shops (shop_id integer PRIMARY KEY, kind text, name text);
    CREATE VIEW good_sales AS SELECT id, day, amount FROM sales WHERE amount > 2;
    CREATE TABLE visits (id integer, at timestamptz NOT NULL, note text) PARTITION BY RANGE (at);
    CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (MINVALUE) TO ('2025-06-10');
    CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2025-06-10') TO (MAXVALUE);
    CREATE TABLE "AUFTRÄGE" (id integer, tag date);
    CREATE TABLE stock (id integer, day date);
    INSERT INTO shops VALUES (1, 'a', 'north'), (2, 'b', 'south');
    CREATE FUNCTION doubled(sales) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1.amount * 2';
    CREATE FUNCTION label(record) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN 'any row'; END $$;
"#;

/// Inserts the rows of these days of June 2025.
fn rows(first: u32, last: u32) -> String {
    format!(
        "SET search_path = warehouse;
         INSERT INTO sales SELECT n, date '2025-05-31' + n, n % 5, CASE n % 2 WHEN 0 THEN 'a' ELSE 'b' END, ARRAY[n::text]
         FROM generate_series({first}, {last}) AS n;
         INSERT INTO old_sales SELECT 100 + n, date '2025-05-31' + n, n, 'a' FROM generate_series({first}, {last}) AS n WHERE n % 3 = 0;
         INSERT INTO visits SELECT n, timestamptz '2025-05-31 23:59:59.999999Z' + n * interval '1 day', 'note ' || n
         FROM generate_series({first}, {last}) AS n;
         INSERT INTO \"AUFTRÄGE\" SELECT n, date '2025-05-31' + n FROM generate_series({first}, {last}) AS n;
         INSERT INTO stock SELECT n, date '2025-05-31' + n FROM generate_series({first}, {last}) AS n;
         GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO metricd_reader;
         ANALYZE;"
    )
}

/// A database whose warehouse has the rows of these days of June 2025.
async fn june(first: u32, last: u32) -> Result<(TestDatabase, PgRunner)> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    client.batch_execute(WAREHOUSE).await?;
    // A column that is computed when it is read; from PostgreSQL 18 on it can be stored nowhere.
    let version: String = client.query_one("SHOW server_version_num", &[]).await?.get(0);
    let kind = if version.parse::<u32>()? >= 180_000 { "VIRTUAL" } else { "STORED" };
    let computed =
        format!("ALTER TABLE warehouse.sales ADD COLUMN more numeric GENERATED ALWAYS AS (amount + 1) {kind}");
    client.batch_execute(&computed).await?;
    client.batch_execute(&rows(first, last)).await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    Ok((database, runner))
}

#[derive(Debug, Default, Clone)]
struct Declared {
    time_column: Option<&'static str>,
    period: Option<PeriodDeclaration>,
}

fn declared(apply: Option<PeriodApply>, column: Option<&str>) -> Result<Declared> {
    Ok(Declared { period: Some(PeriodDeclaration::new(apply, column.map(str::to_owned))?), time_column: None })
}

/// The definition as it would be stored.
async fn definition(database: &TestDatabase, sql: &str, declared: Declared) -> Result<MetricDefinition> {
    let mut metric = Metric::new(MetricId::parse("m1")?, QueryId::parse("q1")?, true);
    metric.time_column = declared.time_column.map(TimeColumn::parse).transpose()?;
    metric.period = declared.period;
    let sql = SqlText::parse(sql)?;
    let validator =
        SqlValidator::new(Arc::new(PgResolver::new(&database.owner, &DataSchemas::default())), &BTreeSet::new())
            .await?;
    let contract = validator.validate(&sql, Declarations::of(&metric)).await;
    let contract = contract.map_err(|error| anyhow::anyhow!("{}: {error}", sql.as_str()))?;
    Ok(MetricDefinition::new(metric, sql, Some(contract)))
}

fn bound(definition: &MetricDefinition, given: &[(&str, &str)]) -> Result<BoundStatement> {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let bound = MetricStatement::of(definition)?.bind(&given);
    Ok(bound.map_err(|faults| anyhow::anyhow!("{faults:?}"))?.0)
}

async fn run(runner: &PgRunner, statement: &BoundStatement) -> Result<String> {
    let mut rows = JsonRows::default();
    runner.run(statement, None, RunLimits::default(), Permit::default(), &mut rows).await?;
    Ok(String::from_utf8(rows.finish())?)
}

async fn run_plainly(runner: &PgRunner, sql: &str) -> Result<String> {
    run(runner, &BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(sql)?)?)).await
}

fn period(definition: &MetricDefinition) -> Result<&Period> {
    Ok(definition.contract.as_ref().context("a contract")?.period())
}

/// What a period does to the definition, in a few words.
fn applied(definition: &MetricDefinition) -> Result<String> {
    Ok(match period(definition)? {
        Period::Bound => "bound".to_owned(),
        Period::Narrowed(source) => format!("narrowed {}", source.table),
        Period::Result(column) => format!("result {}", column.column),
        Period::Unsupported { reason } => format!("refused: {reason}"),
    })
}

#[tokio::test]
async fn a_definition_chooses_what_a_period_is_applied_to() -> Result<()> {
    let (database, runner) = june(1, 20).await?;
    let window = "SELECT day, row_number() OVER (ORDER BY day) AS n FROM stock ORDER BY day";
    let from_tenth = [("start_date", "2025-06-10"), ("end_date", "2025-06-10")];
    for (sql, apply, column, expected, rows) in [
        (window, Some(PeriodApply::Source), None, "narrowed stock", r#"[{"day":"2025-06-10","n":1}]"#),
        (window, Some(PeriodApply::Result), None, "result day", r#"[{"day":"2025-06-10","n":10}]"#),
        (window, Some(PeriodApply::None), None, "takes none", ""),
        (
            "SELECT day, id FROM stock",
            Some(PeriodApply::Result),
            None,
            "result day",
            r#"[{"day":"2025-06-10","id":10}]"#,
        ),
        (
            "SELECT day + 1 AS next, id FROM stock",
            Some(PeriodApply::Result),
            Some("next"),
            "result next",
            r#"[{"next":"2025-06-10","id":9}]"#,
        ),
        (
            "SELECT day + 1 AS next, id FROM stock ORDER BY id LIMIT 50",
            None,
            Some("next"),
            "result next",
            r#"[{"next":"2025-06-10","id":9}]"#,
        ),
        ("SELECT max(day) AS last FROM stock", None, Some("last"), "narrowed stock", r#"[{"last":"2025-06-10"}]"#),
        ("SELECT date '2025-06-10' AS d", Some(PeriodApply::Result), None, "result d", r#"[{"d":"2025-06-10"}]"#),
    ] {
        let stored = definition(&database, sql, declared(apply, column)?).await?;
        let found = applied(&stored)?;
        assert!(found == expected || (found.starts_with("refused") && found.contains(expected)), "{sql}: {found}");
        match bound(&stored, &from_tenth) {
            Ok(statement) => assert_eq!(run(&runner, &statement).await?, rows, "{sql} {apply:?}"),
            Err(error) => assert!(rows.is_empty(), "{sql}: {error}"),
        }
    }
    for (sql, apply, column, expected) in [
        ("SELECT tableoid FROM stock", Some(PeriodApply::Source), None, "cannot be run on a part of `stock`"),
        ("SELECT 1 AS one", Some(PeriodApply::Source), None, "no table"),
        ("SELECT id FROM stock", Some(PeriodApply::Result), None, "no column of the result"),
        ("SELECT id FROM stock", Some(PeriodApply::Result), Some("id"), "expected a date"),
        ("SELECT id FROM stock", Some(PeriodApply::Result), Some("day"), "no column `day`"),
        ("SELECT id FROM stock WHERE day > :start_date", Some(PeriodApply::None), None, "leave `period` out"),
    ] {
        let error = definition(&database, sql, declared(apply, column)?).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{sql}: {error}");
    }
    Ok(())
}

/// A period reads no column that the SQL does not read, since the reader may lack the right to it.
#[tokio::test]
async fn a_period_reads_no_column_that_the_sql_does_not_read() -> Result<()> {
    let database = TestDatabase::new().await?;
    database
        .connect()
        .await?
        .batch_execute(
            "SET search_path = warehouse;
             CREATE FUNCTION compare(point, point) RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN 0; END';
             CREATE FUNCTION before(point, point) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
             CREATE OPERATOR <# (LEFTARG = point, RIGHTARG = point, FUNCTION = before);
             CREATE OPERATOR CLASS point_order DEFAULT FOR TYPE point USING btree AS OPERATOR 1 <#, OPERATOR 3 ~=, FUNCTION 1 compare(point, point);
             CREATE TABLE c1 (place point, n integer, day date, note text);
             CREATE TABLE c2 (n integer, name text);
             INSERT INTO c1 VALUES ('(1,1)', 1, '2025-06-01', 'a'), ('(2,2)', 2, '2025-06-02', 'b');
             INSERT INTO c2 VALUES (1, 'one'), (2, 'two');
             GRANT SELECT (day, n) ON c1 TO metricd_reader; GRANT SELECT ON c2 TO metricd_reader",
        )
        .await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    for (sql, rows) in [
        ("SELECT day, n FROM c1", r#"[{"day":"2025-06-02","n":2}]"#),
        ("SELECT n FROM c1 AS c", r#"[{"n":2}]"#),
        ("SELECT count(*) AS n FROM c1", r#"[{"n":1}]"#),
        ("SELECT name FROM c2 JOIN c1 USING (n)", r#"[{"name":"two"}]"#),
        ("WITH c AS (SELECT n FROM c1) SELECT max(n) AS n FROM c WHERE n IN (SELECT n FROM c1)", r#"[{"n":2}]"#),
    ] {
        let stored = definition(&database, sql, Declared::default()).await?;
        let found = applied(&stored)?;
        assert_eq!(found, "narrowed c1", "{sql}");
        assert_eq!(run(&runner, &bound(&stored, &[("start_date", "2025-06-02")])?).await?, rows, "{sql}");
    }
    // The columns that NATURAL JOIN joins by depend on all columns.
    let stored = definition(&database, "SELECT name, c1.n FROM c1 NATURAL JOIN c2", Declared::default()).await?;
    let found = applied(&stored)?;
    assert!(found.starts_with("refused: "), "{found}");
    Ok(())
}

#[tokio::test]
async fn a_period_that_is_open_has_what_is_at_infinity() -> Result<()> {
    let database = TestDatabase::new().await?;
    database
        .connect()
        .await?
        .batch_execute(
            "SET search_path = warehouse;
             CREATE TABLE d (id integer, at date);
             CREATE TABLE t (id integer, at timestamp);
             CREATE TABLE z (id integer, at timestamptz);
             INSERT INTO z VALUES (1, '2025-06-01Z'), (2, 'infinity'), (3, '-infinity'), (4, '2025-06-02 23:59:59.999999Z'),
                 (5, '2025-06-03Z'), (6, NULL);
             INSERT INTO t SELECT id, at AT TIME ZONE 'UTC' FROM z;
             INSERT INTO d SELECT id, CASE WHEN isfinite(at) THEN (at AT TIME ZONE 'UTC')::date ELSE at::text::date END FROM z;
             GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO metricd_reader",
        )
        .await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    for table in ["d", "t", "z"] {
        for sql in [
            format!("SELECT array_agg(id ORDER BY id) AS ids FROM {table}"),
            format!("SELECT array_agg(id ORDER BY id) AS ids FROM (SELECT id, at FROM {table}) AS s"),
        ] {
            let stored = definition(&database, &sql, Declared::default()).await?;
            for (given, ids) in [
                (&[("start_date", "2025-06-02")][..], "2,4,5"),
                (&[("end_date", "2025-06-02")][..], "1,3,4"),
                (&[("start_date", "2025-06-01"), ("end_date", "2025-06-02")][..], "1,4"),
                (&[("start_date", "9999-12-31"), ("end_date", "9999-12-31")][..], ""),
            ] {
                let ids = if ids.is_empty() { "null".to_owned() } else { format!("[{ids}]") };
                let found = run(&runner, &bound(&stored, given)?).await?;
                assert_eq!(found, format!("[{{\"ids\":{ids}}}]"), "{sql} {given:?}");
            }
        }
        let sql = format!("SELECT id, at FROM {table} ORDER BY id LIMIT 10");
        let stored = definition(&database, &sql, Declared::default()).await?;
        assert_eq!(applied(&stored)?, "result at");
        let found = run(&runner, &bound(&stored, &[("start_date", "2025-06-02")])?).await?;
        let found: Vec<Value> = serde_json::from_str(&found)?;
        let ids: Vec<_> = found.iter().filter_map(|row| row["id"].as_i64()).collect();
        assert_eq!(ids, [2, 4, 5], "{table}");
    }
    Ok(())
}

/// If a column is not visible, its name may be that of a function.
#[tokio::test]
async fn a_rewrite_calls_nothing_that_the_statement_does_not_call() -> Result<()> {
    let (database, _runner) = june(1, 20).await?;
    database
        .connect()
        .await?
        .batch_execute(
            "SET search_path = warehouse;
             CREATE TABLE calls (n integer);
             CREATE FUNCTION amount(record) RETURNS numeric LANGUAGE plpgsql VOLATILE SECURITY DEFINER
             AS 'BEGIN INSERT INTO warehouse.calls VALUES (1); RETURN 1; END'",
        )
        .await?;
    for sql in [
        "SELECT (SELECT count(*) FROM (VALUES (1)) AS sales (id) WHERE warehouse.sales.amount > 1) AS n FROM warehouse.sales",
        "SELECT sum((SELECT sales.id FROM (VALUES (1)) AS sales (id) WHERE warehouse.sales.amount = 1)) AS n FROM warehouse.sales",
    ] {
        let declared = Declared { time_column: Some("sales.day"), period: None };
        let stored = definition(&database, sql, declared).await?;
        let found = applied(&stored)?;
        assert!(found.starts_with("refused"), "{sql}: {found}");
    }
    Ok(())
}
