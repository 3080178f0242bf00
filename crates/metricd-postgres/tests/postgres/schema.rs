//! The schema holds the rules itself.

use anyhow::{Context, Result};
use metricd_database::DatabaseUrl;
use metricd_domain::{MAX_ID_CHARS, MAX_SQL_BYTES};
use metricd_postgres::{check_migratable, migrate, pending_migrations, revert_all};
use metricd_test_support::TestDatabase;
use tokio::task::spawn_blocking;
use tokio_postgres::Client;

const QUERY: &str = "INSERT INTO catalog.queries (query_id, sql) VALUES ('q1', 'SELECT 1')";

/// A role of this database alone, which may create schemas in it and nothing else.
async fn weak_owner(database: &TestDatabase, client: &Client) -> Result<DatabaseUrl> {
    let name = database.owner.database();
    let create = format!("CREATE ROLE weak_{name} LOGIN PASSWORD 'pw'; GRANT CREATE ON DATABASE {name} TO weak_{name}");
    client.batch_execute(&create).await?;
    let port: String = client.query_one("SHOW port", &[]).await?.get(0);
    Ok(DatabaseUrl::parse(format!("postgres://weak_{name}:pw@127.0.0.1:{port}/{name}"))?)
}

/// The constraint that a statement breaks.
async fn broken(database: &TestDatabase, sql: &str) -> Result<String> {
    let error = database.connect().await?.batch_execute(sql).await.err().context(sql.to_owned())?;
    Ok(error.as_db_error().and_then(|error| error.constraint()).unwrap_or("none").to_owned())
}

/// How many migrations there are.
fn migrations() -> Result<usize> {
    Ok(std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations"))?.count())
}

#[tokio::test]
async fn migrations_go_up_down_and_up_again() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let count = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('catalog', 'tenancy', 'warehouse')";
    let owner = database.owner.clone();
    assert_eq!(spawn_blocking(move || pending_migrations(&owner)).await??, 0);
    let owner = database.owner.clone();
    spawn_blocking(move || revert_all(&owner)).await??;
    assert_eq!(client.query_one(count, &[]).await?.get::<_, i64>(0), 0);
    let owner = database.owner.clone();
    assert_eq!(spawn_blocking(move || migrate(&owner)).await??.len(), migrations()?);
    assert_eq!(client.query_one(count, &[]).await?.get::<_, i64>(0), 3);
    let owner = database.owner.clone();
    assert_eq!(spawn_blocking(move || migrate(&owner)).await??.len(), 0);
    Ok(())
}

#[tokio::test]
async fn asking_what_is_lacking_changes_nothing() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let owner = database.owner.clone();
    spawn_blocking(move || revert_all(&owner)).await??;
    let owner = database.owner.clone();
    assert_eq!(spawn_blocking(move || pending_migrations(&owner)).await??, migrations()?);
    let count = "SELECT count(*) FROM pg_class WHERE relname = '__diesel_schema_migrations'";
    assert_eq!(client.query_one(count, &[]).await?.get::<_, i64>(0), 0);
    Ok(())
}

#[tokio::test]
async fn a_database_of_a_later_release_is_left_alone() -> Result<()> {
    let database = TestDatabase::new().await?;
    let later = "INSERT INTO catalog.__diesel_schema_migrations (version) VALUES ('99990101000000')";
    database.connect().await?.batch_execute(later).await?;
    let owner = database.owner.clone();
    let error = spawn_blocking(move || migrate(&owner)).await?.unwrap_err();
    assert!(error.to_string().contains("99990101000000"), "{error}");
    Ok(())
}

const TABLES_OF_MIGRATIONS: &str = "SELECT relnamespace::regnamespace::text FROM pg_class
    WHERE relname = '__diesel_schema_migrations' ORDER BY 1";

async fn schemas_with_migrations(client: &Client) -> Result<Vec<String>> {
    Ok(client.query(TABLES_OF_MIGRATIONS, &[]).await?.iter().map(|row| row.get(0)).collect())
}

