//! A result as one JSON document.

use chrono::{DateTime, SecondsFormat, Utc};
use metricd_domain::MetricDefinition;
use metricd_execution::{AppliedPeriod, Column, JsonRows, RunOutcome};
use serde::Serialize;

#[derive(Serialize)]
struct ColumnResponse<'a> {
    name: &'a str,
    r#type: &'a str,
}

impl<'a> From<&'a Column> for ColumnResponse<'a> {
    fn from(column: &'a Column) -> Self {
        Self { name: &column.name, r#type: &column.type_name }
    }
}

/// What stands before the rows.
#[derive(Serialize)]
struct ResultHead<'a> {
    metric_id: &'a str,
    query_id: &'a str,
    title: &'a str,
    columns: Vec<ColumnResponse<'a>>,
}

/// What stands behind the rows.
#[derive(Serialize)]
struct ResultTail {
    row_count: usize,
    truncated: bool,
    period: Option<AppliedPeriod>,
    as_of: String,
}

/// The response, with the rows as they were encoded.
pub(in crate::routes) fn write_result(
    definition: &MetricDefinition,
    result: JsonRows,
    outcome: RunOutcome,
    period: Option<AppliedPeriod>,
    as_of: DateTime<Utc>,
) -> Vec<u8> {
    let head = ResultHead {
        metric_id: definition.metric.metric_id.as_str(),
        query_id: definition.metric.query_id.as_str(),
        title: definition.title(),
        columns: result.result_columns().iter().map(ColumnResponse::from).collect(),
    };
    let tail = ResultTail {
        row_count: outcome.row_count,
        truncated: outcome.truncated,
        period,
        as_of: as_of.to_rfc3339_opts(SecondsFormat::Millis, true),
    };
    // Neither can fail: they have no maps, and only text for keys.
    let mut body = serde_json::to_vec(&head).unwrap_or_default();
    let tail = serde_json::to_vec(&tail).unwrap_or_default();
    let rows = result.finish();
    body.pop();
    body.reserve_exact(rows.len() + tail.len() + 16);
    body.extend_from_slice(b",\"rows\":");
    body.extend_from_slice(&rows);
    body.push(b',');
    body.extend_from_slice(tail.get(1..).unwrap_or_default());
    body
}
