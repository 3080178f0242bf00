//! Taking rights from PUBLIC, and giving them back.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use metricd_database::{DataSchemas, DatabaseUrl, harm_classes};
use metricd_postgres::{
    HardeningError, HardeningPlan, harden, open_classes, plan_hardening, plan_undoing, undo_hardening,
};
use metricd_test_support::TestDatabase;
use tokio::task::spawn_blocking;
use tokio_postgres::Client;

type Outcome = Result<HardeningPlan, HardeningError>;

async fn as_role(role: &DatabaseUrl, what: fn(&DatabaseUrl) -> Outcome) -> Result<Outcome> {
    let role = role.clone();
    Ok(spawn_blocking(move || what(&role)).await?)
}

async fn count(role: &DatabaseUrl, what: fn(&DatabaseUrl) -> Outcome) -> Result<usize> {
    Ok(as_role(role, what).await??.rights.len())
}

/// Who may do what with each function and with the database, as PostgreSQL understands it.
async fn rights(client: &Client) -> Result<BTreeSet<String>> {
    let rows = client
        .query(
            "SELECT format('%s %s: %s', grants.privilege_type, object, grants.grantee) FROM (
                 SELECT oid::regprocedure::text AS object, coalesce(proacl, acldefault('f', proowner)) AS acl FROM pg_proc
                 UNION ALL SELECT 'database', coalesce(datacl, acldefault('d', datdba)) FROM pg_database
                 WHERE datname = current_database()
             ) AS objects, aclexplode(acl) AS grants",
            &[],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// A role of this database alone, which may log in.
async fn role(client: &Client, prefix: &str) -> Result<(String, DatabaseUrl)> {
    let row = client.query_one("SELECT current_database()::text, current_setting('port')", &[]).await?;
    let (database, port): (String, String) = (row.get(0), row.get(1));
    let role = format!("{prefix}_{database}");
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'")).await?;
    let url = DatabaseUrl::parse(format!("postgres://{role}:secret@127.0.0.1:{port}/{database}"))?;
    Ok((role, url))
}

/// Has a role that is no superuser own what metricd owns.
async fn plain_owner(client: &Client) -> Result<(String, DatabaseUrl)> {
    let (role, url) = role(client, "plain_owner").await?;
    let own = format!("ALTER SCHEMA catalog OWNER TO {role}; ALTER TABLE catalog.taken_rights OWNER TO {role}");
    client.batch_execute(&own).await?;
    Ok((role, url))
}

#[tokio::test]
async fn takes_once_and_gives_back_exactly_that() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let client = database.connect().await?;
    // What somebody else has taken stays taken, what somebody else was granted stays granted.
    let (third, _) = role(&client, "third").await?;
    client
        .batch_execute(&format!(
            "REVOKE EXECUTE ON FUNCTION pg_notify FROM PUBLIC; GRANT EXECUTE ON FUNCTION pg_sleep TO {third}"
        ))
        .await?;
    let before = rights(&client).await?;
    let planned = as_role(&database.owner, plan_hardening).await??;
    assert_eq!(rights(&client).await?, before, "planning changes nothing");
    let taken = as_role(&database.owner, harden).await??;
    // Other tests create roles meanwhile, which lose rights as well.
    let objects = |plan: &HardeningPlan| -> Vec<_> { plan.rights.iter().map(|right| right.object.clone()).collect() };
    assert_eq!(objects(&taken), objects(&planned));
    assert!(taken.rights.len() > 80, "{}", taken.rights.len());
    let hardened = rights(&client).await?;
    assert!(hardened.is_subset(&before), "nothing is granted where the owner is a superuser");
    assert_eq!(before.len() - hardened.len(), taken.rights.len());
    assert_eq!(count(&database.owner, harden).await?, 0, "the second time there is nothing left");
    assert_eq!(rights(&client).await?, hardened);

    assert_eq!(count(&database.owner, plan_undoing).await?, taken.rights.len());
    assert_eq!(count(&database.owner, undo_hardening).await?, taken.rights.len());
    assert_eq!(rights(&client).await?, before);
    assert_eq!(count(&database.owner, undo_hardening).await?, 0);
    assert_eq!(rights(&client).await?, before);
    Ok(())
}

