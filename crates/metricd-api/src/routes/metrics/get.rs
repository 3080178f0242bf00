//! `GET /metrics/{metric_id}`

use actix_web::http::header::HeaderName;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, SecondsFormat, Utc};
use metricd_domain::{MetricDefinition, MetricId, RowLimit};
use metricd_execution::{Column, JsonRows, RunLimits, RunOutcome, Statement};
use serde::Serialize;

use crate::query_string::QueryString;
use crate::{ApiState, Problem, ProblemCode};

const TRUNCATED: HeaderName = HeaderName::from_static("x-truncated");

/// Runs the metric's stored SQL and answers with its result.
pub(in crate::routes) async fn get_metric(
    request: HttpRequest,
    metric_id: web::Path<String>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    let rows = parse_query(request.query_string())?;
    // What cannot be an id is no metric's.
    let metric_id = MetricId::parse(metric_id.into_inner()).map_err(|_| Problem::new(ProblemCode::MetricNotFound))?;
    let definition = state.repository.get_definition(&metric_id).await?;
    let statement =
        Statement::parse(&definition.sql).map_err(|error| Problem::new(ProblemCode::QueryFailed).caused_by(error))?;

    let limits = RunLimits { rows, time: state.query_timeout, ..RunLimits::default() };
    let as_of = (state.now)();
    let mut result = JsonRows::default();
    let outcome = state.runner.run(&statement, limits, &mut result).await?;

    let mut response = HttpResponse::Ok();
    if outcome.truncated {
        response.insert_header((TRUNCATED, "true"));
    }
    response.content_type("application/json");
    Ok(response.body(write_body(&definition, result, outcome, as_of)))
}

fn parse_query(text: &str) -> Result<RowLimit, Problem> {
    let mut query = QueryString::parse(text);
    let rows = query.take("limit", RowLimit::parse).unwrap_or_default();
    query.take("format", |format| if format == "json" { Ok(()) } else { Err("expected `json`") });
    query.finish()?;
    Ok(rows)
}

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
    as_of: String,
}

/// The response, with the rows as they were encoded.
fn write_body(definition: &MetricDefinition, result: JsonRows, outcome: RunOutcome, as_of: DateTime<Utc>) -> Vec<u8> {
    let head = ResultHead {
        metric_id: definition.metric.metric_id.as_str(),
        query_id: definition.metric.query_id.as_str(),
        title: definition.title(),
        columns: result.result_columns().iter().map(ColumnResponse::from).collect(),
    };
    let tail = ResultTail {
        row_count: outcome.row_count,
        truncated: outcome.truncated,
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
