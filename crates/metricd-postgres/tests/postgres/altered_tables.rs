//! Tables that others have changed in the database, or made something for that PostgreSQL refuses to break.

use anyhow::{Context, Result, ensure};
use metricd_domain::{ColumnName, ColumnType, Load, Table, TableColumn, TableName, TableParts};
use metricd_postgres::{PgRepository, RepositoryConfig};
use metricd_repository::contract::{TestIngestion, TestTable};
use metricd_repository::{
    Changes, Conclusion, Definitions, ExistingState, MetricRepository, RepositoryError, TableRefusal, TableRefusalCause,
};
use metricd_test_support::TestDatabase;

fn sales(load: Load, key: &[&str], amount: ColumnType) -> Result<Table> {
    let column = |name: &str, data_type| anyhow::Ok(TableColumn::new(ColumnName::parse(name)?, data_type));
    let columns = vec![column("id", ColumnType::Text)?, column("amount", amount)?];
    let key = key.iter().map(|name| Ok(ColumnName::parse(*name)?)).collect::<Result<_>>()?;
    Ok(Table::new(TableParts { load, key, ..TableParts::new(TableName::parse("sales")?, columns) })?)
}

async fn ingest(
    repository: &PgRepository,
    table: Table,
    rows: &[&str],
    conclude: fn(metricd_domain::IngestionReport) -> Conclusion,
) -> Result<(ExistingState, Changes)> {
    let (mut ingestion, observed) = TestIngestion::committing(Definitions::default());
    ingestion.set_tables(vec![TestTable::new(table, &[rows])]);
    ingestion.conclude = conclude;
    repository.ingest(Box::new(ingestion)).await?;
    Ok(observed.recv()?)
}

fn refusal(changes: &Changes) -> Option<&TableRefusal> {
    changes.tables.values().find_map(|table| table.refusal.as_ref())
}

/// What others did, the load and key of the table before and after, the type of its amount before and after, and the rows.
struct Case {
    script: &'static str,
    load: Load,
    key: &'static [&'static str],
    types: [ColumnType; 2],
    rows: &'static [&'static str],
    column: Option<&'static str>,
}

fn case(script: &'static str) -> Case {
    let types = [ColumnType::Bigint, ColumnType::Bigint];
    Case { script, load: Load::Replace, key: &[], types, rows: &["a,1", "b,2"], column: None }
}

fn cases() -> Vec<Case> {
    let (bigint, numeric) = (ColumnType::Bigint, ColumnType::Numeric);
    let wider = [bigint, numeric];
    let raise = "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'P0001'; END $$;";
    let view = "CREATE VIEW public.big AS SELECT amount FROM warehouse.sales";
    let check = "ALTER TABLE warehouse.sales ADD CONSTRAINT small CHECK (amount < 2) NOT VALID";
    let not_null = "ALTER TABLE warehouse.sales ADD COLUMN extra text;
            UPDATE warehouse.sales SET extra = 'x'; ALTER TABLE warehouse.sales ALTER COLUMN extra SET NOT NULL";
    let generated =
        "ALTER TABLE warehouse.sales ADD COLUMN share bigint GENERATED ALWAYS AS (100 / (amount - 2)) STORED";
    let referenced =
        "CREATE TABLE public.orders (id text REFERENCES warehouse.sales); INSERT INTO public.orders VALUES ('x')";
    let deferred = "CREATE TABLE public.orders (id text REFERENCES warehouse.sales DEFERRABLE INITIALLY DEFERRED);
            INSERT INTO public.orders VALUES ('x')";
    let trigger: &'static str = Box::leak(
        format!(
            "{raise} CREATE TRIGGER t BEFORE INSERT ON warehouse.sales FOR EACH ROW EXECUTE FUNCTION public.refuse()"
        )
        .into_boxed_str(),
    );
    let large: &'static str = Box::leak(
        format!(
            "{raise} CREATE TRIGGER t BEFORE DELETE ON warehouse.sales FOR EACH ROW EXECUTE FUNCTION public.refuse()"
        )
        .into_boxed_str(),
    );
    let index = "CREATE UNIQUE INDEX once ON warehouse.sales ((amount % 1))";
    vec![
        Case { types: wider, ..case(view) },
        case(check),
        Case { key: &["id"], load: Load::Upsert, ..case(check) },
        Case { column: Some("extra"), ..case(not_null) },
        Case { key: &["id"], column: Some("extra"), ..case(not_null) },
        case(generated),
        Case { load: Load::Multiset, ..case(generated) },
        Case { key: &["id"], ..case(referenced) },
        Case { key: &["id"], ..case(deferred) },
        case(trigger),
        Case { key: &["id"], load: Load::Append, ..case(trigger) },
        case(large),
        case(index),
    ]
}

