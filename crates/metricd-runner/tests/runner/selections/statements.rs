//! Selections of statements of every kind: with parameters, periods, comments, an order of their own, and for tenants.

use anyhow::Result;
use metricd_domain::{Tenant, TimeZone};
use metricd_execution::{JsonRows, MetricRunner, Permit, RequestZone, RunError, RunLimits};
use metricd_postgres::tenant_key;
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use tokio::task::spawn_blocking;

use super::{ALL, Select, bound, bound_in, definition, ids, run};

const SALES: &str = "
    SET search_path = warehouse;
    CREATE TABLE sales (id integer, day date NOT NULL, amount numeric(12,2), country text);
    INSERT INTO sales SELECT n, date '2025-05-31' + n, n % 4, CASE n % 3 WHEN 0 THEN 'DE' WHEN 1 THEN 'FR' END
    FROM generate_series(1, 12) AS n;
    CREATE TABLE visits (id integer, at timestamptz);
    INSERT INTO visits VALUES (1, '2025-05-31 22:30Z'), (2, '2025-06-01 12:00Z'), (3, '2025-06-01 22:30Z');
    GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO metricd_reader";

async fn sales() -> Result<(TestDatabase, PgRunner)> {
    let database = TestDatabase::new().await?;
    database.connect().await?.batch_execute(SALES).await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    Ok((database, runner))
}

#[tokio::test]
async fn a_statement_of_any_form_is_selected_from() -> Result<()> {
    let (database, runner) = sales().await?;
    let select = Select { filters: &["id.lte.5"], ..ALL };
    for (sql, expected) in [
        ("SELECT id FROM sales ORDER BY amount, id DESC", vec![4, 5, 1, 2, 3]),
        ("SELECT id FROM sales ORDER BY id DESC LIMIT 10", vec![5, 4, 3]),
        ("SELECT id FROM sales ORDER BY id -- in order", vec![1, 2, 3, 4, 5]),
        ("-- Title\nSELECT id FROM sales ORDER BY id; -- done\n/* really */ ;", vec![1, 2, 3, 4, 5]),
        ("SELECT id FROM sales ORDER BY id /* ) AS x; -- */", vec![1, 2, 3, 4, 5]),
        ("WITH s AS (SELECT id FROM sales) SELECT id FROM s ORDER BY id", vec![1, 2, 3, 4, 5]),
        ("VALUES (1), (9)", vec![]),
        ("SELECT * FROM (VALUES (1), (9)) AS v (id)", vec![1]),
        ("(SELECT 1 AS id) UNION ALL (SELECT 9) ORDER BY 1", vec![1]),
        ("SELECT max(id)::integer AS id FROM sales GROUP BY country HAVING max(id) < 100 ORDER BY 1", vec![]),
        ("SELECT id, row_number() OVER (ORDER BY id DESC) AS n FROM sales ORDER BY n DESC", vec![1, 2, 3, 4, 5]),
        ("SELECT DISTINCT ON (country) id, country FROM sales ORDER BY country, id", vec![3, 1, 2]),
        ("SELECT id, 1 FROM sales ORDER BY 1", vec![1, 2, 3, 4, 5]),
        ("SELECT id, 'a' AS a, NULL AS n FROM sales ORDER BY 1", vec![1, 2, 3, 4, 5]),
    ] {
        let stored = definition(&database, sql).await?;
        let columns = stored.contract.as_ref().map(|contract| contract.columns().to_vec()).unwrap_or_default();
        if columns.iter().any(|column| column.name == "id") {
            assert_eq!(ids(&runner, &stored, &[], select).await?, (expected, false), "{sql}");
        } else {
            let statement = bound(&stored, &[], Select { filters: &["column1.gt.1"], ..ALL })?;
            assert_eq!(run(&runner, &statement, "10").await??.1.len(), 1, "{sql}");
        }
    }
    let unnamed = definition(&database, "SELECT id, amount * 2 FROM sales").await?;
    let found = ids(&runner, &unnamed, &[], Select { sort: "-?column?,id", limit: "3", ..ALL }).await?;
    assert_eq!(found, (vec![3, 7, 11], true), "an unnamed column is `?column?`");
    assert!(definition(&database, "SELECT 1, 2").await.is_err(), "two columns of one name are not stored");
    Ok(())
}

