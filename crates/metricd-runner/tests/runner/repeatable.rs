//! What is known of a result without a run: whether it follows from rows and parameters alone, and whether those are as they
//! were.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result};
use metricd_database::DataSchemas;
use metricd_domain::{Contract, SqlText};
use metricd_execution::{Declarations, MetricRunner, SqlValidator};
use metricd_runner::{PgResolver, PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;

/// A warehouse with tables of every kind.
const WAREHOUSE: &str = "
    SET search_path = warehouse;
    CREATE TABLE days (d date, at timestamp, atz timestamptz, label text, n integer, doc jsonb, tags text[]);
    CREATE TABLE payments (paid money);
    CREATE DOMAIN small AS integer CHECK (value < extract(epoch FROM now()));
    CREATE TABLE parts (d date) PARTITION BY RANGE (d);
    CREATE TABLE parts_1 PARTITION OF parts DEFAULT;
    CREATE TABLE guarded (d date);
    ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
    CREATE MATERIALIZED VIEW kept AS SELECT d FROM days;
    CREATE VIEW clock AS SELECT d FROM days WHERE d < CURRENT_DATE;
    CREATE FUNCTION steady(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n';
    CREATE FUNCTION steady_too(t varchar, n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n';
    GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO metricd_reader";

/// Results that follow from rows and parameters alone.
const REPEATABLE: &[&str] = &[
    "SELECT 1 AS one",
    "SELECT d, sum(n) AS n FROM days GROUP BY d ORDER BY d",
    "SELECT date_trunc('month', d)::date AS month, count(*) AS n FROM days GROUP BY 1",
    "SELECT date_trunc('day', at) AS day, date_trunc('day', atz) AS dayz FROM days",
    "SELECT extract(year FROM d) AS y, extract(hour FROM atz) AS h, date_part('dow', at) AS w FROM days",
    "SELECT atz::date AS d, at::date AS e, d::timestamp AS f, atz AT TIME ZONE 'Europe/Berlin' AS g FROM days",
    "SELECT d FROM days WHERE d >= DATE '2025-01-01' AND d < '2025-02-01' AND atz > '2025-01-01'",
    "SELECT d FROM days WHERE d BETWEEN :since AND :until",
    "SELECT d + interval '1 day' AS next, d - 7 AS before, atz - interval '1 month' AS m FROM days",
    "SELECT age(at, timestamp '2020-01-01') AS age FROM days",
    "SELECT g::date AS d FROM generate_series(DATE '2025-01-01', DATE '2025-02-01', interval '1 day') AS g",
    "SELECT n::text AS t, n::numeric AS m, label::integer AS i, label::varchar(3) AS v FROM days",
    "SELECT upper(label) AS u, label || n AS j, concat(label, d) AS c, array_agg(n ORDER BY n) AS a FROM days GROUP BY label, n, d",
    "SELECT doc ->> 'a' AS a, (doc -> 'n')::numeric AS n, jsonb_agg(label) AS l FROM days GROUP BY doc",
    "SELECT to_jsonb(days) AS row, row_to_json(days) AS r FROM days",
    "SELECT rank() OVER (ORDER BY n) AS r, lag(n) OVER (ORDER BY d) AS l FROM days",
    "WITH x AS (SELECT d FROM days) SELECT count(*) AS n FROM x JOIN kept USING (d)",
    "SELECT d FROM parts UNION ALL SELECT d FROM kept",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n) AS p, string_agg(label, ',') AS s FROM days",
    "SELECT unnest(tags) AS tag, label LIKE 'a%' AS a, label ~ 'b' AS b FROM days",
];

/// Results that may be others each time, or that nobody can vouch for.
const OTHERS: &[&str] = &[
    "SELECT CURRENT_DATE AS d",
    "SELECT now() AS t",
    "SELECT d FROM days WHERE d > CURRENT_DATE - 7",
    "SELECT d FROM days WHERE atz > now() - interval '1 day'",
    "SELECT LOCALTIMESTAMP AS t",
    "SELECT CURRENT_TIME AS t",
    "SELECT statement_timestamp() AS t",
    "SELECT transaction_timestamp() AS t",
    "SELECT age(at) AS age FROM days",
    "SELECT count(*) AS n FROM days WHERE label = 'today'",
    "SELECT label::date AS d FROM days",
    "SELECT CAST(label AS timestamptz) AS d FROM days",
    "SELECT (label || '')::timestamp AS d FROM days",
    "SELECT tags::date[] AS d FROM days",
    "SELECT (doc ->> 'd')::date AS d FROM days",
    "SELECT x.d FROM days, jsonb_to_record(doc) AS x (d date)",
    "SELECT to_char(d, 'TMMonth') AS m FROM days",
    "SELECT to_date(label, 'TMMonth') AS d FROM days",
    "SELECT label::interval AS i FROM days",
    "SELECT d FROM days TABLESAMPLE SYSTEM (10) REPEATABLE (1)",
    "SELECT d FROM clock",
    "SELECT count(*) AS n FROM days JOIN clock USING (d)",
    "SELECT d FROM guarded",
    "SELECT steady(n) AS n FROM days",
    "SELECT to_tsvector(label) @@ to_tsquery('a') AS found FROM days",
    "SELECT d FROM days WHERE EXISTS (SELECT FROM parts WHERE parts.d = now()::date)",
    "SELECT CASE WHEN n > 1 THEN now() END AS t FROM days",
    "SELECT count(*) FILTER (WHERE d = CURRENT_DATE) AS n FROM days",
    "SELECT sum(n) OVER (ORDER BY age(at)) AS n FROM days",
    "SELECT d FROM days ORDER BY d = CURRENT_DATE",
    "SELECT n, xmax FROM days",
    "SELECT cmin::text AS c FROM days",
    "SELECT n::small AS s FROM days",
    "SELECT quote_ident(label) AS q FROM days",
    "SELECT n::money AS m FROM days",
    "SELECT paid FROM payments",
    "SELECT at::time AT TIME ZONE 'Europe/Berlin' AS t FROM days",
    "SELECT d FROM days WHERE d > 'to'\n'day'",
    "SELECT d FROM days WHERE daterange '[2025-01-01,2025-02-01)' @> d AND label ~ '\\d'",
    "SELECT d FROM days LIMIT extract(day FROM now())::integer",
];

async fn warehouse() -> Result<TestDatabase> {
    let database = TestDatabase::new().await?;
    database.connect().await?.batch_execute(WAREHOUSE).await?;
    Ok(database)
}

async fn contract(database: &TestDatabase, sql: &str) -> Result<Contract> {
    let (resolver, sql) = (Arc::new(PgResolver::new(&database.owner, &DataSchemas::default())), SqlText::parse(sql)?);
    let validator = SqlValidator::new(resolver, &BTreeSet::new()).await?;
    Ok(validator.validate(&sql, Declarations::default()).await?)
}

#[tokio::test]
async fn what_follows_from_rows_and_parameters_is_told_from_what_may_not() -> Result<()> {
    let database = warehouse().await?;
    let cases = REPEATABLE.iter().map(|sql| (*sql, true)).chain(OTHERS.iter().map(|sql| (*sql, false)));
    let mut wrong = Vec::new();
    for (sql, is_repeatable) in cases {
        let contract = contract(&database, sql).await.with_context(|| sql.to_owned())?;
        if contract.fingerprint().is_some() != is_repeatable {
            wrong.push(sql);
        }
    }
    assert_eq!(wrong, Vec::<&str>::new());
    Ok(())
}

#[tokio::test]
async fn nothing_is_repeatable_where_other_servers_may_have_the_rows() -> Result<()> {
    let sql = "SELECT d FROM days UNION ALL SELECT d FROM parts";
    let is_repeatable =
        async |database: &TestDatabase| anyhow::Ok(contract(database, sql).await?.fingerprint().is_some());
    let database = warehouse().await?;
    assert!(is_repeatable(&database).await?);
    let owner = database.connect().await?;
    owner
        .batch_execute(
            "CREATE EXTENSION postgres_fdw; CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw;
             CREATE FOREIGN TABLE warehouse.parts_2 PARTITION OF warehouse.parts FOR VALUES FROM ('2030-01-01') TO ('2031-01-01') SERVER other",
        )
        .await?;
    assert!(!is_repeatable(&database).await?, "a partition is a foreign table");

    let database = warehouse().await?;
    let owner = database.connect().await?;
    // Only the name of the extension counts here.
    owner
        .batch_execute("CREATE EXTENSION hstore; UPDATE pg_extension SET extname = 'citus' WHERE extname = 'hstore'")
        .await?;
    assert!(!is_repeatable(&database).await?, "Citus may have distributed the tables");
    Ok(())
}

#[tokio::test]
async fn every_commit_changes_the_snapshot_token() -> Result<()> {
    let database = warehouse().await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig { max_connections: 2, ..RunnerConfig::default() })?;
    let token = async || runner.snapshot_token().await?.context("a token");
    // Commits of other tests on the same server change the token, too.
    let mut is_unchanged = false;
    for _ in 0..100 {
        let before = token().await?;
        is_unchanged = is_unchanged || token().await?.is_unchanged_since(&before);
    }
    assert!(is_unchanged, "no two tokens were the same");

    let mut writer = database.connect().await?;
    for sql in [
        "INSERT INTO warehouse.days (n) VALUES (1)",
        "TRUNCATE warehouse.days",
        "ALTER TABLE warehouse.days ADD x text",
    ] {
        let transaction = writer.transaction().await?;
        transaction.batch_execute(sql).await?;
        let before = token().await?;
        transaction.commit().await?;
        assert!(!token().await?.is_unchanged_since(&before), "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn a_fingerprint_is_another_when_a_table_is() -> Result<()> {
    let database = warehouse().await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let contract = contract(&database, "SELECT d, label FROM days JOIN kept USING (d)").await?;
    let owner = database.connect().await?;
    let fingerprint = async || runner.fingerprint(contract.tables()).await;
    assert!(contract.fingerprint().is_some());
    assert_eq!(fingerprint().await?.as_deref(), contract.fingerprint());
    owner.batch_execute("INSERT INTO warehouse.days (n) VALUES (1); ALTER TABLE warehouse.days ADD y date").await?;
    assert_eq!(fingerprint().await?.as_deref(), contract.fingerprint(), "what is not read does not count");

    let mut before = contract.fingerprint().map(str::to_owned);
    for sql in [
        "ALTER TABLE warehouse.days ALTER label TYPE varchar(9)",
        "CREATE FUNCTION warehouse.length(varchar) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION warehouse.length(varchar) RETURNS integer LANGUAGE sql AS 'SELECT 2'",
        "CREATE OPERATOR warehouse.+ (leftarg = varchar, rightarg = integer, function = warehouse.steady_too)",
        "CREATE TYPE warehouse.en AS ENUM ('a'); CREATE FUNCTION en_json(warehouse.en) RETURNS json LANGUAGE sql AS 'SELECT NULL::json'; \
         CREATE CAST (warehouse.en AS json) WITH FUNCTION en_json(warehouse.en)",
    ] {
        owner.batch_execute(sql).await.context(sql)?;
        let after = fingerprint().await?;
        assert!(after.is_some() && after != before, "{sql}: {after:?}");
        before = after;
    }
    owner.batch_execute("ALTER TABLE warehouse.days ENABLE ROW LEVEL SECURITY").await?;
    assert_eq!(fingerprint().await?, None);
    owner.batch_execute("ALTER TABLE warehouse.days RENAME TO gone").await?;
    assert_eq!(fingerprint().await?, None);
    owner.batch_execute("CREATE VIEW warehouse.days AS SELECT d, label FROM warehouse.gone").await?;
    assert_eq!(fingerprint().await?, None);
    Ok(())
}
