//! metricd's own statements in sessions whose search path names a schema in which other roles create objects.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use metricd_execution::{MetricRunner, RunLimits};
use metricd_runner::own_statements;

use super::schemas::{Shop, bound};

/// The operators of the statements, including those of IN (`=`) and NOT LIKE (`!~~`).
const OPERATORS: &str = "= <> < <= > >= ~ ~~ !~~ || -> ->> *";

/// The types of the statements' values, and some more.
const TYPES: &str = "\"char\" \"char\"[] aclitem[] bigint boolean float8 integer interval json json[] jsonb name name[] numeric \
    oid oid[] oidvector int2vector pg_lsn pg_node_tree pg_snapshot real regclass regnamespace regproc regprocedure regtype smallint smallint[] text text[] \
    timestamptz varchar xid";

/// Creates in the schema `sales` what might be found instead of an object of `pg_catalog`: for each operator and each
/// pair of types an operator, unless `pg_catalog` has it; the functions of these names with another type for one
/// argument, or for both of two; and tables and types by the names of those in `pg_catalog`. All of them raise an error.
const HOSTILE: &str = r#"
    SET search_path = pg_catalog;
    SET check_function_bodies = off;
    DO $do$
    DECLARE
        types regtype[] := regexp_split_to_array(current_setting('test.types'), '\s+');
        operators text[] := string_to_array(current_setting('test.operators'), ' ');
        body CONSTANT text := 'RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $f$BEGIN RAISE EXCEPTION ''hostile''; END$f$';
        one regtype;
        other regtype;
        symbol text;
        called record;
    BEGIN
        FOREACH one IN ARRAY types LOOP
            FOREACH other IN ARRAY types LOOP
                EXECUTE format('CREATE FUNCTION sales.hostile(%s, %s) %s', one, other, body);
                FOR symbol IN
                    SELECT s FROM unnest(operators) AS s WHERE NOT EXISTS (
                        SELECT FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace
                            AND oprname = s AND oprleft = one AND oprright = other
                    )
                LOOP
                    EXECUTE format('CREATE OPERATOR sales.%s (FUNCTION = sales.hostile, LEFTARG = %s, RIGHTARG = %s)', symbol, one, other);
                END LOOP;
            END LOOP;
        END LOOP;
        FOR called IN
            SELECT DISTINCT p.proname, arguments.list FROM pg_proc p,
                LATERAL (
                    SELECT (SELECT string_agg(CASE WHEN a.number = replaced THEN t ELSE a.type::regtype END::text, ', ' ORDER BY a.number)
                        FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, number)) AS list
                    FROM unnest(types) AS t, generate_series(1, p.pronargs) AS replaced
                    UNION SELECT concat_ws(', ', t, u) FROM unnest(types) AS t, unnest(types) AS u WHERE p.pronargs = 2
                ) AS arguments
            WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY (string_to_array(current_setting('test.functions'), ','))
                AND arguments.list !~ '\m(any|anyelement|anyarray|record|internal|cstring|anycompatible\w*)\M'
        LOOP
            EXECUTE format('CREATE OR REPLACE FUNCTION sales.%I(%s) %s', called.proname, called.list, body);
        END LOOP;
    END
    $do$;
    CREATE TABLE sales.pg_class (oid oid, relname name, relnamespace oid, relkind "char");
    CREATE TABLE sales.pg_proc (oid oid, proname name);
    CREATE TABLE sales.pg_namespace (oid oid, nspname name);
    CREATE DOMAIN sales.oid AS pg_catalog.oid CHECK (false);
    CREATE DOMAIN sales.text AS pg_catalog.text CHECK (false);
    CREATE DOMAIN sales.regclass AS pg_catalog.regclass CHECK (false);
    CREATE DOMAIN sales.jsonb AS pg_catalog.jsonb CHECK (false);
    GRANT SELECT ON ALL TABLES IN SCHEMA sales TO PUBLIC"#;

/// The statement without its comments and the content of its strings.
fn code(sql: &str) -> String {
    let lines: Vec<_> = sql.lines().map(|line| line.split("-- ").next().unwrap_or_default()).collect();
    lines.join("\n").split('\'').step_by(2).collect::<Vec<_>>().join("''")
}

/// The names before an opening parenthesis, each with whether a schema precedes it.
fn called(sql: &str) -> BTreeSet<(String, bool)> {
    let code = code(sql);
    let mut called = BTreeSet::new();
    for (end, _) in code.match_indices('(') {
        let before = &code[..end];
        let begin = before.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |index| index + 1);
        if begin < end {
            called.insert((before[begin..].to_lowercase(), before[..begin].ends_with('.')));
        }
    }
    called
}

#[test]
fn every_function_of_an_own_statement_has_its_schema() {
    let statements = own_statements();
    assert!(statements.len() > 15, "{}", statements.len());
    for sql in statements {
        for (name, has_schema) in called(&sql) {
            // Not functions but syntax.
            let is_syntax = ["array", "coalesce", "extract", "nullif"].contains(&name.as_str());
            assert!(has_schema || is_syntax, "`{name}` has no schema in: {sql}");
        }
        let code = code(&sql);
        for operator in code.split(|c| !"+-*/<>=~!@#%^&|`?".contains(c)).filter(|operator| !operator.is_empty()) {
            // A negative number is one token, with its sign.
            let is_known = operator == "-" || OPERATORS.split(' ').any(|known| known == operator);
            assert!(is_known, "add `{operator}` to the operators: {sql}");
        }
    }
}

