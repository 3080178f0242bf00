//! A period never changes what the SQL means.

use anyhow::{Result, ensure};
use metricd_domain::Period;
use metricd_runner::PgRunner;
use metricd_test_support::TestDatabase;
use serde_json::Value;

use super::statements::STATEMENTS;
use super::{Declared, applied, bound, definition, june, period, run, run_plainly};

#[tokio::test]
async fn a_period_never_changes_what_the_sql_means() -> Result<()> {
    let (all, on_all) = june(1, 20).await?;
    let (_part, on_part) = june(5, 12).await?;
    let mut faults = Vec::new();
    for (sql, expected) in STATEMENTS {
        if let Err(fault) = check(&all, &on_all, &on_part, sql, expected).await {
            faults.push(format!("{sql}\n    {fault:#}"));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), STATEMENTS.len(), faults.join("\n"));
    Ok(())
}

/// Checks that a period does to the SQL what is expected, and changes nothing else.
async fn check(all: &TestDatabase, on_all: &PgRunner, on_part: &PgRunner, sql: &str, expected: &str) -> Result<()> {
    let is_only_source = ["visits", "good_", "stock", "STOCK", "AUFTR"].iter().any(|table| sql.contains(table));
    let time_column = (!is_only_source).then_some("sales.day");
    let stored = match definition(all, sql, Declared { time_column, period: None }).await {
        // PostgreSQL folds no letters beyond ASCII.
        Err(error) if expected.contains("auftr") => {
            ensure!(error.to_string().contains(expected), "{error}");
            return Ok(());
        }
        stored => stored?,
    };
    let found = applied(&stored)?;
    let is_applied = ["narrowed ", "result "].iter().any(|kind| expected.starts_with(kind));
    let is_expected =
        if is_applied { found == expected } else { found.starts_with("refused: ") && found.contains(expected) };
    ensure!(is_expected, "expected `{expected}`: {found}");
    if found.starts_with("refused") {
        ensure!(bound(&stored, &[("start_date", "2025-06-05")]).is_err(), "the period is taken");
        return Ok(());
    }
    // A period that contains all rows changes nothing.
    let plain = run_plainly(on_all, sql).await?;
    for whole in [
        &[("start_date", "0001-01-01"), ("end_date", "9999-12-31")][..],
        &[("start_date", "0001-01-01")],
        &[("end_date", "9999-12-31")],
    ] {
        let found = run(on_all, &bound(&stored, whole)?).await?;
        ensure!(found == plain, "{whole:?}: {found}, and without a period {plain}");
    }
    // A narrower period gives what a source with only its rows gives, or a part of the result.
    let inside = [("start_date", "2025-06-05"), ("end_date", "2025-06-12")];
    let inside: Vec<Value> = serde_json::from_str(&run(on_all, &bound(&stored, &inside)?).await?)?;
    let expected: Vec<Value> = match &period(&stored)? {
        Period::Result(column) => {
            let is_inside = |row: &Value| {
                let day = row[&column.column].as_str().and_then(|day| day.get(..10)).unwrap_or_default();
                ("2025-06-05"..="2025-06-12").contains(&day)
            };
            serde_json::from_str::<Vec<Value>>(&plain)?.into_iter().filter(is_inside).collect()
        }
        _ => serde_json::from_str(&run_plainly(on_part, sql).await?)?,
    };
    ensure!(inside == expected, "{inside:?}, and expected {expected:?}");
    Ok(())
}
