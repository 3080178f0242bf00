//! Operators of the data schemas, and what PostgreSQL refuses.

use anyhow::{Result, bail};
use metricd_execution::RunError;
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;

use super::{ALL, Select, bound, definition, ids, run};

/// Operators that would be chosen by their name, since they are of exactly these types, and would change the result.
const CLAIMED: &str = "
    SET search_path = warehouse;
    CREATE DOMAIN code AS varchar;
    CREATE TABLE calls (n integer);
    CREATE TABLE items (id integer, word varchar(9), code code, tags varchar[]);
    INSERT INTO items VALUES (1, 'a', 'a', '{a}'), (2, 'b', 'b', '{b}'), (3, NULL, NULL, NULL);
    CREATE FUNCTION lie(varchar, text) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
        AS 'BEGIN INSERT INTO warehouse.calls VALUES (1); RETURN true; END';
    CREATE FUNCTION lie(varchar, varchar) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
        AS 'BEGIN INSERT INTO warehouse.calls VALUES (1); RETURN true; END';
    CREATE FUNCTION lie(varchar[], varchar[]) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
        AS 'BEGIN INSERT INTO warehouse.calls VALUES (1); RETURN true; END';
    CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = lie);
    CREATE OPERATOR <> (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = lie);
    CREATE OPERATOR < (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = lie);
    CREATE OPERATOR > (LEFTARG = varchar, RIGHTARG = text, FUNCTION = lie);
    CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = text, FUNCTION = lie);
    CREATE OPERATOR ~~ (LEFTARG = varchar, RIGHTARG = text, FUNCTION = lie);
    CREATE OPERATOR ~~ (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = lie);
    CREATE OPERATOR @> (LEFTARG = varchar[], RIGHTARG = varchar[], FUNCTION = lie);
    GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO metricd_reader";

#[tokio::test]
async fn operators_of_the_data_schemas_take_no_part() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    client.batch_execute(CLAIMED).await?;
    let claimed = client.query("SELECT id FROM items WHERE word = 'a'::varchar", &[]).await?;
    assert_eq!(claimed.len(), 3, "by its name, the operator of the schema is chosen");
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let stored = definition(&database, "SELECT * FROM items ORDER BY id").await?;
    for (filter, expected) in [
        ("word.eq.a", vec![1]),
        ("word.neq.a", vec![2]),
        ("word.lt.b", vec![1]),
        ("word.gt.a", vec![2]),
        ("word.in.(a,x)", vec![1]),
        ("word.isdistinct.a", vec![2, 3]),
        ("word.like.a*", vec![1]),
        ("code.eq.a", vec![1]),
        ("code.gt.a", vec![2]),
        ("code.like.a*", vec![1]),
        ("tags.cs.{a}", vec![1]),
    ] {
        let found = ids(&runner, &stored, &[], Select { filters: &[filter], ..ALL }).await?;
        assert_eq!(found, (expected, false), "{filter}");
    }
    let found = ids(&runner, &stored, &[], Select { sort: "-word,code,tags", ..ALL }).await?;
    assert_eq!(found, (vec![2, 1, 3], false));
    Ok(())
}