#[tokio::test]
async fn the_table_of_migrations_moves_out_of_the_operators_schema() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    assert_eq!(schemas_with_migrations(&client).await?, ["catalog"]);
    client.batch_execute("ALTER TABLE catalog.__diesel_schema_migrations SET SCHEMA public").await?;
    let owner = database.owner.clone();
    assert_eq!(spawn_blocking(move || pending_migrations(&owner)).await??, migrations()?);
    for _ in 0..2 {
        let owner = database.owner.clone();
        assert_eq!(spawn_blocking(move || migrate(&owner)).await??, [] as [&str; 0]);
        assert_eq!(schemas_with_migrations(&client).await?, ["catalog"]);
    }
    Ok(())
}

#[tokio::test]
async fn the_migrations_of_another_program_are_left_alone() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let owner = database.owner.clone();
    spawn_blocking(move || revert_all(&owner)).await??;
    let theirs = "CREATE TABLE public.__diesel_schema_migrations (version varchar(50) PRIMARY KEY, run_on timestamp);
        INSERT INTO public.__diesel_schema_migrations VALUES ('20240101000000', now())";
    client.batch_execute(theirs).await?;
    let owner = database.owner.clone();
    assert_eq!(spawn_blocking(move || migrate(&owner)).await??.len(), migrations()?);
    assert_eq!(schemas_with_migrations(&client).await?, ["catalog", "public"]);
    let count = client.query_one("SELECT count(*) FROM public.__diesel_schema_migrations", &[]).await?;
    assert_eq!(count.get::<_, i64>(0), 1);
    Ok(())
}

/// Its functions would run with the privileges of the owner.
#[tokio::test]
async fn a_view_in_place_of_the_table_of_migrations_is_not_read() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let (owner, name) = (database.owner.clone(), database.owner.database());
    spawn_blocking(move || revert_all(&owner)).await??;
    client
        .batch_execute(&format!(
            "CREATE ROLE other_{name}; GRANT CREATE ON SCHEMA public TO other_{name}; SET ROLE other_{name};
             CREATE FUNCTION public.called() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
             CREATE VIEW public.__diesel_schema_migrations AS SELECT public.called() AS version"
        ))
        .await?;
    let owner = database.owner.clone();
    assert_eq!(spawn_blocking(move || migrate(&owner)).await??.len(), migrations()?);
    Ok(())
}

/// Neither in the schema of another role that has metricd's name for one.
#[tokio::test]
async fn the_schema_catalog_of_another_role_is_not_read() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let client = database.connect().await?;
    let name = database.owner.database();
    let other = format!("cataloguer_{name}");
    let owner = database.owner.clone();
    spawn_blocking(move || revert_all(&owner)).await??;
    client
        .batch_execute(&format!(
            "CREATE ROLE {other}; GRANT CREATE ON DATABASE {name} TO {other}; SET ROLE {other}; CREATE SCHEMA catalog;
             CREATE FUNCTION catalog.called() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
             CREATE VIEW catalog.__diesel_schema_migrations AS SELECT catalog.called() AS version; RESET ROLE"
        ))
        .await?;
    let weak = weak_owner(&database, &client).await?;
    for grant in ["", "GRANT USAGE ON SCHEMA catalog TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA catalog TO PUBLIC"]
    {
        client.batch_execute(grant).await?;
        let owner = weak.clone();
        spawn_blocking(move || {
            assert_eq!(pending_migrations(&owner)?, migrations()?);
            for refused in [check_migratable(&owner).err(), migrate(&owner).err()] {
                let error = refused.context("the name is taken")?.to_string();
                assert!(error.contains("has a schema `catalog`, which metricd did not create"), "{error}");
            }
            anyhow::Ok(())
        })
        .await??;
    }
    Ok(())
}

