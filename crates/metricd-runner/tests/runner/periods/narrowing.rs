//! A period that narrows a table reads only its rows, by the index.

use anyhow::Result;
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;

use super::{Declared, bound, definition, run};

const BY_DELIVERY: Declared = Declared { time_column: Some("deliveries.at"), period: None };

/// A database with 10 000 deliveries, one each hour from the beginning of 2024, and few depots.
async fn deliveries() -> Result<(TestDatabase, PgRunner)> {
    let database = TestDatabase::new().await?;
    database
        .connect()
        .await?
        .batch_execute(
            "SET search_path = warehouse;
             CREATE TABLE depots (depot_id integer, name text);
             CREATE TABLE deliveries (delivery_id integer, depot_id integer, at timestamp, seen timestamptz);
             INSERT INTO depots VALUES (0, 'north'), (1, 'south');
             INSERT INTO deliveries SELECT n, n % 2, timestamp '2024-01-01' + n * interval '1 hour', now()
             FROM generate_series(0, 9999) AS n;
             CREATE INDEX deliveries_at_idx ON deliveries (at);
             ANALYZE deliveries;
             GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO metricd_reader",
        )
        .await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    Ok((database, runner))
}

#[tokio::test]
async fn a_period_narrows_every_reading_of_its_table() -> Result<()> {
    let (database, runner) = deliveries().await?;
    let june = [("start_date", "2024-06-01"), ("end_date", "2024-06-30")];
    let since = [("start_date", "2025-02-20")];
    for sql in [
        "SELECT count(*) AS n FROM deliveries",
        "SELECT count(*) AS n FROM warehouse.deliveries",
        "SELECT count(*) AS n FROM warehouse.deliveries d WHERE d.at IS NOT NULL",
        "SELECT count(warehouse.deliveries.at) AS n FROM warehouse.deliveries",
        "SELECT count(*) AS n FROM depots JOIN deliveries USING (depot_id)",
        "SELECT count(*) AS n FROM depots p LEFT JOIN deliveries d ON d.depot_id = p.depot_id",
        "SELECT (SELECT count(*) FROM deliveries) AS n",
        "WITH d AS (TABLE deliveries) SELECT count(*) AS n FROM d",
        "WITH deliveries AS (SELECT * FROM deliveries) SELECT count(*) AS n FROM deliveries",
        "SELECT sum(c) AS n FROM (SELECT count(*) AS c FROM deliveries d GROUP BY d.depot_id) s",
        "SELECT count(*) AS n FROM depots p, LATERAL (SELECT at FROM deliveries WHERE depot_id = p.depot_id) l",
        "SELECT count(*) AS n FROM (SELECT at FROM deliveries WHERE depot_id = 0 UNION ALL SELECT at FROM deliveries WHERE depot_id = 1) u",
    ] {
        let definition = definition(&database, sql, BY_DELIVERY).await?;
        for (given, n) in [(&june[..], 720), (&since[..], 16), (&[][..], 10_000)] {
            let rows = run(&runner, &bound(&definition, given)?).await?;
            assert_eq!(rows, format!("[{{\"n\":{n}}}]"), "{sql} {given:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_index_on_the_time_column_is_used() -> Result<()> {
    let (database, _runner) = deliveries().await?;
    let sql = "SELECT p.name, count(*) AS n FROM depots p JOIN deliveries d USING (depot_id) GROUP BY p.name";
    let definition = definition(&database, sql, BY_DELIVERY).await?;
    let narrowed = bound(&definition, &[("start_date", "2024-06-01"), ("end_date", "2024-06-02")])?;
    let mut text = narrowed.text().to_owned();
    for (index, argument) in narrowed.arguments().iter().enumerate() {
        let value = argument.as_ref().map(|value| format!("'{}'", value.as_str())).unwrap_or_default();
        text = text.replace(&format!("${}", index + 1), &value);
    }
    let client = database.connect_as_reader().await?;
    let plan = client.query(&format!("EXPLAIN {text}"), &[]).await?;
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    assert!(plan.iter().any(|line| line.contains("deliveries_at_idx")), "{}", plan.join("\n"));
    Ok(())
}
