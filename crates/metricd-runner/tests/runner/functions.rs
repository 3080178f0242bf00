//! The lists of functions, against the catalog of the server that runs.

use std::collections::BTreeSet;

use anyhow::Result;
use metricd_execution::Allowed;
use metricd_test_support::TestDatabase;

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

#[tokio::test]
async fn every_allowed_function_is_there_and_never_volatile() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let names: Vec<&str> = Allowed::built_in_functions().collect();
    let query = "SELECT DISTINCT p.proname::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                 WHERE n.nspname = 'pg_catalog' AND p.proname = ANY ($1) AND ($2 OR p.provolatile = 'v' OR p.prosecdef)";
    let volatile = client.query(query, &[&names, &false]).await?;
    assert!(volatile.is_empty(), "{:?}", volatile.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>());
    let known = client.query(query, &[&names, &true]).await?.len();
    assert!(known > 300, "{known} of {} are known to this server", names.len());
    Ok(())
}
