//! `GET /metrics/{metric_id}/definition`

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
    let definition = || DefinitionResponse::of(&cached.definition, cached.statement.as_ref().ok());
    Ok(conditional::respond_with_tag(&request, &cached.tag, |mut response| response.json(definition())))
}
