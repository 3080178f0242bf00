//! The checks of columns as CHECK constraints, which mean what Rust judges.

use anyhow::{Context, Result};
use metricd_domain::{
    ColumnChecks, ColumnJudge, ColumnName, ColumnType, Load, Table, TableColumn, TableName, TableParts,
};
use metricd_postgres::{PgRepository, RepositoryConfig};
use metricd_repository::contract::{TestIngestion, TestTable};
use metricd_repository::{Definitions, MetricRepository};
use metricd_test_support::TestDatabase;

fn checks(minimum: &str, maximum: &str, one_of: &[&str]) -> ColumnChecks {
    let bound = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let one_of = one_of.iter().map(|value| (*value).to_owned()).collect();
    ColumnChecks { minimum: bound(minimum), maximum: bound(maximum), one_of }
}

/// A table that files append to, with one column for each of these.
fn table(columns: &[(&str, ColumnType, ColumnChecks)]) -> Result<Table> {
    let column = |(name, data_type, checks): &(&str, ColumnType, ColumnChecks)| {
        anyhow::Ok(TableColumn { checks: checks.clone(), ..TableColumn::new(ColumnName::parse(*name)?, *data_type) })
    };
    let columns = columns.iter().map(column).collect::<Result<_>>()?;
    let parts = TableParts::new(TableName::parse("sales")?, columns);
    Ok(Table::new(TableParts { load: Load::Append, ..parts })?)
}

async fn ingest(repository: &PgRepository, table: Table, rows: &[&str]) -> Result<()> {
    let (mut ingestion, observed) = TestIngestion::committing(Definitions::default());
    let contents: &[&[&str]] = if rows.is_empty() { &[] } else { &[rows] };
    ingestion.set_tables(vec![TestTable::new(table, contents)]);
    repository.ingest(Box::new(ingestion)).await?;
    let (_, changes) = observed.recv()?;
    let refusal = changes.tables.values().find_map(|table| table.refusal.as_ref());
    assert!(refusal.is_none(), "{refusal:?}");
    Ok(())
}

const LARGEST: &str = "99999999999999999999999999999999999999";

