//! Contracts of results that a view could not have, of statements that are too large, and of periods.

use std::fmt::Write as _;

use anyhow::Result;
use metricd_domain::{Period, SqlText};
use metricd_execution::{BoundStatement, FindingCode, JsonRows, MetricRunner, Permit, RunLimits, Statement};
use metricd_runner::{PgRunner, RunnerConfig};

use super::{plain, validated, validator, warehouse};

fn columns(count: usize) -> String {
    let mut list = String::new();
    for number in 1..=count {
        let _ = write!(list, "{}{number} AS c{number}", if number == 1 { "" } else { ", " });
    }
    list
}

#[tokio::test]
async fn a_result_may_have_columns_that_a_view_may_not() -> Result<()> {
    let database = warehouse().await?;
    let validator = validator(&database).await?;
    for (sql, types) in [
        ("SELECT row(1, 'a') AS r, ARRAY[row(1)] AS rs", vec!["record", "record[]"]),
        ("SELECT o AS r FROM (SELECT order_id, status FROM orders) AS o", vec!["record"]),
        ("SELECT 'a' COLLATE \"C\" || 'b' AS c, min(status::text) AS m FROM orders", vec!["text", "text"]),
        (
            "SELECT a.n || b.n AS unsettled FROM (SELECT 'x' COLLATE \"C\" AS n) a, (SELECT 'y' COLLATE \"POSIX\" AS n) b",
            vec!["text"],
        ),
        ("VALUES (1, 'a')", vec!["integer", "text"]),
        ("(SELECT 1 AS a) UNION ALL SELECT 2 ORDER BY a LIMIT 1", vec!["integer"]),
    ] {
        let contract = plain(&validator, sql).await?.map_err(|findings| anyhow::anyhow!("{sql}: {findings:?}"))?;
        let told: Vec<_> = contract.columns().iter().map(|column| column.type_name.as_str()).collect();
        assert_eq!(told, types, "{sql}");
    }
    let wide = format!("SELECT {}", columns(1_664));
    let contract = plain(&validator, &wide).await?.map_err(|findings| anyhow::anyhow!("{findings:?}"))?;
    assert_eq!(contract.columns().len(), 1_664);
    let findings = plain(&validator, "SELECT id AS a, date AS a FROM metrics").await?.unwrap_err();
    assert_eq!(findings[0].code, FindingCode::ColumnRepeated);
    assert!(findings[0].message.contains("named `a`"), "{findings:?}");
    Ok(())
}

#[tokio::test]
async fn a_row_is_answered_as_postgresql_prints_it() -> Result<()> {
    let database = warehouse().await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let statement = Statement::parse(&SqlText::parse("SELECT row(1, 'a b') AS r")?)?;
    let statement = BoundStatement::without_arguments(&statement);
    let mut rows = JsonRows::default();
    runner.run(&statement, None, RunLimits::default(), Permit::default(), &mut rows).await?;
    assert_eq!(String::from_utf8(rows.finish())?, r#"[{"r":"(1,\"a b\")"}]"#);
    Ok(())
}

#[tokio::test]
async fn sql_that_is_large_within_is_refused_and_not_tried_again() -> Result<()> {
    let database = warehouse().await?;
    let validator = validator(&database).await?;
    let chain = |length: usize| {
        let mut sql = format!("WITH a0 AS (SELECT {})", columns(1_600));
        for number in 1..length {
            let _ = write!(sql, ", a{number} AS (SELECT * FROM a{})", number - 1);
        }
        sql + &format!(" SELECT c1 FROM a{}", length - 1)
    };
    // The first two by their text; the third only PostgreSQL knows.
    let mut joined = format!("WITH a AS (SELECT {}) SELECT count(*) AS n FROM a AS a0", columns(1_600));
    for number in 1..20 {
        let _ = write!(joined, " JOIN a AS a{number} ON true");
    }
    for sql in [chain(400), joined, chain(45)] {
        let findings = plain(&validator, &sql).await?.unwrap_err();
        assert_eq!(findings[0].code, FindingCode::TooComplex, "{findings:?}");
    }
    assert!(plain(&validator, &chain(3)).await?.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_period_is_bound_narrowed_or_neither_and_says_why() -> Result<()> {
    let database = warehouse().await?;
    let validator = validator(&database).await?;
    let period = async |sql: &str, column: Option<&str>| -> Result<Period> {
        Ok(validated(&validator, sql, Vec::new(), column).await?.unwrap().into_parts().period)
    };
    let narrowed = |period: Period| match period {
        Period::Narrowed(source) => format!("{}.{} {}", source.table, source.column, source.type_name),
        Period::Result(column) => column.column,
        Period::Bound => "bound".to_owned(),
        Period::Unsupported { reason } => reason,
    };
    assert_eq!(narrowed(period("SELECT count(*) FROM metrics", None).await?), "metrics.date date");
    assert_eq!(narrowed(period("SELECT count(*) FROM metrics WHERE date >= :start_date", None).await?), "bound");
    assert!(narrowed(period("SELECT 1 AS one", None).await?).contains("no table"));
    assert!(narrowed(period("SELECT tableoid FROM metrics", None).await?).contains("cannot be run on a part"));
    let findings = validated(&validator, "SELECT id FROM metrics", Vec::new(), Some("nope")).await?.unwrap_err();
    assert_eq!(findings[0].code, FindingCode::TimeColumn);
    Ok(())
}