/// The value reaches PostgreSQL as a value, whatever it has.
#[tokio::test]
async fn names_and_values_are_never_sql() -> Result<()> {
    let database = TestDatabase::new().await?;
    let column = r#"x" = 1 OR ""1"; DROP TABLE t; -- $1 :y"#;
    let quoted = column.replace('"', "\"\"");
    let client = database.connect().await?;
    client
        .batch_execute(&format!(
            "SET search_path = warehouse; CREATE TABLE hostile (id integer, \"{quoted}\" text);
             INSERT INTO hostile VALUES (1, 'a'), (2, ''' OR 1=1 --'), (3, '$1'), (4, '{{\"a\",b}}'), (5, E'\\\\');
             GRANT SELECT ON hostile TO metricd_reader"
        ))
        .await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let stored = definition(&database, "SELECT * FROM hostile ORDER BY id").await?;
    let name = format!("\"{}\"", column.replace('"', "\\\""));
    for (condition, expected) in [
        ("eq.' OR 1=1 --", vec![2]),
        ("eq.$1", vec![3]),
        ("eq.{\"a\",b}", vec![4]),
        ("eq.\\", vec![5]),
        ("in.(\"' OR 1=1 --\",\"{\\\"a\\\",b}\",\"\\\\\")", vec![2, 4, 5]),
        ("like.*1=1*", vec![2]),
        ("eq.a' AND '1'='1", vec![]),
    ] {
        let filter = format!("{name}.{condition}");
        let found = ids(&runner, &stored, &[], Select { filters: &[&filter], ..ALL }).await?;
        assert_eq!(found, (expected, false), "{filter}");
    }
    let sort = format!("-{name}");
    assert_eq!(ids(&runner, &stored, &[], Select { sort: &sort, ..ALL }).await?.0.len(), 5);
    Ok(())
}

/// What cannot be known without PostgreSQL is refused by it, with a code that the API knows.
#[tokio::test]
async fn postgresql_refuses_what_it_cannot_compare() -> Result<()> {
    let database = TestDatabase::new().await?;
    database
        .connect()
        .await?
        .batch_execute(
            "SET search_path = warehouse;
             CREATE TYPE spot AS (place point);
             CREATE COLLATION ignoring (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
             CREATE TABLE odd (id integer, spot spot, folded text COLLATE ignoring, one text COLLATE \"C\", two text COLLATE \"POSIX\");
             INSERT INTO odd VALUES (1, '(\"(1,1)\")', 'A', 'a', 'b'), (2, '(\"(2,2)\")', 'b', 'c', 'd');
             GRANT SELECT ON odd TO metricd_reader",
        )
        .await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let stored = definition(&database, "SELECT id, spot, folded, one || two AS both FROM odd").await?;
    for (sort, filters, sqlstate) in
        [("spot", vec![], "42883"), ("both", vec![], "42P22"), ("", vec!["folded.like.a*"], "0A000")]
    {
        let statement = bound(&stored, &[], Select { sort, filters: &filters, ..ALL })?;
        match run(&runner, &statement, "10").await? {
            Err(RunError::Failed { sqlstate: found, .. }) => assert_eq!(found, sqlstate, "{sort} {filters:?}"),
            // PostgreSQL 18 has learnt it.
            Ok(_) if sqlstate == "0A000" => {}
            other => bail!("{sort} {filters:?}: {other:?}"),
        }
    }
    let found = ids(&runner, &stored, &[], Select { filters: &["folded.eq.a"], ..ALL }).await?;
    assert_eq!(found, (vec![1], false), "equal by the collation of the column");
    Ok(())
}

#[tokio::test]
async fn values_that_only_postgresql_can_parse_are_refused_by_it() -> Result<()> {
    let database = TestDatabase::new().await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let sql = "SELECT 1 AS id, interval '1 day' AS span, int4range(1, 2) AS ints, '{}'::jsonb AS doc, time '12:00' AS clock, '10.0.0.1'::inet AS host";
    let stored = definition(&database, sql).await?;
    for filter in [
        "span.eq.soon",
        "ints.cs.[1",
        "ints.ov.[9,1)",
        "ints.eq.today",
        "doc.cs.\"\\u0000\"",
        "clock.gt.25:00",
        "host.in.(10.0.0.1,x)",
    ] {
        let statement = bound(&stored, &[], Select { filters: &[filter], ..ALL })?;
        match run(&runner, &statement, "10").await? {
            Err(RunError::Failed { sqlstate, .. }) => assert!(sqlstate.starts_with("22"), "{filter}: {sqlstate}"),
            other => bail!("{filter}: {other:?}"),
        }
        let refused = statement.selection().map(|selection| selection.refused_values()).unwrap_or_default();
        assert_eq!(refused.len(), 1, "{filter}");
    }
    Ok(())
}