/// Nor one whose columns, default or index would call functions of the role that has made it. A superuser has the
/// privileges of every role, and is to be protected as well.
#[tokio::test]
async fn a_table_of_migrations_that_would_call_functions_is_not_used() -> Result<()> {
    for table in [
        "CREATE TYPE public.t AS (v text); CREATE FUNCTION public.f(public.t) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
         CREATE CAST (public.t AS text) WITH FUNCTION public.f(public.t);
         CREATE TABLE catalog.__diesel_schema_migrations (version public.t); INSERT INTO catalog.__diesel_schema_migrations VALUES (ROW('x'))",
        "CREATE FUNCTION public.f() RETURNS timestamp LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
         CREATE TABLE catalog.__diesel_schema_migrations (version varchar(50) PRIMARY KEY, run_on timestamp DEFAULT public.f())",
        "CREATE FUNCTION public.f(varchar) RETURNS varchar IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
         CREATE TABLE catalog.__diesel_schema_migrations (version varchar(50)); CREATE INDEX ON catalog.__diesel_schema_migrations (public.f(version))",
        "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
         CREATE TABLE catalog.__diesel_schema_migrations (version varchar(50));
         CREATE TRIGGER f BEFORE INSERT ON catalog.__diesel_schema_migrations EXECUTE FUNCTION public.f()",
    ] {
        let database = TestDatabase::new().await?;
        let client = database.connect().await?;
        let name = database.owner.database();
        let owner = database.owner.clone();
        spawn_blocking(move || revert_all(&owner)).await??;
        client
            .batch_execute(&format!(
                "CREATE ROLE planter_{name}; GRANT CREATE ON DATABASE {name} TO planter_{name};
                 GRANT CREATE ON SCHEMA public TO planter_{name}; SET ROLE planter_{name}; CREATE SCHEMA catalog; {table}"
            ))
            .await?;
        let owner = database.owner.clone();
        spawn_blocking(move || {
            assert_eq!(pending_migrations(&owner)?, migrations()?);
            let error = migrate(&owner).err().context("the name is taken")?.to_string();
            assert!(error.contains("has a schema `catalog`, which metricd did not create"), "{error}");
            anyhow::Ok(())
        })
        .await??;
    }
    Ok(())
}

/// A Diesel program that a superuser has migrated does not keep an owner with few rights from migrating.
#[tokio::test]
async fn a_table_of_migrations_that_the_owner_may_not_read_is_not_metricds() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let client = database.connect().await?;
    let owner = database.owner.clone();
    spawn_blocking(move || revert_all(&owner)).await??;
    client.batch_execute("CREATE TABLE public.__diesel_schema_migrations (version varchar(50) PRIMARY KEY)").await?;
    let owner = weak_owner(&database, &client).await?;
    assert_eq!(spawn_blocking(move || migrate(&owner)).await??.len(), migrations()?);
    Ok(())
}

