//! Periods against PostgreSQL: a period never changes what the SQL means.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use metricd_domain::{
    Metric, MetricDefinition, MetricId, Period, PeriodApply, PeriodDeclaration, QueryId, SqlText, TimeColumn,
};
use metricd_execution::{
    BoundStatement, Declarations, JsonRows, MetricRunner, MetricStatement, Permit, RunLimits, SqlValidationError,
    SqlValidator, Statement,
};
use metricd_runner::{PgResolver, PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use serde_json::Value;

/// Tables of several shapes: with a column that is gone, with heirs, in parts, with a function that is called like a column,
/// with names that fold in other ways than letters do elsewhere.
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

/// The rows of June 2025 that are inside of the days.
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
    let (resolver, text, of) = (Arc::new(PgResolver::new(&database.owner)), sql.clone(), metric.clone());
    let validated = tokio::task::spawn_blocking(move || {
        SqlValidator::new(resolver, &BTreeSet::new())?.validate(&text, Declarations::of(&of))
    });
    let contract =
        validated.await?.map_err(|error: SqlValidationError| anyhow::anyhow!("{}: {error}", sql.as_str()))?;
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

/// What a period does, in a word.
fn applied(period: &Period) -> String {
    match period {
        Period::Bound => "bound".to_owned(),
        Period::Narrowed(source) => format!("narrowed {}", source.table),
        Period::Result(column) => format!("result {}", column.column),
        Period::Unsupported { reason } => format!("refused: {reason}"),
    }
}

/// SQL with what a period does to it by default; a reason by a part of it. The time column is `sales.day` unless another table is
/// the only one.
const STATEMENTS: &[(&str, &str)] = &[
    // What can be run on a part of the source.
    ("SELECT count(*) AS n FROM sales", "narrowed sales"),
    ("SELECT count(*) AS n FROM warehouse.sales", "narrowed sales"),
    ("SELECT * FROM sales ORDER BY id", "narrowed sales"),
    ("SELECT s.* FROM sales AS s ORDER BY id", "narrowed sales"),
    ("TABLE sales ORDER BY id, day", "narrowed sales"),
    ("TABLE ONLY sales ORDER BY id", "narrowed sales"),
    ("SELECT count(*) AS n FROM ONLY sales", "narrowed sales"),
    ("SELECT count(*) AS n FROM ONLY (sales)", "narrowed sales"),
    ("SELECT count(*) AS n FROM only ( warehouse.sales ) AS s", "narrowed sales"),
    ("TABLE ONLY (sales) ORDER BY id", "narrowed sales"),
    ("SELECT count(*) AS n FROM sales *", "narrowed sales"),
    ("SELECT count(*) AS n FROM shops, warehouse.sales * AS s", "narrowed sales"),
    ("SELECT count(*) AS n FROM shops JOIN sales * s USING (kind)", "narrowed sales"),
    ("TABLE sales * ORDER BY id, day", "narrowed sales"),
    ("SELECT a, b FROM sales AS s (a, b) ORDER BY a", "narrowed sales"),
    ("SELECT day, sum(amount) AS total FROM sales GROUP BY day ORDER BY day", "narrowed sales"),
    ("SELECT kind, avg(amount) AS mean FROM sales GROUP BY kind HAVING count(*) > 2 ORDER BY 1", "narrowed sales"),
    ("SELECT DISTINCT kind FROM sales ORDER BY kind", "narrowed sales"),
    ("SELECT more, count(*) AS n FROM sales GROUP BY more HAVING more > 1 ORDER BY more", "narrowed sales"),
    (
        "SELECT amount + 1 AS next, GROUPING(kind) AS g FROM sales GROUP BY ROLLUP (amount + 1, kind) ORDER BY 1, 2",
        "narrowed sales",
    ),
    (
        "SELECT name, sum(amount) AS total FROM shops JOIN sales USING (kind) GROUP BY name ORDER BY name",
        "narrowed sales",
    ),
    ("SELECT * FROM shops NATURAL JOIN sales ORDER BY id", "narrowed sales"),
    ("SELECT kind, id, x.kind AS again FROM sales JOIN shops USING (kind) AS x ORDER BY id", "narrowed sales"),
    (
        "SELECT name, id FROM shops FULL JOIN sales ON sales.kind = shops.kind AND id < 5 ORDER BY id, name",
        "narrowed sales",
    ),
    ("SELECT a.id, b.id AS other FROM sales a JOIN sales b ON a.id = b.id + 1 ORDER BY a.id", "narrowed sales"),
    // Joins of a table of which some columns are not read: an alias hides what it joins, also one within another.
    ("SELECT j.id, j.name FROM (shops JOIN sales USING (kind)) AS j ORDER BY 1, 2", "narrowed sales"),
    ("SELECT j.id, j.name FROM (sales JOIN shops USING (kind)) AS j ORDER BY 1, 2", "narrowed sales"),
    (
        "SELECT j.id, kind, s.name FROM (sales a LEFT JOIN shops b USING (kind)) AS j FULL JOIN shops s USING (kind) ORDER BY 1, 2, 3",
        "narrowed sales",
    ),
    (
        "SELECT k.v, k.name FROM ((shops a JOIN sales b USING (kind)) AS j (p, q, r, s, t, u, v) JOIN shops c ON c.shop_id = j.s) AS k ORDER BY 1, 2",
        "narrowed sales",
    ),
    (
        "SELECT j.c1, j.c5 FROM (sales JOIN shops USING (kind)) AS j (c1, c2, c3, c4, c5) ORDER BY 1, 2",
        "narrowed sales",
    ),
    ("SELECT p, c FROM sales AS s (p, q, c) JOIN shops ON shop_id = p ORDER BY 1", "narrowed sales"),
    ("SELECT kind, count(tags) AS n FROM sales NATURAL JOIN shops GROUP BY kind ORDER BY 1", "narrowed sales"),
    ("SELECT b.* FROM sales a JOIN shops b ON b.shop_id = a.id ORDER BY 1", "narrowed sales"),
    (
        "SELECT j.* FROM (shops JOIN (SELECT amount FROM sales) AS s ON amount = shop_id) AS j ORDER BY 1, 4",
        "narrowed sales",
    ),
    (
        "SELECT (SELECT max(j.n) FROM (sales a JOIN sales b USING (id)) AS j (id, d, n) WHERE j.id > shop_id) AS m FROM shops ORDER BY 1",
        "narrowed sales",
    ),
    ("SELECT warehouse.sales.id FROM warehouse.sales WHERE warehouse.sales.amount > 1 ORDER BY 1", "narrowed sales"),
    (
        "SELECT warehouse.shops.name, sales.id FROM warehouse.shops, sales WHERE shop_id = id ORDER BY id",
        "narrowed sales",
    ),
    ("WITH s AS (TABLE sales) SELECT count(*) AS n FROM s", "narrowed sales"),
    ("WITH sales AS (SELECT * FROM sales WHERE amount > 1) SELECT count(*) AS n FROM sales", "narrowed sales"),
    ("WITH sales AS (SELECT 1 AS one) SELECT count(*) AS n FROM sales, warehouse.sales AS s", "narrowed sales"),
    (
        "SELECT name, (SELECT max(amount) FROM sales WHERE sales.kind = shops.kind) AS most FROM shops ORDER BY 1",
        "narrowed sales",
    ),
    (
        "SELECT name FROM shops WHERE EXISTS (SELECT FROM sales s WHERE s.kind = shops.kind AND s.id > 12)",
        "narrowed sales",
    ),
    (
        "SELECT name, l.n FROM shops, LATERAL (SELECT count(*) AS n FROM sales WHERE kind = shops.kind) l ORDER BY 1",
        "narrowed sales",
    ),
    (
        "SELECT id FROM sales WHERE amount > ALL (SELECT amount FROM sales WHERE kind = 'b' AND id < 3) ORDER BY id",
        "narrowed sales",
    ),
    ("SELECT id AS n FROM sales WHERE kind = 'a' UNION ALL SELECT shop_id FROM shops ORDER BY 1", "narrowed sales"),
    ("SELECT id FROM sales EXCEPT SELECT id FROM sales WHERE kind = 'a' ORDER BY 1", "narrowed sales"),
    ("SELECT kind, day, count(*) AS n FROM sales GROUP BY ROLLUP (kind, day) ORDER BY 1, 2, 3", "narrowed sales"),
    (
        "SELECT grouping(kind) AS g, sum(amount) FILTER (WHERE id > 3) AS n FROM sales GROUP BY GROUPING SETS ((kind), ()) ORDER BY 1, 2",
        "narrowed sales",
    ),
    ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) AS middle FROM sales", "narrowed sales"),
    ("SELECT string_agg(kind, ',' ORDER BY id) AS kinds FROM sales", "narrowed sales"),
    ("SELECT id, t FROM sales, unnest(tags) AS t ORDER BY id", "narrowed sales"),
    (
        "SELECT d::date AS day, count(id) AS n FROM generate_series(date '2025-06-01', date '2025-06-15', interval '1 day') AS d LEFT JOIN sales ON sales.day = d GROUP BY 1 ORDER BY 1",
        "narrowed sales",
    ),
    (
        "SELECT id, row_number FROM sales JOIN (SELECT shop_id, row_number() OVER (ORDER BY name) FROM shops) s ON shop_id = id ORDER BY 1",
        "narrowed sales",
    ),
    (
        "SELECT id FROM sales WHERE kind IN (SELECT kind FROM shops ORDER BY shop_id LIMIT 1) ORDER BY id",
        "narrowed sales",
    ),
    (
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i, count(id) AS c FROM n LEFT JOIN sales ON amount = i GROUP BY i ORDER BY i",
        "narrowed sales",
    ),
    ("SELECT count(*) AS n FROM good_sales", "narrowed good_sales"),
    ("SELECT day, amount FROM good_sales g ORDER BY day, amount", "narrowed good_sales"),
    ("SELECT id, at FROM visits ORDER BY id", "narrowed visits"),
    (
        "SELECT date_trunc('week', at) AS week, count(*) AS n FROM warehouse.visits v GROUP BY 1 ORDER BY 1",
        "narrowed visits",
    ),
    ("SELECT id FROM AUFTRÄGE ORDER BY id", "auftrÄge"),
    ("SELECT id FROM \"AUFTRÄGE\" ORDER BY id", "narrowed AUFTRÄGE"),
    ("SELECT count(*) AS n FROM STOCK", "narrowed stock"),
    ("WITH stoc\u{212a} AS (SELECT 1 AS one) SELECT count(*) AS n FROM stock, stoc\u{212a}", "narrowed stock"),
    ("WITH STOCK AS (SELECT 1 AS day) SELECT count(*) AS n FROM stock, warehouse.stock AS s", "narrowed stock"),
    // What is another statement on a part of the source.
    (
        "SELECT count(*) AS n, sum((SELECT count(*) FROM (VALUES ('a')) AS sales (kind) WHERE sales.kind = warehouse.sales.kind)) AS m FROM warehouse.sales",
        "in another way",
    ),
    ("SELECT count(s) AS n FROM sales s", "whole rows"),
    ("SELECT row_to_json(sales) AS row FROM sales ORDER BY id", "whole rows"),
    ("SELECT s.doubled AS n FROM sales s ORDER BY id", "whole rows"),
    ("SELECT doubled(s) AS n FROM sales s ORDER BY id", "whole rows"),
    ("SELECT s.label AS n FROM sales s ORDER BY id", "whole rows"),
    ("SELECT label(s) AS n FROM sales s ORDER BY id", "whole rows"),
    ("SELECT tableoid::bigint AS t, count(*) AS n FROM sales GROUP BY 1", "PostgreSQL says"),
    (
        "SELECT name, (SELECT ctid::text FROM ONLY sales WHERE id = shop_id) AS c FROM shops ORDER BY 1",
        "in another way",
    ),
    ("SELECT id, kind FROM sales GROUP BY id ORDER BY id", "PostgreSQL says"),
    ("SELECT count(*) AS n FROM sales TABLESAMPLE BERNOULLI (100) REPEATABLE (1)", "PostgreSQL says"),
    // What is about other rows: the result is filtered where one of its columns is the time.
    ("SELECT day, sum(amount) OVER (ORDER BY day, id) AS total FROM sales ORDER BY day, id", "result day"),
    ("SELECT day AS d, amount - lag(amount) OVER (ORDER BY day, id) AS change FROM sales ORDER BY day, id", "result d"),
    (
        "SELECT d.day, d.mean FROM (SELECT day, avg(amount) OVER (ORDER BY day ROWS 6 PRECEDING) AS mean FROM sales WHERE id < 100) d ORDER BY day",
        "result day",
    ),
    (
        "WITH w AS (SELECT *, rank() OVER (ORDER BY amount, id) AS place FROM sales) SELECT day, place FROM w ORDER BY place",
        "result day",
    ),
    ("SELECT DISTINCT ON (kind) kind, day, id FROM sales ORDER BY kind, day DESC, id", "result day"),
    ("SELECT day, id FROM sales ORDER BY amount DESC, id LIMIT 4", "result day"),
    ("SELECT day, id FROM sales ORDER BY amount DESC, id OFFSET 2", "result day"),
    ("SELECT day, id FROM sales ORDER BY id FETCH FIRST 3 ROWS ONLY", "result day"),
    (
        "SELECT s.id, s.day, p.amount FROM sales s, LATERAL (SELECT amount FROM sales b WHERE b.id < s.id ORDER BY id DESC LIMIT 1) p ORDER BY id",
        "result day",
    ),
    (
        "SELECT a.day AS other, b.day, sum(b.id) OVER (ORDER BY b.id, a.id) AS n FROM sales a JOIN sales b ON a.id = b.id - 1 ORDER BY b.id",
        "result day",
    ),
    (
        "WITH RECURSIVE r AS (SELECT id, day FROM ONLY sales WHERE id = 1 UNION ALL SELECT s.id, s.day FROM r JOIN ONLY sales s ON s.id = r.id + 1) SELECT r.id, s.day FROM r JOIN ONLY sales s USING (id) ORDER BY id",
        "result day",
    ),
    ("SELECT at, count(*) OVER (ORDER BY at) AS n FROM visits ORDER BY at", "result at"),
    ("SELECT sum(amount) OVER (ORDER BY day, id) AS total FROM sales ORDER BY day, id", "no column of the result"),
    (
        "SELECT max(day) AS day, count(*) AS n FROM (SELECT * FROM sales ORDER BY id LIMIT 5) s",
        "no column of the result",
    ),
    ("SELECT day + 1 AS day, row_number() OVER (ORDER BY id) AS n FROM sales ORDER BY id", "no column of the result"),
    (
        "SELECT a.day AS x, b.day AS y, row_number() OVER (ORDER BY a.id) AS n FROM sales a JOIN sales b ON a.id = b.id ORDER BY n",
        "several columns of the result",
    ),
];

