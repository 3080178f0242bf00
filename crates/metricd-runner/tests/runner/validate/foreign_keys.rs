//! Foreign keys in contracts.

use anyhow::Result;
use metricd_domain::{Contract, ContractColumn};
use metricd_execution::{MetricRunner, RunError};

use super::super::schemas::{Shop, bound};

/// `sales.items` and `sales.employees` are read below. `hidden` is no data schema.
const TABLES: &str = r#"
    SET search_path = sales;
    CREATE SCHEMA hidden;
    CREATE TABLE hidden.accounts (id integer PRIMARY KEY);
    CREATE TABLE regions (code text PRIMARY KEY);
    CREATE TABLE "Shop, 1".carts (id integer PRIMARY KEY, region text, number integer, UNIQUE (region, number));
    CREATE TABLE items (
        id integer PRIMARY KEY,
        region text REFERENCES regions,
        number integer,
        cart integer,
        account integer REFERENCES hidden.accounts,
        sold date,
        FOREIGN KEY (cart) REFERENCES "Shop, 1".carts (id),
        FOREIGN KEY (cart) REFERENCES "Shop, 1".carts (id) ON DELETE CASCADE,
        FOREIGN KEY (number, region) REFERENCES "Shop, 1".carts (number, region)
    );
    ALTER TABLE items ADD FOREIGN KEY (cart) REFERENCES items (id) NOT VALID;
    CREATE TABLE employees (id integer PRIMARY KEY, manager integer REFERENCES employees);
    CREATE VIEW seen_items AS SELECT * FROM items;
    GRANT SELECT ON ALL TABLES IN SCHEMA sales, "Shop, 1" TO PUBLIC"#;

/// What each column of the result references.
fn references(contract: &Contract) -> Vec<String> {
    let text = |column: &ContractColumn| {
        let references: Vec<_> = column.references.iter().map(ToString::to_string).collect();
        references.join(" and ")
    };
    contract.columns().iter().map(text).collect()
}

/// The foreign keys of every table.
fn keys(contract: &Contract) -> Vec<String> {
    let tables = contract.tables().iter();
    let keys = tables.flat_map(|table| table.foreign_keys.iter().map(move |key| (table, key)));
    let text = keys.map(|(table, key)| {
        format!(
            "{}({}) {}.{}({})",
            table.name,
            key.columns.join(", "),
            key.referenced_schema,
            key.referenced_table,
            key.referenced_columns.join(", ")
        )
    });
    text.collect()
}

impl Shop {
    /// The contract, which the runner verifies.
    async fn contract(&self, sql: &str) -> Result<Contract> {
        let contract = self.validate(sql, None).await?.map_err(anyhow::Error::msg)?;
        self.runner.verify(&bound(sql)?, Some(&contract)).await?;
        Ok(contract)
    }
}

#[tokio::test]
async fn a_contract_has_the_foreign_keys_of_the_columns_that_are_read() -> Result<()> {
    let shop = Shop::new().await?;
    shop.database.connect().await?.batch_execute(TABLES).await?;
    let region = "sales.regions.code";
    let cart = "Shop, 1.carts.id and sales.items.id";
    let (cart_key, self_key) = ("items(cart) Shop, 1.carts(id)", "items(cart) sales.items(id)");
    let region_key = "items(region) sales.regions(code)";
    let pair = "items(number, region) Shop, 1.carts(number, region)";
    for (sql, columns, tables) in [
        ("SELECT region, id FROM items", vec![region, ""], vec![region_key]),
        ("SELECT i.cart AS c, account FROM sales.items AS i", vec![cart, ""], vec![cart_key, self_key]),
        // Of a key of two columns, each alone says nothing.
        ("SELECT number FROM items", vec![""], Vec::<&str>::new()),
        ("SELECT number, region AS r FROM items", vec!["", region], vec![region_key, pair]),
        // Columns that are read and not shown, or shown changed.
        ("SELECT count(*) AS n FROM items JOIN regions ON region = code", vec![""], vec![region_key]),
        (
            "SELECT max(region) AS region, cart + 1 AS cart FROM items GROUP BY cart",
            vec!["", ""],
            vec![cart_key, self_key, region_key],
        ),
        ("SELECT region FROM items GROUP BY region", vec![region], vec![region_key]),
        (
            "WITH i AS (SELECT region FROM items) SELECT i.region, code FROM regions LEFT JOIN i ON true",
            vec![region, ""],
            vec![region_key],
        ),
        ("SELECT region FROM items UNION ALL SELECT code FROM regions", vec![""], vec![region_key]),
        (
            "SELECT e.manager, m.id FROM employees e JOIN employees m ON e.manager = m.id",
            vec!["sales.employees.id", ""],
            vec!["employees(manager) sales.employees(id)"],
        ),
        // A view has no keys, and a key of another table is none of this one.
        ("SELECT region, cart FROM seen_items", vec!["", ""], Vec::<&str>::new()),
        ("SELECT code FROM regions", vec![""], Vec::<&str>::new()),
    ] {
        let contract = shop.contract(sql).await?;
        assert_eq!(references(&contract), columns, "{sql}");
        assert_eq!(keys(&contract), tables, "{sql}");
    }
    let all = shop.contract("SELECT * FROM items").await?;
    assert_eq!(references(&all), ["", region, "", cart, "", ""]);
    assert!(!format!("{all:?}").contains("accounts"), "a table outside of the data schemas is not named: {all:?}");
    Ok(())
}

