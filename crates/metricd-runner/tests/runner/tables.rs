//! The tables that statements may read, as the catalogs describe them.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::{Context, Result};
use metricd_execution::{
    JsonRows, MetricRunner, Permit, RunLimits, Sampling, TableDescription, TableFilter, TableKind,
};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use serde_json::{Value, json};

use super::schemas::Shop;

/// Relations of every kind, with comments and keywords as names.
const RELATIONS: &str = r#"
    CREATE TYPE warehouse.state AS ENUM ('open', 'paid');
    CREATE TYPE warehouse.point AS (x integer, y integer);
    CREATE DOMAIN warehouse.email AS text CHECK (VALUE LIKE '%@%');
    CREATE TABLE warehouse.customers (id bigint PRIMARY KEY, name text NOT NULL);
    CREATE TABLE warehouse."order" (
        "select" bigint, "Größe" integer, id bigint, gone text, customer bigint REFERENCES warehouse.customers,
        state warehouse.state, mail warehouse.email, place warehouse.point, note text, tags text[], paid timestamptz NOT NULL,
        PRIMARY KEY ("select", "Größe")
    );
    ALTER TABLE warehouse."order" DROP COLUMN gone;
    COMMENT ON TABLE warehouse."order" IS 'Orders of the Shop';
    COMMENT ON COLUMN warehouse."order".paid IS 'When it was paid.';
    INSERT INTO warehouse.customers VALUES (1, 'Ann'), (2, 'Bob');
    INSERT INTO warehouse."order" VALUES
        (1, 2, 3, 1, 'open', 'a@b', (1, 2), repeat('ä', 5000), ARRAY['x'], '2025-01-01Z'),
        (2, 2, NULL, 2, 'paid', 'c@d', (1, 3), 'short', ARRAY(SELECT generate_series(1, 1000)::text), '2025-01-02Z');
    CREATE VIEW warehouse.open_orders AS SELECT id, note FROM warehouse."order" WHERE state = 'open';
    CREATE MATERIALIZED VIEW warehouse.totals AS SELECT count(*) AS n FROM warehouse."order";
    CREATE TABLE warehouse.sales (day date NOT NULL, amount numeric) PARTITION BY RANGE (day);
    CREATE TABLE warehouse.sales_2024 PARTITION OF warehouse.sales FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE TABLE warehouse.sales_2025 PARTITION OF warehouse.sales FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
        PARTITION BY RANGE (day);
    CREATE TABLE warehouse.sales_2025_1 PARTITION OF warehouse.sales_2025 FOR VALUES FROM ('2025-01-01') TO ('2025-07-01');
    CREATE TABLE warehouse.sales_2025_2 PARTITION OF warehouse.sales_2025 FOR VALUES FROM ('2025-07-01') TO ('2026-01-01');
    INSERT INTO warehouse.sales SELECT day, 1 FROM generate_series(DATE '2024-12-01', DATE '2025-03-31', '1 day') AS day;
    CREATE TABLE warehouse.secrets (id bigint, name text, password text, PRIMARY KEY (id, password));
    CREATE TABLE warehouse.hidden (id bigint);
    CREATE TABLE catalog.elsewhere (id bigint);
    ANALYZE warehouse.customers, warehouse."order", warehouse.totals, warehouse.sales_2024, warehouse.sales_2025_1;
    GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO PUBLIC;
    REVOKE ALL ON warehouse.secrets, warehouse.hidden FROM PUBLIC;
    GRANT SELECT (id, name) ON warehouse.secrets TO PUBLIC;
"#;

async fn list(runner: &PgRunner, filter: &TableFilter) -> Result<Vec<String>> {
    let mut found = Vec::new();
    loop {
        let last = found.last().map(|(schema, name, _)| (schema, name));
        let after = last.map(|(schema, name): (&String, &String)| (schema.as_str(), name.as_str()));
        let page = runner.list_tables(filter, after, 2).await?;
        if page.is_empty() {
            return Ok(found.into_iter().map(|(_, _, shown)| shown).collect());
        }
        found.extend(page.into_iter().map(|table| {
            let rows = table.row_estimate.map_or("?".to_owned(), |rows| rows.to_string());
            let shown = format!("{} {:?} {rows} {}", table.name, table.kind, table.column_count);
            (table.schema, table.name, shown)
        }));
    }
}

async fn find(runner: &PgRunner, name: &str) -> Result<TableDescription> {
    runner.find_table(name).await?.with_context(|| name.to_owned())
}

