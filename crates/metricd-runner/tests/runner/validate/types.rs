//! What a type brings into a statement: casts, conditions, comparisons, and the extension that it belongs to.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use metricd_database::DataSchemas;
use metricd_execution::{FindingCode, SqlValidator};
use metricd_runner::PgResolver;
use metricd_test_support::TestDatabase;

use super::{plain, validator, warehouse};

/// Types whose casts, conditions and comparisons run functions that a metric may not run, and ones that may be used.
const OWN_TYPES: &str = "
    SET search_path = warehouse;
    CREATE TYPE lvl AS ENUM ('low', 'high');
    CREATE FUNCTION lvl_json(lvl) RETURNS json LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN to_json($1::text); END';
    CREATE CAST (lvl AS json) WITH FUNCTION lvl_json(lvl);
    CREATE FUNCTION is_mail(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
    CREATE DOMAIN mail AS text CHECK (is_mail(VALUE));
    CREATE DOMAIN dice AS double precision CHECK (VALUE < random());
    CREATE DOMAIN short AS text CHECK (length(VALUE) < 10);
    CREATE TYPE pair AS (a integer, m mail);
    CREATE TYPE pairs AS (inner_pairs pair[]);
    CREATE TYPE span AS RANGE (subtype = double precision);
    CREATE FUNCTION gap(mail, mail) RETURNS double precision LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER AS 'BEGIN RETURN 0; END';
    CREATE TYPE mails AS RANGE (subtype = mail, subtype_diff = gap);
    CREATE FUNCTION compare(point, point) RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN 0; END';
    CREATE FUNCTION before(point, point) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
    CREATE OPERATOR <# (LEFTARG = point, RIGHTARG = point, FUNCTION = before);
    CREATE OPERATOR CLASS point_order DEFAULT FOR TYPE point USING btree AS OPERATOR 1 <#, OPERATOR 3 ~=, FUNCTION 1 compare(point, point);
    CREATE TABLE people (id integer, level lvl, mail mail, at point, span span, grades lvl[]);
    CREATE TABLE codes (code \"char\");
    GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO metricd_reader";

async fn with_own_types() -> Result<TestDatabase> {
    let database = warehouse().await?;
    database.connect().await?.batch_execute(OWN_TYPES).await?;
    Ok(database)
}

#[tokio::test]
async fn a_function_that_a_type_brings_is_validated_as_one_that_is_called() -> Result<()> {
    let database = with_own_types().await?;
    let validator = validator(&database).await?;
    for (sql, function) in [
        ("SELECT to_json('low'::lvl) AS j", "warehouse.lvl_json"),
        ("SELECT json_agg(level) AS j FROM people", "warehouse.lvl_json"),
        ("SELECT jsonb_build_array(grades) AS j FROM people", "warehouse.lvl_json"),
        ("SELECT json_build_object('a', max(level)) AS j FROM people", "warehouse.lvl_json"),
        ("SELECT to_jsonb(p) AS j FROM people p", "warehouse.lvl_json"),
        ("SELECT row_to_json(p) AS j FROM (SELECT level FROM people) p", "warehouse.lvl_json"),
        ("SELECT json_agg(j) AS j FROM (people p JOIN codes c ON true) AS j", "warehouse.lvl_json"),
        ("SELECT json_agg(x) AS j FROM unnest(ARRAY['low'::lvl]) AS x", "warehouse.lvl_json"),
        ("SELECT 'x'::mail AS m", "warehouse.is_mail"),
        ("SELECT '{x}'::mail[] AS m", "warehouse.is_mail"),
        ("SELECT 0.5::dice AS d", "pg_catalog.random"),
        ("SELECT ('(1,x)'::pair).m AS m", "warehouse.is_mail"),
        ("SELECT (json_populate_record(NULL::pair, '{}')).m AS m", "warehouse.is_mail"),
        ("SELECT ('(\"{}\")'::pairs).inner_pairs[1].m AS m", "warehouse.is_mail"),
        ("SELECT m FROM json_to_recordset('[]') AS t (m mail)", "warehouse.is_mail"),
        ("SELECT jsonb_populate_recordset(p, '[]') IS NULL AS m FROM people p", "warehouse.is_mail"),
        ("SELECT lower('[a,b)'::mails)::text AS m", "warehouse.gap"),
        ("SELECT at::text AS a FROM people ORDER BY at", "warehouse.compare"),
    ] {
        let findings = plain(&validator, sql).await?.expect_err(sql);
        let finding = findings.iter().find(|finding| finding.snippet == function);
        assert!(finding.is_some_and(|finding| finding.code == FindingCode::FunctionNotAllowed), "{sql}: {findings:?}");
    }
    Ok(())
}

/// Since PostgreSQL 16 JSON is made by nodes that call no function.
#[tokio::test]
async fn json_that_no_function_makes_brings_the_casts_of_types() -> Result<()> {
    let database = with_own_types().await?;
    let version = "SELECT current_setting('server_version_num')::integer";
    if database.connect().await?.query_one(version, &[]).await?.get::<_, i32>(0) < 160_000 {
        return Ok(());
    }
    let validator = validator(&database).await?;
    for sql in [
        "SELECT JSON_OBJECT('a' VALUE level) AS j FROM people",
        "SELECT JSON_OBJECT('a': p) AS j FROM people p",
        "SELECT JSON_OBJECT('a' VALUE grades RETURNING jsonb) AS j FROM people",
    ] {
        let findings = plain(&validator, sql).await?.expect_err(sql);
        let finding = findings.iter().find(|finding| finding.snippet == "warehouse.lvl_json");
        assert!(finding.is_some_and(|finding| finding.code == FindingCode::FunctionNotAllowed), "{sql}: {findings:?}");
    }
    let contract = plain(&validator, "SELECT JSON_OBJECT('a' VALUE id) AS j FROM people").await?;
    let contract = contract.map_err(|findings| anyhow::anyhow!("{findings:?}"))?;
    assert_eq!(contract.fingerprint(), None, "it depends on the casts that there are");
    Ok(())
}

#[tokio::test]
async fn a_column_is_read_whatever_else_its_type_could_do() -> Result<()> {
    let database = with_own_types().await?;
    let validator = validator(&database).await?;
    let reader = database.connect_as_reader().await?;
    reader.batch_execute("SET search_path = warehouse").await?;
    for sql in [
        "SELECT level, count(*) AS n FROM people WHERE level <> 'low' GROUP BY level ORDER BY level",
        "SELECT mail, max(mail) OVER () AS last, array_agg(mail) OVER () AS every FROM people WHERE mail LIKE '%@%'",
        "SELECT 'x'::short AS s, '[1,2)'::span AS r, span(1, 2) * span AS both FROM people",
        "SELECT code FROM codes WHERE code = 'a'",
        // PostgreSQL lists all columns of what is joined.
        "SELECT a.id, b.level FROM people a JOIN people b USING (id) LEFT JOIN codes ON true",
        "SELECT to_json(id) AS j, jsonb_agg(span) OVER () AS s FROM people",
    ] {
        let validated = plain(&validator, sql).await?;
        assert!(validated.is_ok(), "{sql}: {validated:?}");
        reader.batch_execute(sql).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_type_is_known_by_what_it_is_and_not_by_how_it_is_spelled() -> Result<()> {
    let database = with_own_types().await?;
    let validator = validator(&database).await?;
    let mut faults = Vec::new();
    for (sql, code) in [
        ("SELECT 'a'::\"char\" AS a", FindingCode::TypeNotAllowed),
        ("SELECT 'a'::pg_catalog.\"char\" AS a", FindingCode::TypeNotAllowed),
        ("SELECT 'a'::pg_catalog.char AS a", FindingCode::TypeNotAllowed),
        ("SELECT CAST('a' AS pg_catalog.\"char\") AS a", FindingCode::TypeNotAllowed),
        ("SELECT '{a}'::pg_catalog.\"char\"[] AS a", FindingCode::TypeNotAllowed),
        ("SELECT pg_catalog.\"char\"('a') AS a", FindingCode::FunctionNotAllowed),
        ("SELECT \"char\" 'a' AS a", FindingCode::TypeNotAllowed),
        ("SELECT pg_catalog.\"char\" 'a' AS a", FindingCode::NotUnderstood),
        ("SELECT a FROM json_to_recordset('[]') AS t (a \"char\")", FindingCode::TypeNotAllowed),
        ("SELECT a FROM json_to_recordset('[]') AS t (a pg_catalog.\"char\")", FindingCode::TypeNotAllowed),
        ("SELECT 1::oid AS a", FindingCode::TypeNotAllowed),
        ("SELECT 1::pg_catalog.oid AS a", FindingCode::TypeNotAllowed),
        ("SELECT '1 2'::pg_catalog.int2vector AS a", FindingCode::TypeNotAllowed),
        ("SELECT 'people'::pg_catalog.regclass AS a", FindingCode::TypeNotAllowed),
        ("SELECT '{people}'::pg_catalog.regclass[] AS a", FindingCode::TypeNotAllowed),
        ("SELECT a FROM jsonb_to_record('{}') AS t (a pg_catalog.regrole)", FindingCode::TypeNotAllowed),
        ("SELECT '1'::information_schema.cardinal_number AS a", FindingCode::TypeNotAllowed),
    ] {
        let findings = plain(&validator, sql).await?.expect_err(sql);
        if findings[0].code != code {
            faults.push(format!("{sql}: {findings:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for sql in [
        "SELECT 'a'::char AS a",
        "SELECT 'a'::character(3) AS a",
        "SELECT 'a'::pg_catalog.bpchar AS a, '{1}'::pg_catalog.int4[] AS b",
        "SELECT 'a'::warehouse.short AS a, 'low'::warehouse.lvl AS b",
        "SELECT convert_from('a', 'UTF8') AS a, concat('a', NULL, 1) AS b, to_tsvector('english', 'a') AS c",
    ] {
        let validated = plain(&validator, sql).await?;
        assert!(validated.is_ok(), "{sql}: {validated:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_extension_brings_types_freely_and_functions_by_leave_of_the_operator() -> Result<()> {
    let database = warehouse().await?;
    database
        .connect()
        .await?
        .batch_execute(
            "CREATE EXTENSION citext SCHEMA warehouse; CREATE EXTENSION hstore SCHEMA warehouse;
             CREATE EXTENSION tablefunc SCHEMA warehouse;
             CREATE TABLE warehouse.tags (name warehouse.citext, tags warehouse.hstore);
             INSERT INTO warehouse.tags VALUES ('Ann', 'a => 1');
             GRANT SELECT ON warehouse.tags TO metricd_reader",
        )
        .await?;
    let refusing = validator(&database).await?;
    for sql in [
        "SELECT 'x'::citext = 'X' AS same",
        "SELECT name, tags -> 'a' AS a FROM tags WHERE name = 'ANN' GROUP BY name, tags ORDER BY name",
        "SELECT '{a,b}'::warehouse.citext[] AS c, 'a => 1'::hstore ? 'a' AS h",
    ] {
        let validated = plain(&refusing, sql).await?;
        assert!(validated.is_ok(), "{sql}: {validated:?}");
    }
    for (sql, words) in [
        ("SELECT * FROM crosstab('SELECT 1') AS t (a integer, b text)", "hidden in a text"),
        ("SELECT * FROM crosstab2('SELECT 1') AS t", "hidden in a text"),
        (
            "SELECT * FROM warehouse.connectby('a', 'b', 'c', 'd', 0) AS t (a text, b text, c integer)",
            "hidden in a text",
        ),
        ("SELECT max(name) AS last FROM tags", "`--allow-function warehouse.max`"),
        ("SELECT akeys(tags) AS keys FROM tags", "operator"),
    ] {
        let findings = plain(&refusing, sql).await?.expect_err(sql);
        assert_eq!(findings[0].code, FindingCode::FunctionNotAllowed, "{sql}: {findings:?}");
        assert!(findings[0].message.contains(words), "{sql}: {findings:?}");
    }
    let resolver = Arc::new(PgResolver::new(&database.owner, &DataSchemas::default()));
    let added = ["warehouse.max", "warehouse.akeys"].map(str::to_owned).into_iter().collect();
    let allowing = SqlValidator::new(resolver, &added).await?;
    let allowing = Arc::new(allowing);
    for sql in ["SELECT max(name) AS last FROM tags", "SELECT akeys(tags) AS keys FROM tags"] {
        let validated = plain(&allowing, sql).await?;
        assert!(validated.is_ok(), "{sql}: {validated:?}");
    }
    Ok(())
}

/// A column is read wherever the extension of its type is; what the SQL itself calls is in the warehouse.
#[tokio::test]
async fn a_column_whose_type_an_extension_has_in_another_schema_is_read() -> Result<()> {
    let database = warehouse().await?;
    let client = database.connect().await?;
    client
        .batch_execute(
            "CREATE EXTENSION citext SCHEMA public; CREATE EXTENSION hstore SCHEMA public;
             CREATE FUNCTION public.compare(public.hstore, public.hstore) RETURNS integer LANGUAGE sql IMMUTABLE
             SECURITY DEFINER AS 'SELECT 0';
             SET search_path = warehouse;
             CREATE TABLE c1 (day date, name public.citext, tags public.hstore, n integer);
             CREATE TYPE public.own AS ENUM ('a');
             CREATE FUNCTION public.own_json(public.own) RETURNS json LANGUAGE sql IMMUTABLE AS 'SELECT to_json($1::text)';
             CREATE CAST (public.own AS json) WITH FUNCTION public.own_json(public.own);
             CREATE TABLE c2 (own public.own);
             INSERT INTO c1 VALUES ('2025-06-01', 'Ann', 'a => 1', 1);
             GRANT SELECT ON c1, c2 TO metricd_reader",
        )
        .await?;
    let validator = validator(&database).await?;
    let reader = database.connect_as_reader().await?;
    reader.batch_execute("SET search_path = warehouse").await?;
    for sql in [
        "SELECT day, name, tags FROM c1",
        "SELECT name, count(*) AS n FROM c1 GROUP BY name ORDER BY name",
        "SELECT DISTINCT name, tags FROM c1 UNION SELECT name, tags FROM c1",
        "SELECT json_agg(name) AS names, to_json(r) AS j, jsonb_agg(tags) AS tags FROM (SELECT name, tags FROM c1) AS r GROUP BY r",
        "SELECT name::text AS name FROM c1 WHERE lower(name) = 'ann'",
        "SELECT own FROM c2",
    ] {
        let validated = plain(&validator, sql).await?;
        assert!(validated.is_ok(), "{sql}: {validated:?}");
        reader.batch_execute(sql).await?;
    }
    for (sql, function) in [
        // Called by the SQL.
        ("SELECT public.akeys(tags) AS keys FROM c1", "public.akeys"),
        // Somebody's own, not an extension's.
        ("SELECT json_agg(own) AS j FROM c2", "public.own_json"),
    ] {
        let findings = plain(&validator, sql).await?.expect_err(sql);
        assert!(findings.iter().any(|finding| finding.snippet.contains(function)), "{sql}: {findings:?}");
    }
    // The extension's operators, in a class that somebody has made of them.
    client
        .batch_execute(
            "CREATE OPERATOR CLASS public.odd_order FOR TYPE public.hstore USING btree AS
             OPERATOR 3 public.=, FUNCTION 1 public.compare(public.hstore, public.hstore)",
        )
        .await?;
    let findings = plain(&validator, "SELECT tags FROM c1").await?.expect_err("its owner's rights");
    assert_eq!(findings[0].snippet, "public.compare", "{findings:?}");
    Ok(())
}

#[tokio::test]
async fn a_type_of_an_extension_that_postgresql_does_not_trust_is_the_operators_to_allow() -> Result<()> {
    let database = warehouse().await?;
    let client = database.connect().await?;
    // Any extension that is not trusted and has a base type would do; this one is made by hand, with text's own functions.
    client
        .batch_execute(
            "CREATE TYPE warehouse.odd;
             CREATE FUNCTION warehouse.odd_in(cstring) RETURNS warehouse.odd LANGUAGE internal IMMUTABLE STRICT AS 'textin';
             CREATE FUNCTION warehouse.odd_out(warehouse.odd) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
             CREATE TYPE warehouse.odd (INPUT = warehouse.odd_in, OUTPUT = warehouse.odd_out, LIKE = text);
             CREATE TABLE warehouse.odds (odd warehouse.odd)",
        )
        .await?;
    let refusing = validator(&database).await?;
    let findings = plain(&refusing, "SELECT 'a'::odd AS o").await?.unwrap_err();
    assert_eq!(findings[0].code, FindingCode::TypeNotAllowed, "{findings:?}");
    assert!(plain(&refusing, "SELECT odd FROM odds").await?.is_ok());
    let allowing = SqlValidator::clone(&refusing).with_types(&BTreeSet::from(["warehouse.odd".to_owned()]));
    let allowing = Arc::new(allowing);
    for sql in ["SELECT 'a'::odd AS o", "SELECT '{a}'::warehouse.odd[] AS o"] {
        let validated = plain(&allowing, sql).await?;
        assert!(validated.is_ok(), "{sql}: {validated:?}");
    }
    Ok(())
}