#[tokio::test]
async fn a_period_never_changes_what_the_sql_means() -> Result<()> {
    let (all, on_all) = june(1, 20).await?;
    let (_part, on_part) = june(5, 12).await?;
    let mut faults = Vec::new();
    for (sql, expected) in STATEMENTS {
        if let Err(fault) = holds(&all, &on_all, &on_part, sql, expected).await {
            faults.push(format!("{sql}\n    {fault:#}"));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), STATEMENTS.len(), faults.join("\n"));
    Ok(())
}

/// Whether a period does to the SQL what is expected, and changes nothing that it should not.
async fn holds(all: &TestDatabase, on_all: &PgRunner, on_part: &PgRunner, sql: &str, expected: &str) -> Result<()> {
    let is_only_source = ["visits", "good_", "stock", "STOCK", "AUFTR"].iter().any(|table| sql.contains(table));
    let time_column = (!is_only_source).then_some("sales.day");
    let stored = match definition(all, sql, Declared { time_column, period: None }).await {
        // PostgreSQL folds no letters beyond ASCII.
        Err(error) if expected.contains("auftr") => {
            ensure!(error.to_string().contains(expected), "{error}");
            return Ok(());
        }
        stored => stored?,
    };
    let contract = stored.contract.as_ref().context("a contract")?;
    let found = applied(&contract.period);
    let is_applied = ["narrowed ", "result "].iter().any(|kind| expected.starts_with(kind));
    let is_expected =
        if is_applied { found == expected } else { found.starts_with("refused: ") && found.contains(expected) };
    ensure!(is_expected, "expected `{expected}`: {found}");
    if found.starts_with("refused") {
        ensure!(bound(&stored, &[("start_date", "2025-06-05")]).is_err(), "the period is taken");
        return Ok(());
    }
    // A period that everything is inside of changes nothing.
    let plain = run_plainly(on_all, sql).await?;
    for whole in [
        &[("start_date", "0001-01-01"), ("end_date", "9999-12-31")][..],
        &[("start_date", "0001-01-01")],
        &[("end_date", "9999-12-31")],
    ] {
        let found = run(on_all, &bound(&stored, whole)?).await?;
        ensure!(found == plain, "{whole:?}: {found}, and without a period {plain}");
    }
    // A narrower one is as if the source had no other rows, or shows a part of the result.
    let inside = [("start_date", "2025-06-05"), ("end_date", "2025-06-12")];
    let inside: Vec<Value> = serde_json::from_str(&run(on_all, &bound(&stored, &inside)?).await?)?;
    let expected: Vec<Value> = match &contract.period {
        Period::Result(column) => {
            let is_inside = |row: &Value| {
                let day = row[&column.column].as_str().and_then(|day| day.get(..10)).unwrap_or_default();
                ("2025-06-05"..="2025-06-12").contains(&day)
            };
            serde_json::from_str::<Vec<Value>>(&plain)?.into_iter().filter(is_inside).collect()
        }
        _ => serde_json::from_str(&run_plainly(on_part, sql).await?)?,
    };
    ensure!(inside == expected, "{inside:?}, and expected {expected:?}");
    Ok(())
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
        let found = applied(&stored.contract.as_ref().context("a contract")?.period);
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

/// What the SQL does not read is not read for a period either, whatever its type and whoever may read it.
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
        let found = applied(&stored.contract.as_ref().context("a contract")?.period);
        assert_eq!(found, "narrowed c1", "{sql}");
        assert_eq!(run(&runner, &bound(&stored, &[("start_date", "2025-06-02")])?).await?, rows, "{sql}");
    }
    // Which columns NATURAL JOIN joins by depends on all of them.
    let stored = definition(&database, "SELECT name, c1.n FROM c1 NATURAL JOIN c2", Declared::default()).await?;
    let found = applied(&stored.contract.as_ref().context("a contract")?.period);
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
        assert_eq!(applied(&stored.contract.as_ref().context("a contract")?.period), "result at");
        let found = run(&runner, &bound(&stored, &[("start_date", "2025-06-02")])?).await?;
        let found: Vec<Value> = serde_json::from_str(&found)?;
        let ids: Vec<_> = found.iter().filter_map(|row| row["id"].as_i64()).collect();
        assert_eq!(ids, [2, 4, 5], "{table}");
    }
    Ok(())
}

/// A function that is called like a column is one of the statement's as soon as the column is not.
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
        let found = applied(&stored.contract.as_ref().context("a contract")?.period);
        assert!(found.starts_with("refused"), "{sql}: {found}");
    }
    Ok(())
}