#[tokio::test]
async fn what_others_made_of_a_table_is_a_refusal_that_changes_nothing() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let stored = "SELECT string_agg(t.id || t.amount, ' ' ORDER BY t.id) FROM warehouse.sales t";
    for Case { script, load, key, types: [before, after], rows, column } in cases() {
        ingest(&repository, sales(load, key, before)?, &["x,1"], Conclusion::Commit).await?;
        client.batch_execute(script).await.context(script)?;
        let (existing, changes) =
            ingest(&repository, sales(load, key, after)?, rows, Conclusion::CommitReportOnly).await.context(script)?;
        let refused = refusal(&changes).context(script)?;
        assert_eq!((refused.cause, refused.column.as_deref()), (TableRefusalCause::Database, column), "{script}");
        ensure!(!refused.message.is_empty() && existing.tables.values().all(|table| table.alterations.is_empty()));
        assert_eq!(client.query_one(stored, &[]).await?.get::<_, String>(0), "x1", "{script}");
        client
            .batch_execute("DROP TABLE warehouse.sales CASCADE; DROP TABLE IF EXISTS public.orders; DROP FUNCTION IF EXISTS public.refuse")
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_table_of_another_owner_is_refused() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let name = database.owner.database();
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    ingest(&repository, sales(Load::Replace, &[], ColumnType::Bigint)?, &["x,1"], Conclusion::Commit).await?;
    // The owner of these tests is a superuser, so that only an event trigger can refuse what a privilege would.
    client
        .batch_execute(&format!(
            "CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
                 BEGIN RAISE EXCEPTION 'must be owner of {name}' USING ERRCODE = '42501'; END $$;
             CREATE EVENT TRIGGER refusing ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION public.refuse()"
        ))
        .await?;
    let table = sales(Load::Replace, &[], ColumnType::Numeric)?;
    let (_, changes) = ingest(&repository, table, &["x,1.5"], Conclusion::CommitReportOnly).await?;
    assert!(refusal(&changes).is_some_and(|refusal| refusal.message.starts_with("must be owner of")), "{changes:?}");
    Ok(())
}