/// A type with checks, and values around its bounds.
type Case = (ColumnType, ColumnChecks, Vec<&'static str>);

fn numbers() -> Vec<Case> {
    use ColumnType::{Bigint, Double, Numeric};
    let wholes = vec![
        "-9223372036854775808",
        "-6",
        "-5",
        "-4",
        "0",
        "9007199254740992",
        "9007199254740993",
        "9223372036854775806",
        "9223372036854775807",
    ];
    let decimals = vec![
        "-1",
        "-0.50",
        "-0.5",
        "-0.50000000000000000000000000000000000001",
        "-0.49999999999999999999999999999999999999",
        "0",
        "-0",
        "0.00",
        "1.10",
        "1.1",
        "1.1000000000000000000000000000000000001",
        LARGEST,
        "99999999999999999999999999999999999998.99999999999999999999999999999999999999",
        "99999999999999999999999999999999999999.00000000000000000000000000000000000001",
    ];
    let doubles = vec![
        "-Infinity",
        "-0.0",
        "0.0",
        "5e-324",
        "-5e-324",
        "0.1",
        "0.09999999999999999",
        "0.30000000000000004",
        "0.3",
        "1.7976931348623157e308",
        "Infinity",
        "NaN",
    ];
    vec![
        (Bigint, checks("-5", "9007199254740992", &[]), wholes.clone()),
        (Bigint, checks("", "9223372036854775806", &[]), wholes.clone()),
        (Bigint, checks("", "", &["-5", "0", "9007199254740993"]), wholes),
        (Numeric, checks("-0.5", LARGEST, &[]), decimals.clone()),
        (Numeric, checks("-0.50000000000000000000000000000000000001", "1.10", &[]), decimals.clone()),
        (Numeric, checks("", "", &["0.0", "1.100", LARGEST]), decimals),
        (Double, checks("0", "0.3", &[]), doubles.clone()),
        (Double, checks("0.1", "", &[]), doubles.clone()),
        (Double, checks("", "1.7976931348623157e308", &[]), doubles),
    ]
}

fn times() -> Vec<Case> {
    use ColumnType::{Date, Timestamp, Timestamptz};
    let days = vec![
        "-infinity",
        "4714-11-24 BC",
        "0044-03-14 BC",
        "0044-03-15 BC",
        "0044-03-16 BC",
        "0001-12-31 BC",
        "0001-01-01",
        "2024-02-28",
        "2024-02-29",
        "2024-03-01",
        "9999-12-31",
        "10000-01-01",
        "5874897-12-31",
        "infinity",
    ];
    let times = vec![
        "-infinity",
        "0001-01-01 00:00:00 BC",
        "2024-12-31 23:59:59.999999",
        "2025-01-01 00:00:00",
        "2025-01-01 00:00:00.000001",
        "2025-06-01 11:59:59.999999",
        "2025-06-01 12:00:00",
        "2025-06-01 12:00:00.1",
        "294276-12-31 23:59:59.999999",
        "infinity",
    ];
    let instants = vec![
        "-infinity",
        "0001-01-01 00:00:00+00 BC",
        "0001-01-01 00:30:00+01",
        "2025-06-01 12:00:00+02",
        "2025-06-01 11:59:59.999999+02",
        "2025-06-01 15:30:00+05:30",
        "2025-06-01 05:00:00.000001-05",
        "2025-06-01 10:00:00+00",
        "2025-05-31 23:59:00-10:01",
        "294276-12-31 23:59:59.999999+00",
        "infinity",
    ];
    vec![
        (Date, checks("0044-03-15 BC", "2024-02-29", &[]), days.clone()),
        (Date, checks("10000-01-01", "", &[]), days.clone()),
        (Date, checks("", "0001-01-01", &["0001-01-01", "0044-03-15 BC"]), days),
        (Timestamp, checks("2025-01-01 00:00:00", "2025-06-01 12:00:00", &[]), times.clone()),
        (Timestamp, checks("2025-01-01 00:00:00.000001", "", &[]), times),
        (Timestamptz, checks("2025-06-01 12:00:00+02", "", &[]), instants.clone()),
        (Timestamptz, checks("", "2025-06-01 05:00:00-05", &[]), instants.clone()),
        (Timestamptz, checks("0001-12-31 23:30:00+00 BC", "", &[]), instants),
    ]
}

fn texts() -> Vec<Case> {
    let texts = vec!["low", "Low", "low ", "", "it's, \"here\"", "größe", "gro\u{308}ße", "LOW"];
    vec![(ColumnType::Text, checks("", "", &["low", "", "it's, \"here\"", "größe"]), texts)]
}

#[tokio::test]
async fn a_constraint_means_what_rust_judges() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    // The judgement depends neither on the time zone of a session nor on its style of dates.
    client.batch_execute("SET TimeZone TO 'Asia/Kolkata'; SET DateStyle TO 'SQL, DMY'").await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    for (data_type, checks, values) in numbers().into_iter().chain(times()).chain(texts()) {
        let judge = ColumnJudge::new(data_type, &checks)?;
        ingest(&repository, table(&[("c", data_type, checks.clone())])?, &[""]).await?;
        let (mut passed, mut broken) = (0, 0);
        for value in values {
            let literal = value.replace('\'', "''");
            let insert = format!("INSERT INTO warehouse.sales VALUES ('{literal}')");
            let inserted = client.batch_execute(&insert).await;
            let expected = judge.judge(value);
            match (&inserted, expected) {
                (Ok(()), None) => passed += 1,
                (Err(error), Some(_)) => {
                    let error = error.as_db_error().context("not an error of the database")?;
                    assert_eq!(error.constraint(), Some("sales_c_check"), "{data_type} {value}: {error}");
                    broken += 1;
                }
                _ => panic!("{data_type} ({checks}) {value:?}: {inserted:?}, but Rust says {expected:?}"),
            }
        }
        assert!(passed > 0 && broken > 0, "{data_type} ({checks}) has values on both sides");
        client.batch_execute("DROP TABLE warehouse.sales").await?;
    }
    Ok(())
}

