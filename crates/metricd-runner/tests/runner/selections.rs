//! Sorts, filters and pages of results against PostgreSQL.

mod matrix;
mod operators;
mod pages;
mod statements;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result};
use metricd_database::DataSchemas;
use metricd_domain::{Metric, MetricDefinition, MetricId, QueryId, RowLimit, RowOffset, SqlText};
use metricd_execution::{
    BoundStatement, Declarations, JsonRows, MetricRunner, MetricStatement, Permit, RequestZone, RunError, RunLimits,
    RunOutcome, Selection, SelectionRequest, SqlValidator,
};
use metricd_runner::{PgResolver, PgRunner};
use metricd_test_support::TestDatabase;
use serde_json::Value;

/// The sort, the filters and the page of a request.
#[derive(Debug, Clone, Copy)]
struct Select<'a> {
    sort: &'a str,
    filters: &'a [&'a str],
    offset: &'a str,
    limit: &'a str,
}

/// Everything, in the order of the SQL.
const ALL: Select<'static> = Select { sort: "", filters: &[], offset: "0", limit: "1000" };

/// The definition as it would be stored.
async fn definition(database: &TestDatabase, sql: &str) -> Result<MetricDefinition> {
    let metric = Metric::new(MetricId::parse("m1")?, QueryId::parse("q1")?, true);
    let sql = SqlText::parse(sql)?;
    let resolver = Arc::new(PgResolver::new(&database.owner, &DataSchemas::default()));
    let validator = SqlValidator::new(resolver, &BTreeSet::new()).await?;
    let contract = validator.validate(&sql, Declarations::of(&metric)).await;
    let contract = contract.map_err(|error| anyhow::anyhow!("{}: {error}", sql.as_str()))?;
    Ok(MetricDefinition::new(metric, sql, Some(contract)))
}

/// The statement for these parameters and this selection.
fn bound(definition: &MetricDefinition, given: &[(&str, &str)], select: Select<'_>) -> Result<BoundStatement> {
    bound_in(definition, given, select, &RequestZone::default())
}

fn bound_in(
    definition: &MetricDefinition,
    given: &[(&str, &str)],
    select: Select<'_>,
    zone: &RequestZone,
) -> Result<BoundStatement> {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let bound = MetricStatement::of(definition)?.bind_in(&given, zone);
    let (bound, _) = bound.map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let request = SelectionRequest {
        sort: Some(select.sort.to_owned()).filter(|sort| !sort.is_empty()),
        filters: select.filters.iter().map(|filter| (*filter).to_owned()).collect(),
        offset: RowOffset::parse(select.offset)?,
    };
    let selection = Selection::parse(&request, definition.contract.as_ref(), zone);
    let selection = selection.map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    Ok(bound.selecting(&Arc::new(selection), RowLimit::parse_stream(select.limit)?))
}

async fn run(
    runner: &PgRunner,
    statement: &BoundStatement,
    limit: &str,
) -> Result<Result<(RunOutcome, Vec<Value>), RunError>> {
    let limits = RunLimits { rows: RowLimit::parse_stream(limit)?, ..RunLimits::default() };
    let mut rows = JsonRows::default();
    Ok(match runner.run(statement, None, limits, Permit::default(), &mut rows).await {
        Ok(outcome) => Ok((outcome, serde_json::from_slice(&rows.finish())?)),
        Err(error) => Err(error),
    })
}

/// The values of the column `id`, in order, and whether the result is truncated.
async fn ids(
    runner: &PgRunner,
    definition: &MetricDefinition,
    given: &[(&str, &str)],
    select: Select<'_>,
) -> Result<(Vec<i64>, bool)> {
    let statement = bound(definition, given, select)?;
    let (outcome, rows) = run(runner, &statement, select.limit).await?.with_context(|| format!("{select:?}"))?;
    let ids: Option<Vec<_>> = rows.iter().map(|row| row["id"].as_i64()).collect();
    Ok((ids.context("a column `id`")?, outcome.truncated))
}