#[tokio::test]
async fn what_passes_by_itself_is_no_refusal() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    for sqlstate in ["53100", "40P01", "55P03", "57P03", "58030", "XX001"] {
        for timing in ["INSERT", "DELETE"] {
            ingest(&repository, sales(Load::Replace, &[], ColumnType::Bigint)?, &["x,1"], Conclusion::Commit).await?;
            let script = format!(
                "CREATE OR REPLACE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$
                     BEGIN RAISE EXCEPTION 'column does not exist' USING ERRCODE = '{sqlstate}'; END $$;
                 CREATE TRIGGER t BEFORE {timing} ON warehouse.sales FOR EACH ROW EXECUTE FUNCTION public.fail()"
            );
            client.batch_execute(&script).await?;
            let table = sales(Load::Replace, &[], ColumnType::Bigint)?;
            let outcome = ingest(&repository, table, &["y,1"], Conclusion::Commit).await;
            let error = outcome.err().context(sqlstate)?.downcast::<RepositoryError>()?;
            assert!(matches!(error, RepositoryError::Unavailable(_)), "{sqlstate} {timing}: {error:?}");
            client.batch_execute("DROP TABLE warehouse.sales").await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_others_changed_in_a_table_is_found_before_it_is_loaded() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    for (script, expected) in [
        ("ALTER TABLE warehouse.sales ADD COLUMN note text", &[][..]),
        ("ALTER TABLE warehouse.sales RENAME amount TO price", &["it has no column `amount` any more"]),
        ("ALTER TABLE warehouse.sales DROP amount", &["it has no column `amount` any more"]),
        (
            "ALTER TABLE warehouse.sales ALTER amount TYPE integer",
            &["its column `amount` is integer instead of numeric"],
        ),
        (
            "ALTER TABLE warehouse.sales ALTER amount TYPE numeric(10,2)",
            &["its column `amount` is numeric(10,2) instead of numeric"],
        ),
        ("DROP TABLE warehouse.sales; CREATE TABLE warehouse.sales (id text)", &["it has no column `amount` any more"]),
        (
            "ALTER TABLE warehouse.sales RENAME TO moved; CREATE VIEW warehouse.sales AS SELECT * FROM warehouse.moved",
            &["it is no table any more"],
        ),
        ("DROP TABLE warehouse.sales; CREATE TYPE warehouse.sales AS ENUM ('a')", &["it is no table any more"]),
    ] {
        ingest(&repository, sales(Load::Append, &[], ColumnType::Numeric)?, &["x,1"], Conclusion::Commit).await?;
        client.batch_execute(script).await?;
        let (mut ingestion, observed) = TestIngestion::committing(Definitions::default());
        ingestion.set_tables(Vec::new());
        repository.ingest(Box::new(ingestion)).await?;
        let (existing, _) = observed.recv()?;
        let found = existing.tables.values().map(|table| table.alterations.as_slice()).next().context(script)?;
        assert_eq!(found, expected, "{script}");
        client
            .batch_execute(
                "DO $$ BEGIN
                     DROP VIEW IF EXISTS warehouse.sales;
                 EXCEPTION WHEN wrong_object_type THEN NULL; END $$;
                 DROP TABLE IF EXISTS warehouse.moved; DROP TYPE IF EXISTS warehouse.sales",
            )
            .await
            .or(client.batch_execute("DROP TABLE warehouse.sales").await)?;
        client.batch_execute("DELETE FROM catalog.tables").await?;
    }
    Ok(())
}

#[tokio::test]
async fn indexes_follow_their_declaration() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let indexed =
        "SELECT coalesce(string_agg(indexrelid::regclass::text || ' ' || pg_get_indexdef(indexrelid), '; '), '')
        FROM pg_index WHERE indrelid = 'warehouse.sales'::regclass";
    for (indexes, expected) in [
        (&[&["id", "amount"][..]][..], &["sales_1_idx"][..]),
        (&[&["id", "amount"], &["amount"]], &["sales_1_idx", "sales_2_idx"]),
        (&[&["amount"]], &["sales_1_idx"]),
        (&[], &[]),
    ] {
        let name = |name: &&str| Ok(ColumnName::parse(*name)?);
        let columns = |columns: &&[&str]| columns.iter().map(name).collect::<Result<_>>();
        let mut parts = sales(Load::Append, &[], ColumnType::Bigint)?.parts().clone();
        parts.indexes = indexes.iter().map(columns).collect::<Result<_>>()?;
        ingest(&repository, Table::new(parts)?, &["x,1"], Conclusion::Commit).await?;
        let found: String = client.query_one(indexed, &[]).await?.get(0);
        assert_eq!(found.matches("CREATE INDEX").count(), expected.len(), "{found}");
        for (name, columns) in expected.iter().zip(indexes) {
            assert!(found.contains(name) && found.contains(&format!("({})", columns.join(", "))), "{found}");
        }
    }
    Ok(())
}
