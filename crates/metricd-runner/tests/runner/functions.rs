//! The lists of functions, against the catalog of the server that runs.

use std::collections::BTreeSet;

use anyhow::Result;
use metricd_execution::{Allowed, FindingCode};
use metricd_test_support::{TestDatabase, add_built_in_function};

use super::validate::{plain, validator};

/// Functions of `pg_catalog` that no SQL calls by name: they are volatile, or PostgreSQL does not document them because they
/// implement something else, or have arguments that SQL has no values for.
const JUDGED_BY_CATALOG: &str = "
    p.provolatile = 'v'
    OR p.proargtypes::oid[] && ARRAY['internal', 'cstring']::regtype[]::oid[]
    OR p.prorettype = ANY (ARRAY['internal', 'cstring', 'trigger', 'event_trigger', 'language_handler', 'fdw_handler',
        'index_am_handler', 'table_am_handler', 'tsm_handler']::regtype[])
    OR EXISTS (SELECT FROM pg_operator o WHERE p.oid IN (o.oprcode, o.oprrest, o.oprjoin))
    OR EXISTS (SELECT FROM pg_amproc a WHERE a.amproc = p.oid)
    OR EXISTS (SELECT FROM pg_aggregate a WHERE p.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn,
        a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn))
    OR EXISTS (SELECT FROM pg_type t WHERE p.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout))
    OR EXISTS (SELECT FROM pg_conversion c WHERE c.conproc = p.oid)
    OR EXISTS (SELECT FROM pg_range r WHERE p.oid IN (r.rngcanonical, r.rngsubdiff))
    OR p.proname ~ '^binary_upgrade_'";

/// Functions behind PostgreSQL's operators and casts that depend on more than their arguments: on the time zone, on
/// `lc_monetary` or the text search configuration, or on the output of a type. The guard allows no value of type regclass
/// or xml.
const DEPENDENT: &str = "anytextcat date interval_pl_timestamptz money numeric regclass textanycat time timestamp timestamptz \
    timestamptz_mi_interval timestamptz_pl_interval timetz ts_match_tq ts_match_tt xml";

/// Comparisons of dates and times, such as `date_eq_timestamptz`.
const COMPARISON: &str = "^(date|timestamp|timestamptz)_(eq|ge|gt|le|lt|ne)_(date|timestamp|timestamptz)$";

#[tokio::test]
async fn every_function_of_postgresql_is_allowed_or_refused_for_a_reason() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let query = format!(
        "SELECT p.proname::text, bool_and({JUDGED_BY_CATALOG}) FROM pg_proc p
         WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.oid < 16384 GROUP BY 1"
    );
    let allowed: BTreeSet<&str> = Allowed::built_in_functions().collect();
    let (mut unlisted, mut both) = (Vec::new(), Vec::new());
    for row in client.query(&query, &[]).await? {
        let (name, by_catalog): (String, bool) = (row.get(0), row.get(1));
        match (allowed.contains(name.as_str()), Allowed::refusal(&name).is_some()) {
            (true, true) => both.push(name),
            (false, false) if !by_catalog => unlisted.push(name),
            _ => {}
        }
    }
    assert!(unlisted.is_empty(), "neither allowed nor refused: {}", unlisted.join(" "));
    assert!(both.is_empty(), "allowed and refused: {}", both.join(" "));
    Ok(())
}

/// The allowed functions that a server of this major version has: those of no group `since` a later one.
fn allowed_in(major: i32) -> Result<BTreeSet<&'static str>> {
    let (mut names, mut since) = (BTreeSet::new(), 0);
    for line in include_str!("../../../metricd-execution/src/guard/functions.txt").lines() {
        match line.strip_prefix("# ") {
            Some(group) => since = group.strip_prefix("since ").map_or(Ok(0), str::parse)?,
            None if since <= major && !line.is_empty() => drop(names.insert(line)),
            None => {}
        }
    }
    Ok(names)
}

#[tokio::test]
async fn every_allowed_function_is_there_since_its_version_and_never_volatile() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let names: Vec<&str> = Allowed::built_in_functions().collect();
    let query = "SELECT p.proname::text, bool_or(p.provolatile = 'v' OR p.prosecdef) FROM pg_proc p
                 WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY ($1) GROUP BY 1";
    let found: Vec<(String, bool)> =
        client.query(query, &[&names]).await?.iter().map(|row| (row.get(0), row.get(1))).collect();
    let volatile: Vec<_> = found.iter().filter(|(_, is_volatile)| *is_volatile).collect();
    assert!(volatile.is_empty(), "{volatile:?}");
    let version = "SELECT current_setting('server_version_num')::integer / 10000";
    let major = client.query_one(version, &[]).await?.get(0);
    let found: BTreeSet<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(found, allowed_in(major)?, "PostgreSQL {major}");
    Ok(())
}

#[tokio::test]
async fn every_operator_and_cast_depends_on_its_operands_alone_or_is_known() -> Result<()> {
    let database = TestDatabase::new().await?;
    let query = "SELECT DISTINCT p.proname::text FROM pg_proc p
                 WHERE p.oid < 16384 AND p.provolatile <> 'i' AND p.proname <> ALL ($1) AND p.proname !~ $2 AND (
                     EXISTS (SELECT FROM pg_operator o WHERE o.oprcode = p.oid)
                     OR EXISTS (SELECT FROM pg_cast c WHERE c.castfunc = p.oid)
                 )";
    let known: Vec<_> = DEPENDENT.split_whitespace().collect();
    let rows = database.connect().await?.query(query, &[&known, &COMPARISON]).await?;
    let unknown: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(unknown.is_empty(), "{}", unknown.join(" "));
    Ok(())
}

/// As on a server whose version metricd does not know.
#[tokio::test]
async fn what_a_later_version_adds_is_refused_if_it_is_named_or_volatile() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    for declaration in [
        "later(integer) RETURNS integer IMMUTABLE",
        "lower(integer, integer) RETURNS integer",
        "upper(integer, integer) RETURNS integer STABLE",
        "later_less(boolean, integer) RETURNS boolean",
        "later_more(boolean, integer) RETURNS boolean STABLE",
        "later_date(boolean) RETURNS date",
    ] {
        add_built_in_function(&client, declaration).await?;
    }
    client
        .batch_execute(
            "CREATE OPERATOR pg_catalog.< (FUNCTION = pg_catalog.later_less, LEFTARG = boolean, RIGHTARG = integer);
             CREATE OPERATOR pg_catalog.> (FUNCTION = pg_catalog.later_more, LEFTARG = boolean, RIGHTARG = integer);
             CREATE CAST (boolean AS date) WITH FUNCTION pg_catalog.later_date(boolean)",
        )
        .await?;
    let validator = validator(&database).await?;
    for (sql, refused) in [
        ("SELECT later(1) AS a", Some("later")),
        ("SELECT lower(1, 2) AS a", Some("pg_catalog.lower")),
        ("SELECT true < 1 AS a", Some("pg_catalog.later_less")),
        ("SELECT true::date AS a", Some("pg_catalog.later_date")),
        ("SELECT upper(1, 2) AS a", None),
        ("SELECT true > 1 AS a", None),
    ] {
        let found = plain(&validator, sql).await?.err().unwrap_or_default();
        let found: Vec<_> = found.iter().map(|finding| (finding.code, finding.snippet.as_str())).collect();
        let expected: Vec<_> =
            refused.map(|function| (FindingCode::FunctionNotAllowed, function)).into_iter().collect();
        assert_eq!(found, expected, "{sql}");
    }
    Ok(())
}