#[tokio::test]
async fn parameters_keep_their_values() -> Result<()> {
    let (database, runner) = sales().await?;
    let sql = "SELECT id, :note AS note FROM sales WHERE amount >= :least AND country = :country ORDER BY id -- :note";
    let stored = definition(&database, sql).await?;
    let given = [("least", "1"), ("country", "DE"), ("note", "x")];
    for (select, expected) in [
        (ALL, vec![3, 6, 9]),
        (Select { sort: "-id", ..ALL }, vec![9, 6, 3]),
        (Select { filters: &["id.gt.3", "note.eq.x"], ..ALL }, vec![6, 9]),
        (Select { filters: &["note.eq.y"], ..ALL }, vec![]),
        (Select { sort: "-id", offset: "1", ..ALL }, vec![6, 3]),
    ] {
        assert_eq!(ids(&runner, &stored, &given, select).await?, (expected, false), "{select:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_period_applies_before_the_selection() -> Result<()> {
    let (database, runner) = sales().await?;
    let june = [("start_date", "2025-06-03"), ("end_date", "2025-06-08")];
    let narrowed = "SELECT id, day FROM sales WHERE amount >= 1 ORDER BY id -- narrowed";
    let filtered = "SELECT id, day, sum(amount) OVER (ORDER BY day) AS total FROM sales ORDER BY id -- filtered";
    let named = "SELECT id, day FROM sales WHERE day BETWEEN :start_date AND :end_date ORDER BY id";
    for (sql, all, later) in [
        (narrowed, vec![3, 5, 6, 7], vec![7, 6]),
        (filtered, vec![3, 4, 5, 6, 7, 8], vec![8, 7]),
        (named, vec![3, 4, 5, 6, 7, 8], vec![8, 7]),
    ] {
        let stored = definition(&database, sql).await?;
        assert_eq!(ids(&runner, &stored, &june, ALL).await?, (all, false), "{sql}");
        let select = Select { sort: "-id", filters: &["day.gt.2025-06-04"], limit: "2", ..ALL };
        assert_eq!(ids(&runner, &stored, &june, select).await?, (later, true), "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn a_local_time_is_one_of_the_request_zone() -> Result<()> {
    let (database, runner) = sales().await?;
    let stored = definition(&database, "SELECT id, at FROM visits ORDER BY id").await?;
    let utc = TimeZone::default();
    for (zone, filter, expected) in [
        ("UTC", "at.gte.2025-06-01", vec![2, 3]),
        ("Europe/Berlin", "at.gte.2025-06-01", vec![1, 2, 3]),
        ("Europe/Berlin", "at.gte.2025-06-01T00:00:00Z", vec![2, 3]),
        ("Europe/Berlin", "at.in.(2025-06-02T00:30:00,2025-06-01T12:00:00Z)", vec![2, 3]),
    ] {
        let zone = RequestZone::new(Some(TimeZone::parse(zone)?), &utc);
        let statement = bound_in(&stored, &[], Select { filters: &[filter], ..ALL }, &zone)?;
        let (_, rows) = run(&runner, &statement, "10").await??;
        let found: Vec<_> = rows.iter().filter_map(|row| row["id"].as_i64()).collect();
        assert_eq!(found, expected, "{zone:?} {filter}");
    }
    Ok(())
}

/// A filter sees the rows of the tenant only, and neither its result nor its errors show that there are others.
#[tokio::test]
async fn a_selection_for_a_tenant_has_rows_of_the_tenant() -> Result<()> {
    let database = TestDatabase::new().await?;
    database
        .connect()
        .await?
        .batch_execute(
            "CREATE TABLE warehouse.orders (tenant text NOT NULL, id integer NOT NULL);
             INSERT INTO warehouse.orders SELECT tenant, n FROM unnest(ARRAY['acme', 'other']) AS tenant, generate_series(1, 3) AS n;
             ALTER TABLE warehouse.orders ENABLE ROW LEVEL SECURITY;
             CREATE POLICY of_tenant ON warehouse.orders FOR SELECT USING (tenant = (SELECT tenancy.current_tenant()));
             GRANT SELECT ON warehouse.orders TO metricd_reader",
        )
        .await?;
    let owner = database.owner.clone();
    let key = spawn_blocking(move || tenant_key(&owner)).await??.into();
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?.naming_tenants_by(key);
    let stored = definition(&database, "SELECT tenant, id FROM orders").await?;
    for (tenant, filters, expected) in [
        (Some("acme"), vec![], r#"[{"tenant":"acme","id":3},{"tenant":"acme","id":2},{"tenant":"acme","id":1}]"#),
        (Some("acme"), vec!["id.gt.1", "tenant.neq.none"], r#"[{"tenant":"acme","id":3},{"tenant":"acme","id":2}]"#),
        (Some("acme"), vec!["tenant.eq.other"], "[]"),
        (Some("none"), vec!["tenant.is.not_null"], "[]"),
        (None, vec!["tenant.is.not_null"], "[]"),
    ] {
        let statement = bound(&stored, &[], Select { sort: "-id", filters: &filters, ..ALL })?;
        let tenant = tenant.map(Tenant::parse).transpose()?;
        let mut rows = JsonRows::default();
        runner.run(&statement, tenant.as_ref(), RunLimits::default(), Permit::default(), &mut rows).await?;
        assert_eq!(String::from_utf8(rows.finish())?, expected, "{tenant:?} {filters:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_statement_that_its_contract_does_not_describe_is_not_selected_from() -> Result<()> {
    let (database, runner) = sales().await?;
    let stored = definition(&database, "SELECT id, amount FROM sales").await?;
    let statement = bound(&stored, &[], Select { sort: "amount", filters: &["amount.gt.1"], ..ALL })?;
    assert!(run(&runner, &statement, "10").await?.is_ok());
    let client = database.connect().await?;
    client.batch_execute("ALTER TABLE warehouse.sales ALTER amount TYPE double precision").await?;
    let outcome = run(&runner, &statement, "10").await?;
    assert!(matches!(outcome, Err(RunError::Drifted)), "{outcome:?}");
    Ok(())
}
