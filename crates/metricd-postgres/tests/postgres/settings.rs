//! Sessions of the owner: settings of its role and database change nothing.

use anyhow::Result;
use metricd_database::DataSchemas;
use metricd_execution::{QueryTree, Resolution, Resolvable, Resolver};
use metricd_postgres::{PgRepository, RepositoryConfig, migrate, pending_migrations, revert_all};
use metricd_repository::contract::{TestIngestion, equal_rows, query};
use metricd_repository::{Definitions, MetricRepository};
use metricd_runner::PgResolver;
use metricd_test_support::{METRICS, TestDatabase};

const HOSTILE: [(&str, &str); 18] = [
    ("array_nulls", "off"),
    ("bytea_output", "escape"),
    ("check_function_bodies", "off"),
    ("DateStyle", "'SQL, DMY'"),
    ("default_transaction_deferrable", "on"),
    ("default_transaction_isolation", "serializable"),
    ("extra_float_digits", "-15"),
    ("idle_in_transaction_session_timeout", "'1ms'"),
    ("IntervalStyle", "sql_standard"),
    ("lock_timeout", "'1ms'"),
    ("quote_all_identifiers", "on"),
    ("search_path", "warehouse, public"),
    ("session_replication_role", "replica"),
    ("standard_conforming_strings", "off"),
    ("statement_timeout", "'1s'"),
    ("TimeZone", "'Asia/Tokyo'"),
    ("transform_null_equals", "on"),
    ("xmloption", "document"),
];

/// What the migrations have made, as PostgreSQL prints it.
async fn schema(database: &TestDatabase) -> Result<Vec<String>> {
    let objects = "
        SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace IN ('catalog'::regnamespace, 'warehouse'::regnamespace)
        UNION ALL SELECT proname || ' ' || prosrc FROM pg_proc
        WHERE pronamespace IN ('catalog'::regnamespace, 'tenancy'::regnamespace)
        UNION ALL SELECT table_schema || '.' || table_name || '.' || column_name || ' ' || coalesce(column_default, '')
        FROM information_schema.columns WHERE table_schema IN ('catalog', 'warehouse', 'tenancy', 'public') ORDER BY 1";
    let client = database.connect().await?;
    client
        .batch_execute("SET DateStyle = ISO; SET quote_all_identifiers = off; SET standard_conforming_strings = on")
        .await?;
    Ok(client.query(objects, &[]).await?.iter().map(|row| row.get(0)).collect())
}

async fn resolution(database: &TestDatabase) -> Result<Resolution> {
    let resolver = PgResolver::new(&database.owner, &DataSchemas::default());
    let text = r"SELECT date, id AS name, '\' AS slash, array_agg(obsolescence) AS amounts FROM metrics
                 WHERE alert_type = NULL GROUP BY date, id";
    let statement = Resolvable { text: text.to_owned(), placeholders: Vec::new() };
    let resolution = resolver.resolve(&statement).await?;
    assert!(resolution.fingerprint.is_some());
    // It is about the tables of one database. The tree names everything by its oid, which two databases choose by themselves.
    Ok(Resolution { fingerprint: None, tree: QueryTree::default(), ..resolution })
}

#[tokio::test]
async fn a_schema_and_contracts_are_the_same_under_hostile_settings() -> Result<()> {
    let (honest, hostile) = (TestDatabase::new().await?, TestDatabase::new().await?);
    let owner = hostile.owner.clone();
    tokio::task::spawn_blocking(move || revert_all(&owner)).await??;
    let client = hostile.connect().await?;
    for (name, value) in HOSTILE {
        let database = hostile.owner.database();
        client.batch_execute(&format!("ALTER DATABASE {database} SET {name} = {value}")).await?;
    }
    let owner = hostile.owner.clone();
    tokio::task::spawn_blocking(move || migrate(&owner)).await??;
    client.batch_execute(METRICS).await?;
    assert_eq!(schema(&hostile).await?, schema(&honest).await?);
    let owner = hostile.owner.clone();
    assert_eq!(tokio::task::spawn_blocking(move || pending_migrations(&owner)).await??, 0);
    let repository = PgRepository::new(&hostile.owner, RepositoryConfig::default())?;
    assert_eq!(repository.check().await?.pending_migrations, 0);
    assert_eq!(resolution(&hostile).await?, resolution(&honest).await?);
    Ok(())
}

/// Other roles may create in the schema `public`, and in one that has the name of the owner role.
#[tokio::test]
async fn the_owner_calls_nothing_in_schemas_of_other_roles() -> Result<()> {
    let database = TestDatabase::new().await?;
    let of_owner = database.owner.user();
    let client = database.connect().await?;
    client.batch_execute(&format!("CREATE SCHEMA \"{of_owner}\"")).await?;
    for schema in ["public", of_owner] {
        // It fits the statement that stores missing rows better than PostgreSQL's own functions, which have one type for both.
        let create = format!(
            "CREATE FUNCTION \"{schema}\".generate_series(integer, bigint) RETURNS SETOF bigint
             LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called'; END $$"
        );
        client.batch_execute(&create).await?;
    }
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let definitions = Definitions { queries: vec![query("q1", "SELECT 1")], ..Definitions::default() };
    for count in [1, 2] {
        let (mut brought, _told) = TestIngestion::committing(definitions.clone());
        brought.set_tables(vec![equal_rows(count)]);
        repository.ingest(Box::new(brought)).await?;
    }
    assert_eq!(client.query_one("SELECT count(*) FROM warehouse.equal_rows", &[]).await?.get::<_, i64>(0), 2);
    Ok(())
}
