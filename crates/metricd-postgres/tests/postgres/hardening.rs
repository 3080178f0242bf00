//! Taking rights from PUBLIC, and giving them back.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use metricd_database::{DataSchemas, DatabaseUrl, UNKNOWN_CLASS, harm_classes, harmless_functions};
use metricd_postgres::{
    HardeningError, HardeningPlan, harden, open_classes, plan_hardening, plan_undoing, undo_hardening,
    unknown_functions,
};
use metricd_test_support::{TestDatabase, add_built_in_function};
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
    let database = TestDatabase::unhardened().await?;
    let owner = database.owner.clone();
    let unknown = spawn_blocking(move || unknown_functions(&owner)).await??;
    assert!(unknown.is_empty(), "neither in harm.txt nor in harmless.txt: {}", unknown.join(", "));

    let client = database.connect().await?;
    let names = "SELECT proname::text, format('%s(%s)', proname, oidvectortypes(proargtypes))
                 FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace";
    let rows = client.query(names, &[]).await?;
    let found: BTreeSet<String> = rows.iter().flat_map(|row| [row.get(0), row.get(1)]).collect();
    let version = "SELECT current_setting('server_version_num')::integer / 10000";
    let major: i32 = client.query_one(version, &[]).await?.get(0);
    let harmful = harm_classes().iter().flat_map(|class| class.functions.iter().copied());
    let missing: BTreeSet<_> = harmful.chain(harmless_functions()).filter(|name| !found.contains(*name)).collect();
    let later = SINCE.iter().filter(|(since, _)| major < *since).flat_map(|(_, names)| names.split_whitespace());
    let earlier = UNTIL.iter().filter(|(until, _)| major > *until).flat_map(|(_, names)| names.split_whitespace());
    assert_eq!(missing, later.chain(earlier).collect(), "PostgreSQL {major}");
    Ok(())
}

/// The listed functions that PostgreSQL 15 does not have, by the version that has added them.
const SINCE: &[(i32, &str)] = &[
    (
        16,
        "array_sample array_shuffle pg_stat_get_backend_subxact pg_stat_get_io pg_stat_get_xact_tuples_newpage_updated \
         random_normal",
    ),
    (
        17,
        "pg_available_wal_summaries pg_get_wait_events pg_get_wal_summarizer_state pg_sync_replication_slots \
         pg_wal_summary_contents",
    ),
    (
        18,
        "pg_clear_attribute_stats pg_clear_relation_stats pg_get_loaded_modules pg_get_sequence_data \
         pg_restore_attribute_stats pg_restore_relation_stats pg_stat_get_backend_io pg_stat_get_backend_wal uuidv4 uuidv7",
    ),
];

/// The listed functions that PostgreSQL 18 does not have, by the last version that has them.
const UNTIL: &[(i32, &str)] = &[(16, "pg_read_file_old pg_rotate_logfile_old")];

#[tokio::test]
async fn a_volatile_function_that_is_not_known_is_revoked() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let client = database.connect().await?;
    for declaration in
        ["later(integer, text) RETURNS void", "steady(integer) RETURNS integer STABLE", "closed() RETURNS void"]
    {
        add_built_in_function(&client, declaration).await?;
    }
    // PostgreSQL itself has revoked this one from PUBLIC, and this database has granted it again.
    let revoked = "INSERT INTO pg_init_privs SELECT 'pg_catalog.closed'::regproc, 'pg_proc'::regclass, 0, 'i', '{}'";
    client.batch_execute(revoked).await?;
    let before = rights(&client).await?;
    let later = "pg_catalog.later(integer, text)".to_owned();
    let (owner, reader) = (database.owner.clone(), database.reader.clone());
    let unknown = async || -> Result<_> {
        let owner = owner.clone();
        Ok(spawn_blocking(move || unknown_functions(&owner)).await??)
    };
    assert_eq!(unknown().await?, std::slice::from_ref(&later));
    let open = spawn_blocking(move || open_classes(&reader)).await??;
    assert_eq!(open.last().map(String::as_str), Some(UNKNOWN_CLASS));
    let taken = as_role(&database.owner, harden).await??;
    let last = taken.rights.last().context("rights")?;
    assert_eq!((last.class.as_str(), &last.object), (UNKNOWN_CLASS, &later));
    let may_execute = "SELECT has_function_privilege('metricd_reader', 'pg_catalog.later(integer, text)', 'EXECUTE')";
    assert!(!client.query_one(may_execute, &[]).await?.get::<_, bool>(0));
    assert_eq!(unknown().await?, [later], "it stays unknown");
    as_role(&database.owner, undo_hardening).await??;
    assert_eq!(rights(&client).await?, before);
    Ok(())
}