#[tokio::test]
async fn an_owner_with_few_rights_migrates_or_says_which_right_is_missing() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let client = database.connect().await?;
    let owner = database.owner.clone();
    spawn_blocking(move || revert_all(&owner)).await??;
    let name = database.owner.database();
    client.batch_execute(&format!("CREATE ROLE weak_{name} LOGIN PASSWORD 'pw'; CREATE SCHEMA warehouse")).await?;
    let port: String = client.query_one("SHOW port", &[]).await?.get(0);
    let owner = DatabaseUrl::parse(format!("postgres://weak_{name}:pw@127.0.0.1:{port}/{name}"))?;
    let attempt = async || {
        let owner = owner.clone();
        spawn_blocking(move || migrate(&owner)).await
    };
    let error = attempt().await?.err().context("the schema is somebody else's")?.to_string();
    assert!(error.contains("has a schema `warehouse`, which metricd did not create"), "{error}");
    client.batch_execute("DROP SCHEMA warehouse").await?;
    let error = attempt().await?.err().context("it may not create")?.to_string();
    let (_, sql) = error.split_once("have an administrator run ").context(error.clone())?;
    assert_eq!(schemas_with_migrations(&client).await?, [] as [&str; 0]);
    client.batch_execute(sql).await?;
    assert_eq!(attempt().await??.len(), migrations()?);
    assert_eq!(schemas_with_migrations(&client).await?, ["catalog"]);
    Ok(())
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_by_the_rule_of_that_name() -> Result<()> {
    let database = TestDatabase::new().await?;
    let metric =
        format!("{QUERY}; INSERT INTO catalog.metrics (metric_id, query_id, editable) VALUES ('m1', 'q1', true)");
    let dashboard = format!(
        "{metric}; INSERT INTO catalog.dashboards (dashboard_id, name) VALUES ('d1', 'D');
         INSERT INTO catalog.dashboard_items (dashboard_id, metric_id) VALUES ('d1', 'm1')"
    );
    let entry = |values: &str| {
        format!(
            "BEGIN; {dashboard}; INSERT INTO catalog.layout_entries
             (dashboard_id, metric_id, breakpoint, x, y, width, height, is_static) VALUES ({values})"
        )
    };
    let query = |id: &str, sql: &str| format!("INSERT INTO catalog.queries (query_id, sql) VALUES ({id}, {sql})");
    let table =
        |values: &str| format!("INSERT INTO catalog.tables (table_name, definition, changed_by) VALUES ({values})");
    let load =
        |values: &str| format!("INSERT INTO catalog.table_loads (table_name, digest, row_count) VALUES ({values})");
    let cases = [
        (query("''", "'SELECT 1'"), "queries_query_id_check"),
        (query("E'a\\n'", "'SELECT 1'"), "queries_query_id_check"),
        (query(&format!("repeat('a', {})", MAX_ID_CHARS + 1), "'SELECT 1'"), "queries_query_id_check"),
        (query("'q2'", "E' \\n\\t '"), "queries_sql_blank_check"),
        (query("'q2'", &format!("repeat('x', {})", MAX_SQL_BYTES + 1)), "queries_sql_size_check"),
        (format!("BEGIN; {QUERY}; {QUERY}"), "queries_pkey"),
        ("INSERT INTO catalog.metrics VALUES ('m1', 'none', true)".to_owned(), "metrics_query_id_fkey"),
        (format!("BEGIN; {QUERY}; INSERT INTO catalog.metrics VALUES ('m 1', 'q1', true)"), "metrics_metric_id_check"),
        (format!("BEGIN; {metric}; DELETE FROM catalog.queries"), "metrics_query_id_fkey"),
        ("INSERT INTO catalog.dashboards VALUES ('d1', ' ')".to_owned(), "dashboards_name_check"),
        (format!("BEGIN; {dashboard}; DELETE FROM catalog.metrics"), "dashboard_items_metric_id_fkey"),
        (entry("'d1', 'none', 'lg', 0, 0, 1, 1, false"), "layout_entries_dashboard_item_fkey"),
        (entry("'d1', 'm1', 'xl', 0, 0, 1, 1, false"), "layout_entries_breakpoint_check"),
        (entry("'d1', 'm1', 'lg', -1, 0, 1, 1, false"), "layout_entries_x_check"),
        (entry("'d1', 'm1', 'lg', 0, 10000001, 1, 1, false"), "layout_entries_y_check"),
        (entry("'d1', 'm1', 'lg', 0, 0, 0, 1, false"), "layout_entries_width_check"),
        (entry("'d1', 'm1', 'lg', 0, 0, 1, 1001, false"), "layout_entries_height_check"),
        (table("'a', '{\"name\": \"b\"}', '{\"way\": \"http\"}'"), "tables_definition_check"),
        (
            table("repeat('a', 55), jsonb_build_object('name', repeat('a', 55)), '{\"way\": \"http\"}'"),
            "tables_table_name_check",
        ),
        (load("'none', sha256('a'), 1"), "table_loads_table_name_fkey"),
        (load("'none', 'a', 1"), "table_loads_digest_check"),
        (load("'none', sha256('a'), -1"), "table_loads_row_count_check"),
    ];
    for (sql, constraint) in cases {
        assert_eq!(broken(&database, &sql).await?, constraint, "{sql}");
    }
    // The limits themselves are within.
    let within = entry("'d1', 'm1', 'lg', 1000, 10000000, 1000, 1000, false");
    database.connect().await?.batch_execute(&format!("{within}; ROLLBACK")).await?;
    Ok(())
}