impl Shop {
    async fn with_hostile_objects() -> Result<Self> {
        let shop = Self::new().await?;
        let names: BTreeSet<_> = own_statements().iter().flat_map(|sql| called(sql)).map(|(name, _)| name).collect();
        let names: Vec<_> = names.into_iter().collect();
        let client = shop.database.connect().await?;
        let settings = [("operators", OPERATORS), ("types", TYPES), ("functions", &names.join(","))];
        for (name, value) in settings {
            client.execute("SELECT set_config('test.' || $1, $2, false)", &[&name, &value]).await?;
        }
        client.batch_execute(HOSTILE).await?;
        Ok(shop)
    }
}

#[tokio::test]
async fn own_statements_resolve_to_objects_of_postgresql_alone() -> Result<()> {
    let shop = Shop::with_hostile_objects().await?;
    let client = shop.database.connect().await?;
    let made = "SELECT (SELECT count(*) FROM pg_operator WHERE oprnamespace = 'sales'::regnamespace),
                       (SELECT count(*) FROM pg_proc WHERE pronamespace = 'sales'::regnamespace)";
    let made = client.query_one(made, &[]).await?;
    let (operators, functions): (i64, i64) = (made.get(0), made.get(1));
    assert!(operators > 10_000 && functions > 3_000, "{operators} operators, {functions} functions");
    client.batch_execute("SET search_path = sales, \"Shop, 1\"").await?;
    let used = "SELECT pg_catalog.pg_describe_object(refclassid, refobjid, refobjsubid) FROM pg_catalog.pg_depend
                WHERE classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid AND refobjid <> $1 AND objid IN (
                    SELECT oid FROM pg_catalog.pg_rewrite WHERE ev_class = $1
                ) AND refobjid >= 16384::pg_catalog.oid AND refobjid NOT IN (
                    SELECT oid FROM pg_catalog.pg_proc WHERE pronamespace = 'tenancy'::pg_catalog.regnamespace::pg_catalog.oid
                ) AND refobjid <> 'tenancy'::pg_catalog.regnamespace::pg_catalog.oid";
    // Composite types and those of arrays of them are not among the operands.
    let unknown = "SELECT DISTINCT t.oid::pg_catalog.regtype::pg_catalog.text FROM pg_catalog.pg_rewrite AS r,
                       pg_catalog.regexp_matches(r.ev_action::pg_catalog.text, ':(?:[a-z]*type|[a-z]+_typeid) (\\d+)', 'g') AS f (hit)
                   JOIN pg_catalog.pg_type AS t ON t.oid = f.hit[1]::pg_catalog.oid
                   WHERE r.ev_class = $1 AND t.typtype = 'b' AND t.oid <> ALL (
                       pg_catalog.regexp_split_to_array($2::pg_catalog.text, '\\s+')::pg_catalog.regtype[]::pg_catalog.oid[]
                   )";
    let mut found = Vec::new();
    for sql in own_statements() {
        let view = format!("CREATE VIEW catalog.own_statement AS SELECT 1 AS one FROM (\n{sql}\n) AS statement");
        if let Err(error) = client.batch_execute(&view).await {
            found.push(format!("{:?}\n{sql}", error.as_db_error().map(tokio_postgres::error::DbError::message)));
            continue;
        }
        let view: u32 =
            client.query_one("SELECT 'catalog.own_statement'::pg_catalog.regclass::pg_catalog.oid", &[]).await?.get(0);
        let objects = client.query(used, &[&view]).await?;
        found.extend(objects.iter().map(|row| format!("{}\n{sql}", row.get::<_, String>(0))));
        let types = client.query(unknown, &[&view, &TYPES]).await?;
        found.extend(types.iter().map(|row| format!("add the type {}\n{sql}", row.get::<_, String>(0))));
        client.batch_execute("DROP VIEW catalog.own_statement").await?;
    }
    assert!(found.is_empty(), "{}", found.join("\n\n"));
    Ok(())
}

#[tokio::test]
async fn nothing_of_a_data_schema_is_called_that_stored_sql_does_not_call() -> Result<()> {
    let shop = Shop::with_hostile_objects().await?;
    let sql = "SELECT name, net(amount) AS n, 'open'::state AS s FROM customers, orders";
    let contract = shop.validate(sql, Some("orders.placed")).await?.map_err(anyhow::Error::msg)?;
    assert_eq!(contract.enums().get("state").context("an enum")?, &["open", "paid"]);
    let repeatable = "SELECT name FROM customers";
    let contract_of_repeatable = shop.validate(repeatable, None).await?.map_err(anyhow::Error::msg)?;
    let fingerprint = shop.runner.fingerprint(contract_of_repeatable.tables()).await?;
    assert_eq!(fingerprint.as_deref(), contract_of_repeatable.fingerprint());
    assert!(fingerprint.is_some());
    let rows =
        r#"[{"name":"ann","n":5.0000000000000000,"s":"open"},{"name":"ann","n":10.0000000000000000,"s":"open"}]"#;
    assert_eq!(shop.run(sql).await?, rows);
    let statement = bound(sql)?;
    let stream = RunLimits { write_timeout: Duration::from_secs(5), ..RunLimits::default() };
    assert_eq!(shop.run_with(&statement, stream).await?, rows);
    assert_eq!(shop.run_on_one_snapshot(&statement).await?, rows);
    shop.runner.verify(&statement, Some(&contract)).await?;
    shop.runner.snapshot_token().await?;
    assert_eq!(shop.runner.relations().await?.len(), 6);
    Ok(())
}