async fn database() -> Result<(TestDatabase, PgRunner)> {
    let database = TestDatabase::new().await?;
    database.connect().await?.batch_execute("DROP TABLE IF EXISTS warehouse.metrics CASCADE").await?;
    // The owner's default privileges may let the reader read every new table.
    let reader = database.reader.user();
    let revoke = format!("REVOKE ALL ON warehouse.secrets, warehouse.hidden FROM \"{reader}\"");
    let client = database.connect().await?;
    client.batch_execute(RELATIONS).await?;
    client.batch_execute(&revoke).await?;
    client.batch_execute("GRANT SELECT (id, name) ON warehouse.secrets TO PUBLIC").await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    Ok((database, runner))
}

#[tokio::test]
async fn every_kind_of_table_that_the_reader_may_read_is_listed() -> Result<()> {
    let (_database, runner) = database().await?;
    let all = [
        "customers Table 2 2",
        "open_orders View ? 2",
        "order Table 2 10",
        "sales PartitionedTable 121 2",
        "secrets Table ? 2",
        "totals MaterializedView 1 1",
    ];
    assert_eq!(list(&runner, &TableFilter::default()).await?, all);
    let search = async |words: &str| {
        list(&runner, &TableFilter { search: Some(words.to_owned()), ..TableFilter::default() }).await
    };
    assert_eq!(search("OF THE shop").await?, ["order Table 2 10"]);
    assert_eq!(search("ORDER").await?, all[1..3]);
    assert_eq!(search("warehouse.s").await?, [all[3], all[4]]);
    for nothing in ["%", "_2024", "'; --", "\\u0000", "\0"] {
        assert!(search(nothing).await?.is_empty(), "{nothing:?}");
    }
    let pairs = |names: &[&str]| names.iter().map(|name| ("warehouse".to_owned(), (*name).to_owned())).collect();
    let among = async |names: BTreeSet<_>| list(&runner, &TableFilter { among: Some(names), search: None }).await;
    assert_eq!(among(pairs(&["order", "hidden", "sales"])).await?, [all[2], all[3]]);
    assert!(among(BTreeSet::new()).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_table_is_described_by_its_catalogs() -> Result<()> {
    let (_database, runner) = database().await?;
    let order = find(&runner, "order").await?;
    assert_eq!((order.table.schema.as_str(), order.table.kind), ("warehouse", TableKind::Table));
    assert_eq!(order.table.description.as_deref(), Some("Orders of the Shop"));
    assert_eq!((order.table.row_estimate, order.table.column_count), (Some(2), 10));
    let columns: Vec<_> = order
        .columns
        .iter()
        .map(|column| format!("{} {} {} {:?}", column.name, column.type_name, column.required, column.sampling))
        .collect();
    let expected = [
        "select bigint true Whole",
        "Größe integer true Whole",
        "id bigint false Whole",
        "customer bigint false Whole",
        "state state false Whole",
        "mail email false Text",
        "place point false Skipped",
        "note text false Text",
        "tags text[] false Short",
        "paid timestamp with time zone true Whole",
    ];
    assert_eq!(columns[..6], expected[..6]);
    assert!(columns[6].starts_with("place ") && columns[6].ends_with(" false Skipped"), "{}", columns[6]);
    assert_eq!(columns[7..], expected[7..]);
    assert_eq!(order.columns[9].description.as_deref(), Some("When it was paid."));
    let labels = vec!["open".to_owned(), "paid".to_owned()];
    assert_eq!(order.columns[4].enum_labels.as_ref(), Some(&labels));
    assert_eq!(order.columns[3].enum_labels, None);
    assert_eq!(order.key, ["select", "Größe"]);
    let [key] = order.foreign_keys.as_slice() else { anyhow::bail!("{:?}", order.foreign_keys) };
    let referenced = (key.columns.as_slice(), key.referenced_table.as_str(), key.referenced_columns.as_slice());
    assert_eq!(referenced, (&["customer".to_owned()][..], "customers", &["id".to_owned()][..]));

    // Only the columns that the reader may read, and no key with another one.
    let secrets = find(&runner, "warehouse.secrets").await?;
    let names: Vec<_> = secrets.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!((names.as_slice(), secrets.key.len()), (&["id", "name"][..], 0));
    for (name, kind) in [
        ("sales", TableKind::PartitionedTable),
        ("sales_2025", TableKind::PartitionedTable),
        ("sales_2025_1", TableKind::Table),
        ("open_orders", TableKind::View),
        ("totals", TableKind::MaterializedView),
    ] {
        assert_eq!(find(&runner, name).await?.table.kind, kind, "{name}");
    }
    let long = "x".repeat(5_000);
    for absent in
        ["hidden", "elsewhere", "catalog.elsewhere", "pg_class", "pg_catalog.pg_class", "ORDER", "", "\0", &long]
    {
        assert_eq!(runner.find_table(absent).await?, None, "{absent}");
    }
    Ok(())
}

#[tokio::test]
async fn a_sample_has_short_values_of_the_columns() -> Result<()> {
    let (_database, runner) = database().await?;
    let sample = async |name: &str| -> Result<Value> {
        let statement = find(&runner, name).await?.sample().context("a sample")?;
        let mut rows = JsonRows::default();
        runner.run(&statement, None, RunLimits::default(), Permit::default(), &mut rows).await?;
        Ok(serde_json::from_slice(&rows.finish())?)
    };
    let first = json!({
        "select": 1, "Größe": 2, "id": 3, "customer": 1, "state": "open", "mail": "a@b", "note": "ä".repeat(101),
        "tags": ["x"], "paid": "2025-01-01T00:00:00Z"
    });
    let rows = sample("order").await?;
    assert_eq!(rows[0], first);
    assert_eq!((&rows[1]["id"], &rows[1]["note"], &rows[1]["tags"]), (&Value::Null, &json!("short"), &Value::Null));
    assert_eq!(sample("secrets").await?, json!([]));
    assert_eq!(sample("sales").await?.as_array().map(Vec::len), Some(100));
    assert_eq!(sample("totals").await?, json!([{"n": 2}]));
    Ok(())
}

#[tokio::test]
async fn a_name_means_the_table_that_sql_finds_by_it() -> Result<()> {
    let shop = Shop::new().await?;
    let client = shop.database.connect().await?;
    client
        .batch_execute(
            "CREATE TABLE sales.\"Shop, 1.orders\" (n integer); CREATE TABLE sales.pg_class (n integer);
             GRANT SELECT ON ALL TABLES IN SCHEMA sales TO PUBLIC",
        )
        .await?;
    let described = async |name: &str| -> Result<Option<String>> {
        let found = shop.runner.find_table(name).await?;
        Ok(found.map(|found| format!("{} / {} {}", found.table.schema, found.table.name, found.table.is_visible)))
    };
    for (name, expected) in [
        ("orders", Some("sales / orders true")),
        ("sales.orders", Some("sales / orders true")),
        ("customers", Some("Shop, 1 / customers true")),
        ("Shop, 1.customers", Some("Shop, 1 / customers true")),
        // A name comes before a schema with a name.
        ("Shop, 1.orders", Some("sales / Shop, 1.orders true")),
        ("pg_class", None),
        ("sales.pg_class", Some("sales / pg_class false")),
        ("warehouse.metrics", None),
    ] {
        assert_eq!(described(name).await?.as_deref(), expected, "{name}");
    }
    let state = shop.runner.find_table("orders").await?.context("a table")?.columns.remove(2);
    assert_eq!((state.type_name.as_str(), state.sampling), ("state", Sampling::Whole));
    Ok(())
}

#[tokio::test]
async fn ten_thousand_columns_are_read_within_the_time_limit() -> Result<()> {
    let (database, runner) = database().await?;
    let mut tables = String::new();
    for table in 0..7 {
        let columns: Vec<_> = (0..1_500).map(|column| format!("c{column} text")).collect();
        write!(tables, "CREATE TABLE warehouse.wide_{table} ({});", columns.join(", "))?;
    }
    let client = database.connect().await?;
    client.batch_execute(&tables).await?;
    // A comment of a megabyte is cut.
    let comments = "DO $$ BEGIN
            EXECUTE format('COMMENT ON TABLE warehouse.wide_0 IS %L', repeat('ä', 1000000));
            EXECUTE format('COMMENT ON COLUMN warehouse.wide_0.c7 IS %L', repeat('x', 1000000));
        END $$; GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO PUBLIC";
    client.batch_execute(comments).await?;
    let filter = TableFilter { search: Some("wide_".to_owned()), ..TableFilter::default() };
    let found = runner.list_tables(&filter, None, 201).await?;
    assert_eq!(found.iter().map(|table| table.column_count).sum::<usize>(), 10_500);
    let chars = |text: &Option<String>| text.as_ref().map(|text| text.chars().count());
    assert_eq!(chars(&found[0].description), Some(4_000));
    let wide = find(&runner, "wide_0").await?;
    assert_eq!((wide.columns.len(), chars(&wide.columns[7].description)), (1_500, Some(4_000)));
    let statement = wide.sample().context("a sample")?;
    let mut rows = JsonRows::default();
    runner.run(&statement, None, RunLimits::default(), Permit::default(), &mut rows).await?;
    Ok(())
}
