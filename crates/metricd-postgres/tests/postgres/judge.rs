//! SQL as PostgreSQL resolves it: the corpora of the guard against a real warehouse, contracts, and what drifts.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use metricd_domain::{Contract, Parameter, ParameterDeclaration, Period, SqlText, TimeColumn};
use metricd_execution::{Allowed, Declarations, Finding, FindingCode, Judge, JudgeError};
use metricd_postgres::PgResolver;
use metricd_test_support::TestDatabase;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Corpus {
    statement: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    sql: String,
}

fn corpus(text: &str) -> Result<Vec<Entry>> {
    Ok(toml::from_str::<Corpus>(text)?.statement)
}

/// A database with the corpus' own warehouse.
async fn warehouse() -> Result<TestDatabase> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let fixture = include_str!("../../../metricd-execution/tests/corpus/warehouse.sql");
    client.batch_execute(&format!("SET search_path = warehouse; {fixture}")).await?;
    client.batch_execute("GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO metricd_reader").await?;
    Ok(database)
}

async fn judge(database: &TestDatabase) -> Result<Arc<Judge>> {
    let resolver = Arc::new(PgResolver::new(&database.owner));
    Ok(Arc::new(tokio::task::spawn_blocking(move || Judge::new(resolver, &BTreeSet::new())).await??))
}

/// The contract of the SQL with these declarations, or what is wrong with it.
async fn judged(
    judge: &Arc<Judge>,
    sql: &str,
    parameters: Vec<Parameter>,
    time_column: Option<&str>,
) -> Result<Result<Contract, Vec<Finding>>> {
    let Ok(sql) = SqlText::parse(sql) else { return Ok(Err(Vec::new())) };
    let judge = Arc::clone(judge);
    let time_column = time_column.map(TimeColumn::parse).transpose()?;
    let work = move || judge.judge(&sql, Declarations { parameters: &parameters, time_column: time_column.as_ref() });
    match tokio::task::spawn_blocking(work).await? {
        Ok(contract) => Ok(Ok(contract)),
        Err(JudgeError::Refused(findings)) => Ok(Err(findings)),
        Err(error) => Err(error.into()),
    }
}

async fn plain(judge: &Arc<Judge>, sql: &str) -> Result<Result<Contract, Vec<Finding>>> {
    judged(judge, sql, Vec::new(), None).await
}

fn parameter(name: &str, type_name: &str) -> Result<Parameter> {
    let declaration = ParameterDeclaration {
        name: name.into(),
        r#type: type_name.into(),
        default: None,
        required: None,
        allowed: None,
        min: None,
        max: None,
    };
    Ok(declaration.try_into()?)
}

#[tokio::test]
async fn honest_statements_get_a_contract_and_run() -> Result<()> {
    let database = warehouse().await?;
    let judge = judge(&database).await?;
    let reader = database.connect_as_reader().await?;
    let mut refused = Vec::new();
    for Entry { name, sql } in corpus(include_str!("../../../metricd-execution/tests/corpus/honest.toml"))? {
        match plain(&judge, &sql).await? {
            Err(findings) => refused.push(format!("{name}: {findings:?}")),
            Ok(contract) => {
                let statement = reader.prepare(sql.trim().trim_end_matches(';')).await?;
                let columns: Vec<_> = statement.columns().iter().map(tokio_postgres::Column::name).collect();
                let told: Vec<_> = contract.columns.iter().map(|column| column.name.as_str()).collect();
                assert_eq!(told, columns, "{name}");
                reader.query(&statement, &[]).await.map_err(|error| anyhow::anyhow!("{name}: {error:?}"))?;
            }
        }
    }
    assert!(refused.is_empty(), "{} refused:\n{}", refused.len(), refused.join("\n"));
    Ok(())
}

