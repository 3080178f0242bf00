//! `GET /dashboards/{dashboard_id}/openapi.json`

use actix_web::{HttpRequest, HttpResponse, web};

use super::{DocumentResponses, respond};
use crate::extract::conditional::IfNoneMatchHeader;
use crate::extract::parameters::DashboardPath;
use crate::extract::query_string::QueryString;
use crate::openapi::dashboard_document;
use crate::problem::problems;
use crate::routes::dashboards::get::dashboard;
use crate::{ApiState, Problem, ProblemCode};

problems!(
    GetDashboardOpenapiProblems:
    DashboardNotFound, InvalidParameters, DatabaseUnavailable, NoConnection
);

/// Answers with the OpenAPI document of a dashboard: its results in one call, and each of its metrics.
#[utoipa::path(
    get,
    path = "/dashboards/{dashboard_id}/openapi.json",
    tag = "documents",
    params(DashboardPath, IfNoneMatchHeader),
    responses(DocumentResponses, GetDashboardOpenapiProblems)
)]
pub(in crate::routes) async fn get_dashboard_openapi(
    request: HttpRequest,
    path: web::Path<DashboardPath>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    QueryString::parse(request.query_string()).finish()?;
    let dashboard = dashboard(&request, &state, &path).await?;
    let mut cached = Vec::new();
    for item in dashboard.items() {
        match state.current_metric(&item.metric_id).await {
            Ok(metric) => cached.push(metric),
            // The dashboard has the metric, and its entry in the results is a problem.
            Err(problem) if [ProblemCode::MetricDeleted, ProblemCode::MetricNotFound].contains(&problem.code()) => {}
            Err(problem) => return Err(problem),
        }
    }
    let definitions: Vec<_> = cached.iter().map(|metric| &metric.definition).collect();
    Ok(respond(&request, "application/json", dashboard_document(&dashboard, &definitions).into_bytes()))
}