#[tokio::test]
async fn many_at_once_are_fine() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let mut all = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (owner, reader) = (database.owner.clone(), database.reader.clone());
        all.spawn_blocking(move || -> Result<usize> {
            if number % 2 == 0 {
                let limits = metricd_postgres::ReaderLimits::default();
                metricd_postgres::prepare_reader(&owner, &reader, &DataSchemas::default(), limits)?;
            }
            Ok(harden(&owner)?.rights.len())
        });
    }
    let mut taken = Vec::new();
    while let Some(ended) = all.join_next().await {
        taken.push(ended??);
    }
    assert_eq!(taken.iter().filter(|count| **count > 0).count(), 1, "{taken:?}");
    Ok(())
}

#[tokio::test]
async fn the_owner_keeps_its_rights_and_others_are_named() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let client = database.connect().await?;
    let (owner, _) = plain_owner(&client).await?;
    let (third, _) = role(&client, "third").await?;
    let (granted, _) = role(&client, "granted").await?;
    let (away, _) = role(&client, "away").await?;
    let name: String = client.query_one("SELECT current_database()::text", &[]).await?.get(0);
    client
        .batch_execute(&format!(
            "GRANT EXECUTE ON FUNCTION pg_notify TO {granted};
             GRANT CONNECT ON DATABASE {name} TO {owner}, {third}, {granted}; REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"
        ))
        .await?;
    let before = rights(&client).await?;
    let taken = as_role(&database.owner, harden).await??;
    let mut of_granted = 0;
    for right in &taken.rights {
        assert_eq!(right.keeper.as_ref(), Some(&owner), "{right:?}");
        assert!(right.losers.contains(&third) && !right.losers.contains(&away), "{right:?}");
        assert!(!right.losers.contains(&owner), "{right:?}");
        of_granted += usize::from(right.losers.contains(&granted));
    }
    assert_eq!(of_granted, taken.rights.len() - 1, "pg_notify is its own");
    let may = |role: &str| {
        format!(
            "SELECT count(*) FROM catalog.taken_rights WHERE CASE privilege
                 WHEN 'EXECUTE' THEN has_function_privilege('{role}', object, 'EXECUTE')
                 ELSE has_database_privilege('{role}', current_database(), 'TEMPORARY')
             END"
        )
    };
    for (role, expected) in [(&owner, taken.rights.len()), (&third, 0), (&granted, 1)] {
        let found: i64 = client.query_one(&may(role), &[]).await?.get(0);
        assert_eq!(usize::try_from(found)?, expected, "{role}");
    }
    as_role(&database.owner, undo_hardening).await??;
    assert_eq!(rights(&client).await?, before);
    Ok(())
}

