//! Whose fault an error is: by its SQLSTATE, whatever its message says.

use anyhow::Result;
use metricd_database::{DataSchemas, Fault, fault_of};
use metricd_domain::{Actor, ChangeSource, Contract, MetricId, SqlText};
use metricd_execution::{Resolvable, ResolveError, Resolver};
use metricd_postgres::{PgRepository, RepositoryConfig};
use metricd_repository::{MetricContent, MetricRepository, NewMetric, RepositoryError};
use metricd_runner::PgResolver;
use metricd_test_support::TestDatabase;

/// Every statement that makes a view, or stores a query, fails with this SQLSTATE and words that blame somebody else.
async fn fail_with(database: &TestDatabase, sqlstate: &str) -> Result<()> {
    let raise = format!("RAISE EXCEPTION 'syntax error: column does not exist' USING ERRCODE = '{sqlstate}'");
    let script = format!(
        "DROP EVENT TRIGGER IF EXISTS failing; DROP TRIGGER IF EXISTS failing ON catalog.queries;
         CREATE OR REPLACE FUNCTION public.fail_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN {raise}; END $$;
         CREATE OR REPLACE FUNCTION public.fail_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {raise}; END $$;
         CREATE TRIGGER failing BEFORE INSERT ON catalog.queries FOR EACH ROW EXECUTE FUNCTION public.fail_row();
         CREATE EVENT TRIGGER failing ON ddl_command_end WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION public.fail_ddl()"
    );
    Ok(database.connect().await?.batch_execute(&script).await?)
}

async fn resolve(resolver: &PgResolver, sql: &str) -> Option<ResolveError> {
    let statement = Resolvable { text: sql.to_owned(), placeholders: Vec::new() };
    resolver.resolve(&statement).await.err()
}

async fn insert(repository: &PgRepository, id: &str) -> Result<Option<RepositoryError>> {
    let content = MetricContent::new(SqlText::parse("SELECT 1 AS one")?, Contract::default());
    let metric = NewMetric::new(MetricId::parse(id)?, content, Actor::by(ChangeSource::Http));
    Ok(repository.insert_metric(metric, None).await.err())
}

#[tokio::test]
async fn a_fault_of_the_server_is_not_the_authors() -> Result<()> {
    let database = TestDatabase::new().await?;
    let resolver = PgResolver::new(&database.owner, &DataSchemas::default());
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    for sqlstate in ["53100", "53200", "58030", "XX001", "55P03", "57P03", "40P01", "08006", "25006", "57014"] {
        fail_with(&database, sqlstate).await?;
        let outcome = resolve(&resolver, "SELECT 1 AS one").await;
        let is_told = match &outcome {
            Some(ResolveError::TooSlow(_)) => sqlstate == "57014",
            Some(ResolveError::Unavailable(outage)) => outage.fault == fault_of(sqlstate),
            _ => false,
        };
        assert!(is_told, "{sqlstate}: {outcome:?}");
        let stored = insert(&repository, "m1").await?;
        let is_unavailable = match sqlstate {
            "25006" => matches!(stored, Some(RepositoryError::ReadOnly(_))),
            _ => matches!(stored, Some(RepositoryError::Unavailable(_))),
        };
        assert!(is_unavailable, "{sqlstate}: {stored:?}");
    }
    for sqlstate in ["42501", "0A000", "54001", "22023", "P0001"] {
        fail_with(&database, sqlstate).await?;
        let outcome = resolve(&resolver, "SELECT 1 AS one").await;
        assert!(matches!(outcome, Some(ResolveError::Refused { .. })), "{sqlstate}: {outcome:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_database_that_only_reads_refuses_nobodys_sql() -> Result<()> {
    let database = TestDatabase::new().await?;
    let name = database.owner.database();
    let resolver = PgResolver::new(&database.owner, &DataSchemas::default());
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let client = database.connect().await?;
    client.batch_execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await?;
    let outcome = resolve(&resolver, "SELECT 1 AS one").await;
    let is_told = matches!(&outcome, Some(ResolveError::Unavailable(outage)) if outage.fault == Fault::ReadOnly);
    assert!(is_told, "{outcome:?}");
    let stored = insert(&repository, "m1").await?;
    assert!(matches!(stored, Some(RepositoryError::ReadOnly(_))), "{stored:?}");
    client.batch_execute(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await?;
    let resolver = PgResolver::new(&database.owner, &DataSchemas::default());
    assert_eq!(resolve(&resolver, "SELECT 1 AS one").await, None);
    Ok(())
}

#[tokio::test]
async fn a_repeated_column_and_a_place_are_known_in_every_language() -> Result<()> {
    let database = TestDatabase::new().await?;
    let resolver = PgResolver::new(&database.owner, &DataSchemas::default());
    let repeated = resolve(&resolver, "SELECT 1 AS one, 2 AS one").await;
    assert!(matches!(repeated, Some(ResolveError::ColumnRepeated(_))), "{repeated:?}");
    let refused = resolve(&resolver, "SELECT nothing").await;
    assert!(matches!(refused, Some(ResolveError::Refused { character: Some(7), .. })), "{refused:?}");
    let two = resolve(&resolver, "SELECT 1; SELECT 2").await;
    assert!(matches!(two, Some(ResolveError::Refused { .. })), "{two:?}");
    Ok(())
}
