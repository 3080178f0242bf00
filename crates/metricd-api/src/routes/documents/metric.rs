//! `GET /metrics/{metric_id}/openapi.json`

use actix_web::{HttpRequest, HttpResponse, web};

use super::{DocumentResponses, respond};
use crate::extract::conditional::IfNoneMatchHeader;
use crate::extract::parameters::MetricPath;
use crate::extract::query_string::QueryString;
use crate::openapi::metric_document;
use crate::problem::problems;
use crate::routes::metrics::metric_id;
use crate::{ApiState, Problem};

problems!(
    GetMetricOpenapiProblems:
    MetricNotFound, MetricDeleted, InvalidParameters, DatabaseUnavailable, NoConnection
);

/// Answers with the OpenAPI document of a metric: its parameters, and its rows by their columns.
#[utoipa::path(
    get,
    path = "/metrics/{metric_id}/openapi.json",
    tag = "documents",
    params(MetricPath, IfNoneMatchHeader),
    responses(DocumentResponses, GetMetricOpenapiProblems)
)]
pub(in crate::routes) async fn get_metric_openapi(
    request: HttpRequest,
    path: web::Path<MetricPath>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    QueryString::parse(request.query_string()).finish()?;
    let cached = state.current_metric(&metric_id(&request, &path)?).await?;
    Ok(respond(&request, "application/json", metric_document(&cached.definition).into_bytes()))
}