#[tokio::test]
async fn hostile_statements_are_refused_whatever_they_look_like() -> Result<()> {
    let database = warehouse().await?;
    let judge = judge(&database).await?;
    let mut accepted = Vec::new();
    for text in [
        include_str!("../../../metricd-execution/tests/corpus/hostile.toml"),
        include_str!("../../../metricd-execution/tests/corpus/hostile_resolved.toml"),
    ] {
        for Entry { name, sql } in corpus(text)? {
            if plain(&judge, &sql).await?.is_ok() {
                accepted.push(format!("{name}: {sql}"));
            }
        }
    }
    assert!(accepted.is_empty(), "{} accepted:\n{}", accepted.len(), accepted.join("\n"));
    // None of them has left anything.
    let client = database.connect().await?;
    let left = client.query_one("SELECT count(*) FROM pg_class WHERE relname = 'metricd_judged'", &[]).await?;
    assert_eq!(left.get::<_, i64>(0), 0);
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

#[tokio::test]
async fn a_contract_says_what_goes_in_what_comes_out_and_what_is_read() -> Result<()> {
    let database = warehouse().await?;
    let judge = judge(&database).await?;
    let sql = "-- Orders\nSELECT o.status, sum(o.total) AS revenue, :label AS label FROM orders o \
               JOIN customers c USING (customer_id) WHERE c.name LIKE :name AND o.order_id > :least GROUP BY o.status";
    let contract = judged(&judge, sql, vec![parameter("least", "bigint")?], None).await?.unwrap();
    let columns: Vec<_> =
        contract.columns.iter().map(|column| format!("{} {}", column.name, column.type_name)).collect();
    assert_eq!(columns[0], "status order_status");
    assert_eq!(columns[2], "label text");
    let parameters: Vec<_> =
        contract.parameters.iter().map(|parameter| format!("{} {}", parameter.name, parameter.type_name)).collect();
    assert_eq!(parameters, ["label text", "name text", "least bigint"]);
    let tables: Vec<_> = contract.tables.iter().map(|table| format!("{}.{}", table.schema, table.name)).collect();
    assert_eq!(tables, ["warehouse.customers", "warehouse.orders"]);
    assert!(contract.tables[0].columns.iter().any(|column| column == "name"), "{contract:?}");
    Ok(())
}

#[tokio::test]
async fn what_postgres_refuses_is_told_with_its_place_in_the_authors_text() -> Result<()> {
    let database = warehouse().await?;
    let judge = judge(&database).await?;
    let refused = async |sql: &str| -> Result<Finding> {
        let mut findings = plain(&judge, sql).await?.unwrap_err();
        assert_eq!(findings.len(), 1, "{findings:?}");
        Ok(findings.remove(0))
    };
    let finding = refused("-- é\nSELECT :a::date AS a,\n  :b + 1 AS b, nonsense AS c\nFROM metrics").await?;
    assert_eq!(finding.code, FindingCode::Unresolved);
    assert_eq!((finding.place.line, finding.place.column, finding.words.as_str()), (3, 16, "nonsense"));
    assert!(finding.message.contains("column \"nonsense\" does not exist"), "{finding}");
    let finding = refused("SELECT * FROM nowhere").await?;
    assert_eq!((finding.code, finding.place.column), (FindingCode::Unresolved, 15));
    let finding = refused("SELECT id, id FROM metrics").await?;
    assert_eq!(finding.code, FindingCode::ColumnRepeated);
    let finding = refused("SELECT pi() WHERE :a IS NULL").await?;
    assert_eq!(finding.code, FindingCode::Unresolved, "{finding}");
    let finding = refused("SELECT sum(id) FROM metrics").await?;
    assert!(finding.message.contains("; "), "PostgreSQL's hint is told: {finding}");
    // The judge goes on after a refusal.
    assert!(plain(&judge, "SELECT 1 AS one").await?.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_period_is_bound_narrowed_or_neither_and_says_why() -> Result<()> {
    let database = warehouse().await?;
    let judge = judge(&database).await?;
    let period = async |sql: &str, column: Option<&str>| -> Result<Period> {
        Ok(judged(&judge, sql, Vec::new(), column).await?.unwrap().period)
    };
    let narrowed = |period: Period| match period {
        Period::Narrowed(source) => format!("{}.{} {}", source.table, source.column, source.type_name),
        Period::Bound => "bound".to_owned(),
        Period::Unsupported { reason } => reason,
    };
    assert_eq!(narrowed(period("SELECT count(*) FROM metrics", None).await?), "metrics.date date");
    assert_eq!(narrowed(period("SELECT count(*) FROM metrics WHERE date >= :start_date", None).await?), "bound");
    assert!(narrowed(period("SELECT 1 AS one", None).await?).contains("no table"));
    assert!(narrowed(period("SELECT tableoid FROM metrics", None).await?).contains("cannot be run on a part"));
    let findings = judged(&judge, "SELECT id FROM metrics", Vec::new(), Some("nope")).await?.unwrap_err();
    assert_eq!(findings[0].code, FindingCode::TimeColumn);
    Ok(())
}

#[tokio::test]
async fn a_database_that_was_away_is_asked_again() -> Result<()> {
    let database = warehouse().await?;
    let judge = judge(&database).await?;
    assert!(plain(&judge, "SELECT 1 AS one").await?.is_ok());
    let client = database.connect().await?;
    client
        .execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
            &[],
        )
        .await?;
    assert!(plain(&judge, "SELECT 1 AS one").await?.is_ok());
    Ok(())
}
