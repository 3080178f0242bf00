//! `GET /dashboards`

use actix_web::{HttpRequest, HttpResponse, web};
use metricd_domain::{DashboardId, DashboardSummary};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::caller;
use crate::extract::paging::{PageRequest, PageResponse, page};
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::{ApiState, Problem};

/// A dashboard in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DashboardSummary)]
struct DashboardSummaryResponse {
    id: String,
    name: String,
    /// The number of its metrics.
    item_count: u64,
}

impl From<DashboardSummary> for DashboardSummaryResponse {
    fn from(summary: DashboardSummary) -> Self {
        Self { id: summary.dashboard_id.into(), name: summary.name.into(), item_count: summary.item_count }
    }
}

problems!(ListDashboardsProblems: InvalidParameters, DatabaseUnavailable, NoConnection);

/// Lists the dashboards by id.
#[utoipa::path(
    get,
    path = "/dashboards",
    tag = "dashboards",
    params(PageRequest::<DashboardId>),
    responses(
        (status = OK, description = "A page of the list.", body = PageResponse<DashboardSummaryResponse>),
        ListDashboardsProblems,
    )
)]
pub(in crate::routes) async fn list_dashboards(
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    let mut query = QueryString::parse(request.query_string());
    let page_request = PageRequest::take(&mut query, |key| DashboardId::parse(key).ok());
    query.finish()?;
    let among = caller::visible_metrics(&request);
    let found =
        state.repository.list_dashboards(among.as_ref(), page_request.after.as_ref(), page_request.wanted()).await?;
    let key = |summary: &DashboardSummary| summary.dashboard_id.to_string();
    Ok(HttpResponse::Ok().json(page(page_request.limit(), found, key, DashboardSummaryResponse::from)))
}