#[tokio::test]
async fn an_owner_who_may_not_is_told_what_a_superuser_has_to_run() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let client = database.connect().await?;
    let (owner, url) = plain_owner(&client).await?;
    let before = rights(&client).await?;
    let error = as_role(&url, harden).await?.err().context("no superuser")?;
    assert!(matches!(&error, HardeningError::NotPermitted { role, .. } if *role == owner), "{error}");
    let message = error.to_string();
    for part in [", lo_create, ", "nothing was changed", "migrate --harden --dry-run --format sql"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(rights(&client).await?, before);

    // The script does not believe PostgreSQL either, which only warns.
    let script = as_role(&url, plan_hardening).await??.to_sql(database.owner.database());
    client.batch_execute(&format!("SET SESSION AUTHORIZATION {owner}")).await?;
    let refused = client.batch_execute(&script).await.err().context("no superuser")?;
    assert!(refused.as_db_error().is_some(), "{refused}");
    client.batch_execute("ROLLBACK; RESET SESSION AUTHORIZATION").await?;
    assert_eq!(rights(&client).await?, before);

    client.batch_execute(&script).await?;
    assert_eq!(count(&url, harden).await?, 0, "what the script has done is known");
    let error = as_role(&url, undo_hardening).await?.err().context("no superuser")?;
    assert!(error.to_string().contains("migrate --undo-hardening --dry-run --format sql"), "{error}");
    client.batch_execute(&as_role(&url, plan_undoing).await??.to_sql(database.owner.database())).await?;
    assert_eq!(rights(&client).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_right_that_another_role_has_granted_is_told() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let client = database.connect().await?;
    let (third, _) = role(&client, "third").await?;
    client
        .batch_execute(&format!(
            "GRANT EXECUTE ON FUNCTION pg_notify TO {third} WITH GRANT OPTION; SET SESSION AUTHORIZATION {third};
             GRANT EXECUTE ON FUNCTION pg_notify TO PUBLIC; RESET SESSION AUTHORIZATION"
        ))
        .await?;
    let before = rights(&client).await?;
    let error = as_role(&database.owner, harden).await?.err().context("PUBLIC still has it")?;
    assert!(
        matches!(&error, HardeningError::NotTaken(left) if left == &["pg_catalog.pg_notify(text, text)"]),
        "{error}"
    );
    assert_eq!(rights(&client).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_right_that_was_given_back_by_hand_is_taken_again() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let client = database.connect().await?;
    let (owner, _) = plain_owner(&client).await?;
    let before = rights(&client).await?;
    as_role(&database.owner, harden).await??;
    client.batch_execute("GRANT EXECUTE ON FUNCTION pg_notify TO PUBLIC").await?;
    let again = as_role(&database.owner, harden).await??;
    assert_eq!(again.rights.len(), 1);
    assert_eq!(again.rights[0].keeper, None, "`{owner}` has it by name already");
    as_role(&database.owner, undo_hardening).await??;
    assert_eq!(rights(&client).await?, before);
    Ok(())
}

#[tokio::test]
async fn tells_what_is_open_to_the_reader() -> Result<()> {
    let all: Vec<_> = ["temporary"].into_iter().chain(harm_classes().iter().map(|class| class.name)).collect();
    let (open, hardened) = (TestDatabase::unhardened().await?, TestDatabase::new().await?);
    let reader = open.reader.clone();
    assert_eq!(spawn_blocking(move || open_classes(&reader)).await??, all);
    let reader = hardened.reader.clone();
    assert_eq!(spawn_blocking(move || open_classes(&reader)).await??, Vec::<String>::new());
    // By name as well as by PUBLIC.
    let grant = "GRANT EXECUTE ON FUNCTION pg_notify TO metricd_reader";
    hardened.connect().await?.batch_execute(grant).await?;
    let reader = hardened.reader.clone();
    assert_eq!(spawn_blocking(move || open_classes(&reader)).await??, ["messages"]);
    Ok(())
}

/// Whoever brings metricd to a new version of PostgreSQL has to say what its new functions are.
#[tokio::test]
async fn every_volatile_function_of_public_is_known_to_do_harm_or_none() -> Result<()> {
    let client = TestDatabase::unhardened().await?.connect().await?;
    let callable = client
        .query(
            "SELECT proname::text, format('%s(%s)', proname, oidvectortypes(proargtypes)), provolatile = 'v'
             FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege('public', oid, 'EXECUTE')
             AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype,
                 'language_handler'::regtype, 'fdw_handler'::regtype, 'index_am_handler'::regtype,
                 'table_am_handler'::regtype, 'tsm_handler'::regtype)
             AND NOT 'internal'::regtype = ANY (proargtypes) AND proname !~ '^binary_upgrade_'",
            &[],
        )
        .await?;
    let harmful: BTreeSet<_> = harm_classes().iter().flat_map(|class| class.functions.iter().copied()).collect();
    let harmless: BTreeSet<_> = include_str!("harmless.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once('\t').filter(|(_, reason)| !reason.is_empty()).context(line).map(|(name, _)| name))
        .collect::<Result<_>>()?;
    assert!(harmful.is_disjoint(&harmless));
    let mut found = BTreeSet::new();
    for row in &callable {
        let (name, signature, is_volatile): (&str, &str, bool) = (row.get(0), row.get(1), row.get(2));
        let is_known = harmful.contains(name) || harmful.contains(signature) || harmless.contains(name);
        assert!(is_known || !is_volatile, "{signature} is neither in functions.txt nor in harmless.txt");
        found.extend([name, signature]);
    }
    // What this version does not have has come with a later one, or is misspelled.
    let later = ["pg_stat_get_backend_io", "pg_stat_get_backend_subxact", "pg_stat_get_backend_wal"];
    let missing: Vec<_> = harmful.iter().filter(|name| !found.contains(**name) && !later.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    Ok(())
}