/// PostgreSQL has an entry for each partition on either side of a key.
#[tokio::test]
async fn a_foreign_key_of_partitioned_tables_is_listed_once() -> Result<()> {
    let shop = Shop::new().await?;
    let tables = "SET search_path = sales;
        CREATE TABLE days (day date PRIMARY KEY) PARTITION BY RANGE (day);
        CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
        CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM ('2025-02-01') TO ('2025-03-01') PARTITION BY RANGE (day);
        CREATE TABLE days_2_1 PARTITION OF days_2 FOR VALUES FROM ('2025-02-01') TO ('2025-02-15');
        CREATE TABLE visits (sold date REFERENCES days, region text) PARTITION BY LIST (region);
        CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN ('a') PARTITION BY LIST (region);
        CREATE TABLE visits_1_1 PARTITION OF visits_1 FOR VALUES IN ('a');
        CREATE TABLE visits_2 (region text, sold date REFERENCES days);
        ALTER TABLE visits ATTACH PARTITION visits_2 FOR VALUES IN ('b');
        CREATE TABLE days_3 (day date PRIMARY KEY);
        ALTER TABLE days ATTACH PARTITION days_3 FOR VALUES FROM ('2025-03-01') TO ('2025-04-01');
        CREATE TABLE parents (sold date REFERENCES days_1, region text);
        CREATE TABLE children () INHERITS (parents);
        GRANT SELECT ON ALL TABLES IN SCHEMA sales TO PUBLIC";
    shop.database.connect().await?.batch_execute(tables).await?;
    for table in ["visits", "visits_1", "visits_1_1", "visits_2"] {
        let contract = shop.contract(&format!("SELECT sold FROM {table}")).await?;
        assert_eq!(keys(&contract), [format!("{table}(sold) sales.days(day)")]);
        assert_eq!(references(&contract), ["sales.days.day"], "{table}");
    }
    let contract = shop.contract("SELECT sold FROM parents").await?;
    assert_eq!(keys(&contract), ["parents(sold) sales.days_1(day)"]);
    // PostgreSQL does not inherit it.
    assert_eq!(keys(&shop.contract("SELECT sold FROM children").await?), Vec::<&str>::new());
    Ok(())
}

/// The rows of such a key need not be equal.
#[tokio::test]
async fn a_foreign_key_over_periods_is_left_out() -> Result<()> {
    let shop = Shop::new().await?;
    let client = shop.database.connect().await?;
    let version: i32 = client.query_one("SELECT current_setting('server_version_num')::integer", &[]).await?.get(0);
    if version < 180_000 {
        return Ok(());
    }
    let tables = "CREATE EXTENSION btree_gist SCHEMA public; SET search_path = sales, public;
        CREATE TABLE prices (id integer, valid daterange, PRIMARY KEY (id, valid WITHOUT OVERLAPS));
        CREATE TABLE offers (price integer, valid daterange, FOREIGN KEY (price, PERIOD valid) REFERENCES prices (id, PERIOD valid));
        GRANT SELECT ON ALL TABLES IN SCHEMA sales TO PUBLIC";
    client.batch_execute(tables).await?;
    let contract = shop.contract("SELECT price, valid FROM offers").await?;
    assert_eq!(keys(&contract), Vec::<&str>::new());
    Ok(())
}

/// A changed key is no reason to refuse a result, but documents follow it.
#[tokio::test]
async fn a_foreign_key_that_is_added_or_dropped_makes_a_contract_stale() -> Result<()> {
    let shop = Shop::new().await?;
    let client = shop.database.connect().await?;
    client.batch_execute(TABLES).await?;
    let sql = "SELECT region FROM items ORDER BY region";
    let is_stale = async |contract: &Contract| match shop.runner.verify(&bound(sql)?, Some(contract)).await {
        Err(RunError::Drifted) => anyhow::Ok(true),
        verified => Ok(verified.map(|()| false)?),
    };
    let first = shop.contract(sql).await?;
    let mut of_another_release = serde_json::to_value(&first)?;
    for (list, member) in [("tables", "foreign_keys"), ("columns", "references")] {
        let removed = of_another_release[list][0].as_object_mut().and_then(|entry| entry.remove(member));
        assert!(removed.is_some(), "{member}");
    }
    assert!(is_stale(&serde_json::from_value(of_another_release)?).await?, "it has no keys");
    for (change, is_changed) in [
        ("ALTER TABLE sales.items DROP CONSTRAINT items_cart_fkey", false),
        ("ALTER TABLE sales.items RENAME CONSTRAINT items_region_fkey TO other", false),
        ("ALTER TABLE sales.items DROP CONSTRAINT other", true),
        ("ALTER TABLE sales.items ADD FOREIGN KEY (region) REFERENCES sales.regions", true),
        ("ALTER TABLE sales.regions RENAME code TO name", true),
        ("ALTER TABLE sales.regions RENAME TO areas", true),
        ("ALTER TABLE sales.areas SET SCHEMA \"Shop, 1\"", true),
        ("ALTER TABLE \"Shop, 1\".areas SET SCHEMA hidden", true),
    ] {
        let before = shop.contract(sql).await?;
        client.batch_execute(change).await?;
        assert_eq!(is_stale(&before).await?, is_changed, "{change}");
        assert_eq!(shop.run(sql).await?, "[]", "{change}");
    }
    assert_eq!(keys(&shop.contract(sql).await?), Vec::<&str>::new());
    Ok(())
}
