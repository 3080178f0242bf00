//! `GET /dashboards/{dashboard_id}`

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use metricd_domain::{Breakpoint, Dashboard, DashboardId, DashboardItem, LayoutEntry};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::caller;
use crate::extract::parameters::DashboardPath;
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::{ApiState, Problem, ProblemCode};

/// A dashboard.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Dashboard)]
struct DashboardResponse {
    id: String,
    name: String,
    /// The metrics in the order of their first appearance, including deleted ones.
    items: Vec<DashboardItem>,
    /// The positions of the metrics by breakpoint (class of screen widths), in grid units.
    layouts: BTreeMap<Breakpoint, Vec<LayoutEntry>>,
}

impl From<&Dashboard> for DashboardResponse {
    fn from(dashboard: &Dashboard) -> Self {
        Self {
            id: dashboard.id().to_string(),
            name: dashboard.name().as_str().to_owned(),
            items: dashboard.items().to_vec(),
            layouts: dashboard.layouts().clone(),
        }
    }
}

problems!(GetDashboardProblems: DashboardNotFound, InvalidParameters, DatabaseUnavailable, NoConnection);

/// Answers with the dashboard: its items, and its layouts by breakpoint.
#[utoipa::path(
    get,
    path = "/dashboards/{dashboard_id}",
    tag = "dashboards",
    params(DashboardPath),
    responses((status = OK, description = "The dashboard.", body = DashboardResponse), GetDashboardProblems)
)]
pub(in crate::routes) async fn get_dashboard(
    request: HttpRequest,
    path: web::Path<DashboardPath>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    QueryString::parse(request.query_string()).finish()?;
    let dashboard = dashboard(&request, &state, &path).await?;
    Ok(HttpResponse::Ok().json(DashboardResponse::from(&dashboard)))
}

/// The dashboard in the path, without the metrics that the caller may not see. An invalid id is not found.
///
/// # Errors
///
/// 404, or an error of the repository.
pub(in crate::routes) async fn dashboard(
    request: &HttpRequest,
    state: &ApiState,
    path: &DashboardPath,
) -> Result<Dashboard, Problem> {
    let id = DashboardId::parse(&path.dashboard_id).map_err(|_| Problem::new(ProblemCode::DashboardNotFound))?;
    let dashboard = state.repository.get_dashboard(&id).await?;
    Ok(match caller::visible_metrics(request) {
        Some(patterns) => dashboard.among(&patterns),
        None => dashboard,
    })
}
