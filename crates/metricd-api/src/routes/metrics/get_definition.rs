//! `GET /metrics/{metric_id}/definition`

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use super::definition::DefinitionResponse;
use super::metric_id;
use crate::extract::conditional::{self, IfNoneMatchHeader};
use crate::extract::parameters::MetricPath;
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::{ApiState, Problem};

problems!(
    GetMetricDefinitionProblems:
    MetricNotFound, MetricDeleted, InvalidParameters, DatabaseUnavailable, NoConnection
);

/// Answers with the metric's definition.
#[utoipa::path(
    get,
    path = "/metrics/{metric_id}/definition",
    tag = "definitions",
    params(
        MetricPath,
        IfNoneMatchHeader,
    ),
    responses(
        (
            status = OK,
            description = "The definition.",
            body = DefinitionResponse,
            headers(("ETag" = String, description = "The definition's version, for `If-Match` and `If-None-Match`."))
        ),
        (status = NOT_MODIFIED, description = "The client's copy is still valid."),
        GetMetricDefinitionProblems,
    )
)]
pub(in crate::routes) async fn get_metric_definition(
    request: HttpRequest,
    path: web::Path<MetricPath>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    QueryString::parse(request.query_string()).finish()?;
    let cached = state.current_metric(&metric_id(&request, &path)?).await?;
    let is_unchanged = IfNoneMatchHeader::of(&request).names(&cached.tag);
    let mut response = if is_unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header(conditional::header(&cached.tag))
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-cache")));
    if is_unchanged {
        return Ok(response.finish());
    }
    Ok(response.json(DefinitionResponse::of(&cached.definition, cached.statement.as_ref().ok())))
}