#[tokio::test]
async fn whoever_changes_sql_makes_a_version() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    client.batch_execute(QUERY).await?;
    client.batch_execute("UPDATE catalog.queries SET sql = 'SELECT 2'").await?;
    client.batch_execute("UPDATE catalog.queries SET sql = 'SELECT 2'").await?;
    let versions = client
        .query("SELECT version, sql FROM catalog.queries UNION ALL SELECT version, sql FROM catalog.query_history ORDER BY 1", &[])
        .await?;
    let versions: Vec<(i32, String)> = versions.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(versions, [(1, "SELECT 1".to_owned()), (2, "SELECT 2".to_owned())]);
    Ok(())
}

#[tokio::test]
async fn every_constraint_and_index_has_a_name_of_its_table() -> Result<()> {
    let client = TestDatabase::new().await?.connect().await?;
    let unnamed = client
        .query(
            "SELECT conname::text FROM pg_constraint c JOIN pg_class t ON t.oid = conrelid
             JOIN pg_namespace n ON n.oid = relnamespace
             WHERE nspname IN ('catalog', 'tenancy', 'warehouse') AND contype <> 'n' -- NOT NULL is a constraint since PostgreSQL 18
             AND conname !~ ('^' || relname || '_[a-z_]*(pkey|fkey|check)$')",
            &[],
        )
        .await?;
    assert!(unnamed.is_empty(), "{unnamed:?}");
    // What refers to another table is looked up when a row there goes away.
    let unindexed = client
        .query(
            "SELECT conname::text FROM pg_constraint c JOIN pg_namespace n ON n.oid = connamespace
             WHERE contype = 'f' AND nspname = 'catalog' AND NOT EXISTS (
                 SELECT FROM pg_index WHERE indrelid = conrelid AND (indkey::int2[])[0:cardinality(conkey) - 1] @> conkey
             )",
            &[],
        )
        .await?;
    assert!(unindexed.is_empty(), "{unindexed:?}");
    Ok(())
}

#[tokio::test]
async fn whoever_changes_a_metric_past_the_store_is_named_by_the_role() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let said = r#"'{"way": "http", "subject": "ann", "said": true}'"#;
    client.batch_execute(QUERY).await?;
    client
        .batch_execute(&format!(
            "INSERT INTO catalog.metrics (metric_id, query_id, editable, changed_by) VALUES ('m1', 'q1', true, {said})"
        ))
        .await?;
    for sql in [
        "UPDATE catalog.metrics SET title = 'T'",
        "UPDATE catalog.metrics SET title = 'T'",
        "UPDATE catalog.queries SET sql = 'SELECT 2'",
        "BEGIN; UPDATE catalog.metrics SET title = 'U'; UPDATE catalog.queries SET sql = 'SELECT 3';
         UPDATE catalog.metrics SET deleted_at = now(); COMMIT",
    ] {
        client.batch_execute(sql).await?;
    }
    let versions = client
        .query(
            "SELECT version, action, changed_by ->> 'subject', coalesce(title, '-'), query_version, changed_by ? 'said'
             FROM catalog.metric_versions ORDER BY version",
            &[],
        )
        .await?;
    let told = |row: &tokio_postgres::Row| {
        let (version, query_version, is_said): (i32, i32, bool) = (row.get(0), row.get(4), row.get(5));
        let (action, subject, title): (&str, &str, &str) = (row.get(1), row.get(2), row.get(3));
        assert!(!is_said);
        format!("{version} {action} by {subject}: {title} {query_version}")
    };
    let role = database.owner.user();
    assert_eq!(
        versions.iter().map(told).collect::<Vec<_>>(),
        [
            "1 created by ann: - 1".to_owned(),
            format!("2 changed by {role}: T 1"),
            format!("3 changed by {role}: T 2"),
            // What one transaction does is one version.
            format!("4 deleted by {role}: U 3"),
        ]
    );
    Ok(())
}
