//! `GET /metrics/{metric_id}`

mod format;
mod json;
mod pipe;
mod stream;

use actix_web::http::Version;
use actix_web::http::header::{HeaderName, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use metricd_domain::{MetricDefinition, MetricId, RowLimit};
use metricd_execution::{JsonRows, RunLimits, Statement};

use self::format::Format;
use self::stream::{Streamed, answer_stream};
use crate::query_string::QueryString;
use crate::{ApiState, Problem, ProblemCode};

const TRUNCATED: HeaderName = HeaderName::from_static("x-truncated");

/// Runs the metric's stored SQL and answers with its result.
pub(in crate::routes) async fn get_metric(
    request: HttpRequest,
    metric_id: web::Path<String>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    let (format, limit) = parse_query(&request)?;
    // What cannot be an id is no metric's.
    let metric_id = MetricId::parse(metric_id.into_inner()).map_err(|_| Problem::new(ProblemCode::MetricNotFound))?;
    let definition = state.repository.get_definition(&metric_id).await?;
    let statement =
        Statement::parse(&definition.sql).map_err(|error| Problem::new(ProblemCode::QueryFailed).caused_by(error))?;

    let Some(writer) = format.writer() else {
        return answer_whole(&state, &definition, &statement, limit.unwrap_or_default()).await;
    };
    let streamed = Streamed { format, writer, statement, limit, is_chunked: request.version() >= Version::HTTP_11 };
    answer_stream(&request, &state, &metric_id, streamed).await
}

/// Runs the statement to its end and answers with its result in one piece.
async fn answer_whole(
    state: &ApiState,
    definition: &MetricDefinition,
    statement: &Statement,
    rows: RowLimit,
) -> Result<HttpResponse, Problem> {
    let limits = RunLimits { rows, time: state.query_timeout, ..RunLimits::default() };
    let as_of = (state.now)();
    let mut result = JsonRows::default();
    let outcome = state.runner.run(statement, limits, &mut result).await?;

    let mut response = HttpResponse::Ok();
    if outcome.truncated {
        response.insert_header((TRUNCATED, "true"));
    }
    response.insert_header((VARY, "accept")).content_type(Format::Json.content_type());
    Ok(response.body(json::write_body(definition, result, outcome, as_of)))
}

/// The format, which the query string names before the header `Accept` does, and the limit, where the request has one.
fn parse_query(request: &HttpRequest) -> Result<(Format, Option<RowLimit>), Problem> {
    let mut query = QueryString::parse(request.query_string());
    let named = query.take("format", Format::parse);
    let negotiated = named.map_or_else(|| Format::negotiate(request), Ok);
    let parse_limit = match negotiated {
        Ok(Format::Csv | Format::Ndjson) => RowLimit::parse_stream,
        Ok(Format::Json) | Err(_) => RowLimit::parse,
    };
    let limit = query.take("limit", parse_limit);
    query.finish()?;
    Ok((negotiated?, limit))
}
