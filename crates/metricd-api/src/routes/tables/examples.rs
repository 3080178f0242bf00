//! Examples of the values of a table.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::HttpRequest;
use metricd_domain::{Contract, ContractParts, ContractTable};
use metricd_execution::{JsonRows, RunLimits, Sampling, TableDescription};
use serde_json::value::{RawValue, to_raw_value};

use crate::ApiState;
use crate::auth::caller;
use crate::middleware::note_run;

/// How many different values of a column are shown.
const MAX_EXAMPLES: usize = 3;

/// The maximum size of a value, in bytes of JSON.
const MAX_EXAMPLE_BYTES: usize = 1_000;

/// The maximum size of the rows that are read, in bytes.
const MAX_ROWS_BYTES: usize = 1 << 20;

/// The time limit of reading them.
const EXAMPLES_TIMEOUT: Duration = Duration::from_secs(1);

/// The highest planner cost: a view may compute much for its first row.
const EXAMPLES_COST: u64 = 100_000;

/// Examples by column.
pub(super) type Examples = BTreeMap<String, Vec<Box<RawValue>>>;

/// Up to 3 different values of each sampled column, from the first rows. `None` if the caller may see no rows, or if the
/// database does not answer quickly.
///
/// A caller who may create metrics can read every row by one. Other callers see rows only through the metrics.
pub(super) async fn read(request: &HttpRequest, state: &ApiState, table: &TableDescription) -> Option<Examples> {
    if caller::visible_metrics(request).is_some() || !caller::is_author(request) {
        return None;
    }
    let tenant = caller::tenant(request, state).ok()?;
    if tenant.is_some() && !is_isolated(state, table).await {
        return None;
    }
    let statement = table.sample()?;
    let permit = caller::acquire_query_permit(request, state).await.ok()?.into_permit();
    let limits = RunLimits {
        size_bytes: MAX_ROWS_BYTES,
        time: state.query_timeout.min(EXAMPLES_TIMEOUT),
        cost: caller::query_cost(request, state).min(EXAMPLES_COST),
        ..RunLimits::default()
    };
    let mut rows = JsonRows::default();
    if let Err(error) = state.runner.run(&statement, tenant.as_ref(), limits, permit, &mut rows).await {
        log::info!("the table {:?} has no examples: {error}", table.table.name);
        return None;
    }
    note_run(request, rows.timing());
    let rows: Vec<BTreeMap<String, Box<RawValue>>> = serde_json::from_slice(&rows.finish()).ok()?;
    Some(of_rows(table, &rows))
}

/// Whether row-level security isolates tenants in the table, and in everything else that the reader may read.
async fn is_isolated(state: &ApiState, table: &TableDescription) -> bool {
    let Some(tenants) = &state.tenants else { return true };
    let tables = vec![ContractTable::new(&table.table.schema, &table.table.name)];
    let Ok(contract) = Contract::new(ContractParts { tables, ..ContractParts::default() }) else { return false };
    matches!(tenants.check(state.runner.as_ref(), Some(&contract)).await, Ok(Ok(())))
}

/// The different values of each column, in the order of the rows.
fn of_rows(table: &TableDescription, rows: &[BTreeMap<String, Box<RawValue>>]) -> Examples {
    let sampled = table.columns.iter().filter(|column| column.sampling != Sampling::Skipped);
    let examples = sampled.map(|column| {
        let mut values: Vec<Box<RawValue>> = Vec::new();
        let of_column = rows.iter().filter_map(|row| row.get(&column.name));
        let shown = of_column.filter_map(|value| match column.sampling {
            Sampling::Text => cut(value),
            _ => Some(value.clone()).filter(|value| value.get().len() <= MAX_EXAMPLE_BYTES),
        });
        for value in shown.filter(|value| value.get() != "null") {
            if values.len() < MAX_EXAMPLES && !values.iter().any(|known| known.get() == value.get()) {
                values.push(value);
            }
        }
        (column.name.clone(), values)
    });
    examples.collect()
}

/// The text, cut at the maximum number of characters.
fn cut(value: &RawValue) -> Option<Box<RawValue>> {
    let text: Option<String> = serde_json::from_str(value.get()).ok()?;
    let mut text = text?;
    if let Some((end, _)) = text.char_indices().nth(TableDescription::MAX_SAMPLE_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    to_raw_value(&text).ok()
}
