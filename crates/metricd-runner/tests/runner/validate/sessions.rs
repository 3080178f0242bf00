//! The sessions in which SQL is resolved: what one statement leaves to the next, and whose fault it is if one has no answer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use metricd_domain::{Period, SqlText};
use metricd_execution::{Declarations, FindingCode, SqlValidationError};
use tokio_postgres::Client;

use super::{plain, validator, warehouse};

/// A list of integers as an author may paste one from somewhere else. For each of them PostgreSQL notes a cast besides, if the
/// column is of another type.
fn listed(column: &str, count: usize) -> String {
    let list: Vec<_> = (10_000..10_000 + count).map(|number| number.to_string()).collect();
    format!("SELECT count(*) AS n FROM orders WHERE {column} IN ({})", list.join(","))
}

#[tokio::test]
async fn a_refused_statement_does_not_affect_later_ones() -> Result<()> {
    let database = warehouse().await?;
    database
        .connect()
        .await?
        .batch_execute(
            "SET search_path = warehouse; CREATE TYPE ea AS ENUM ('a'); CREATE TYPE eb AS ENUM ('b');
             CREATE TABLE ta (a ea); CREATE TABLE tb (b eb)",
        )
        .await?;
    let validator = validator(&database).await?;
    assert!(plain(&validator, "SELECT a FROM ta").await?.is_ok());
    assert_eq!(plain(&validator, "SELECT nosuch FROM ta").await?.unwrap_err()[0].code, FindingCode::Unresolved);
    // A type that the session has not seen.
    assert!(plain(&validator, "SELECT b FROM tb").await?.is_ok());
    Ok(())
}

/// How many sessions wait for a lock on the table.
async fn waiting(client: &Client, table: &str, count: i64) -> Result<()> {
    let waiting = "SELECT count(*) FROM pg_locks WHERE relation = $1::text::regclass AND NOT granted";
    for _ in 0..100 {
        if client.query_one(waiting, &[&table]).await?.get::<_, i64>(0) >= count {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("{count} sessions do not wait for {table}")
}

#[tokio::test]
async fn a_validation_does_not_wait_for_another_one() -> Result<()> {
    let database = warehouse().await?;
    let validator = validator(&database).await?;
    let mut blocking = database.connect().await?;
    // Comments are looked up once the statement is resolved: both have come as far as that.
    let transaction = blocking.transaction().await?;
    transaction.batch_execute("LOCK TABLE pg_catalog.pg_description IN ACCESS EXCLUSIVE MODE").await?;
    let validated = ["SELECT 1 AS one", "SELECT 2 AS two"].map(|sql| {
        let validator = Arc::clone(&validator);
        tokio::spawn(async move { plain(&validator, sql).await })
    });
    let seen = waiting(transaction.client(), "pg_catalog.pg_description", 2).await;
    transaction.rollback().await?;
    for validated in validated {
        assert!(validated.await??.is_ok());
    }
    seen
}

#[tokio::test]
async fn a_long_list_is_validated_or_refused_in_time() -> Result<()> {
    let database = warehouse().await?;
    let validator = validator(&database).await?;
    let contract =
        plain(&validator, &listed("order_id", 16_000)).await?.map_err(|findings| anyhow::anyhow!("{findings:?}"))?;
    assert!(matches!(contract.period(), Period::Narrowed(_)), "{:?}", contract.period());
    let findings = plain(&validator, &listed("total", 16_500)).await?.unwrap_err();
    assert_eq!(findings[0].code, FindingCode::TooComplex, "{findings:?}");
    assert!(findings[0].message.contains("list"), "{findings:?}");
    Ok(())
}

#[tokio::test]
async fn sql_that_waits_for_a_lock_is_not_to_blame() -> Result<()> {
    let database = warehouse().await?;
    let validator = validator(&database).await?;
    let mut blocking = database.connect().await?;
    let transaction = blocking.transaction().await?;
    transaction.batch_execute("LOCK TABLE warehouse.orders IN ACCESS EXCLUSIVE MODE").await?;
    for sql in ["SELECT order_id FROM orders".to_owned(), listed("order_id", 5_000)] {
        let validated = validator.validate(&SqlText::parse(sql)?, Declarations::default()).await;
        let error = validated.err().context("the table is locked")?;
        ensure!(matches!(error, SqlValidationError::Unavailable(_)), "{error:?}");
    }
    transaction.rollback().await?;
    assert!(plain(&validator, "SELECT order_id FROM orders").await?.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_validation_that_is_dropped_ends_its_session() -> Result<()> {
    let database = warehouse().await?;
    let (validator, client) = (validator(&database).await?, database.connect().await?);
    let mut blocking = database.connect().await?;
    let transaction = blocking.transaction().await?;
    transaction.batch_execute("LOCK TABLE warehouse.orders IN ACCESS EXCLUSIVE MODE").await?;
    tokio::select! {
        validated = plain(&validator, "SELECT order_id FROM orders") => anyhow::bail!("{validated:?}"),
        waiting = waiting(&client, "warehouse.orders", 1) => waiting?,
    }
    transaction.rollback().await?;
    let sessions = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'metricd resolver'";
    while client.query_one(sessions, &[]).await?.get::<_, i64>(0) > 0 {
        tokio::task::yield_now().await;
    }
    assert!(plain(&validator, "SELECT order_id FROM orders").await?.is_ok());
    Ok(())
}