#[tokio::test]
async fn constraints_follow_their_declaration() -> Result<()> {
    use ColumnType::{Bigint, Numeric, Text};
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let stored = "SELECT coalesce(string_agg(conname || ' ' || pg_get_constraintdef(oid), '; ' ORDER BY conname), '')
        FROM pg_constraint WHERE conrelid = 'warehouse.sales'::regclass AND contype = 'c'";
    let none = ColumnChecks::default;
    let bounds = "sales_amount_check CHECK (((amount >= '0'::bigint) AND (amount <= '9'::bigint)))";
    for (amount, state, expected) in [
        ((Bigint, checks("0", "9", &[])), none(), bounds.to_owned()),
        (
            (Bigint, checks("0", "9", &[])),
            checks("", "", &["a", "b"]),
            format!("{bounds}; sales_state_check CHECK ((state = ANY (ARRAY['a'::text, 'b'::text])))"),
        ),
        ((Bigint, checks("1", "", &[])), none(), "sales_amount_check CHECK ((amount >= '1'::bigint))".to_owned()),
        ((Numeric, checks("1", "", &[])), none(), "sales_amount_check CHECK ((amount >= '1'::numeric))".to_owned()),
        ((Numeric, none()), none(), String::new()),
        ((Numeric, checks("1", "", &[])), none(), "sales_amount_check CHECK ((amount >= '1'::numeric))".to_owned()),
    ] {
        let columns = [("amount", amount.0, amount.1), ("state", Text, state)];
        ingest(&repository, table(&columns)?, &["1,a", ","]).await?;
        assert_eq!(client.query_one(stored, &[]).await?.get::<_, String>(0), expected);
    }
    // What others have dropped is not missed.
    client.batch_execute("ALTER TABLE warehouse.sales DROP CONSTRAINT sales_amount_check").await?;
    ingest(&repository, table(&[("amount", Numeric, none()), ("state", Text, none())])?, &[]).await?;
    Ok(())
}

#[tokio::test]
async fn a_column_gets_another_type_with_other_checks_if_its_rows_are_replaced() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let replacing = |data_type, checks| {
        let table = table(&[("c", data_type, checks)])?;
        anyhow::Ok(Table::new(TableParts { load: Load::Replace, ..table.parts().clone() })?)
    };
    ingest(&repository, replacing(ColumnType::Bigint, checks("5", "", &[]))?, &["7"]).await?;
    ingest(&repository, replacing(ColumnType::Text, checks("", "", &["x"]))?, &["x"]).await?;
    ingest(&repository, replacing(ColumnType::Date, checks("2025-01-01", "", &[]))?, &["2025-01-01"]).await?;
    let refused = client.batch_execute("INSERT INTO warehouse.sales VALUES ('2024-12-31')").await;
    let error = refused.err().context("the constraint is missing")?;
    assert_eq!(error.as_db_error().and_then(|error| error.constraint()), Some("sales_c_check"));
    Ok(())
}

#[tokio::test]
async fn long_names_have_constraints_of_their_own() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default())?;
    let (one, other) = (format!("{}1", "c".repeat(62)), format!("{}2", "c".repeat(62)));
    let (least, listed) = (checks("0", "", &[]), checks("", "", &["1", "2"]));
    let of_sales = table(&[(&one, ColumnType::Bigint, least), (&other, ColumnType::Bigint, listed)])?;
    let name = TableName::parse("t".repeat(54))?;
    let long = |table: &Table| Table::new(TableParts { name: name.clone(), ..table.parts().clone() });
    ingest(&repository, long(&of_sales)?, &["1,1"]).await?;
    let count =
        format!("SELECT count(DISTINCT conname) FROM pg_constraint WHERE conrelid = 'warehouse.{name}'::regclass");
    assert_eq!(client.query_one(&count, &[]).await?.get::<_, i64>(0), 2);
    let none = ColumnChecks::default;
    let unchecked = table(&[(&one, ColumnType::Bigint, none()), (&other, ColumnType::Bigint, none())])?;
    ingest(&repository, long(&unchecked)?, &["-1,3"]).await?;
    assert_eq!(client.query_one(&count, &[]).await?.get::<_, i64>(0), 0);
    Ok(())
}
