//! `GET /metrics`

use actix_web::{HttpRequest, HttpResponse, web};
use metricd_domain::{DashboardId, MetricDefinition, MetricId};
use metricd_repository::{DefinitionFilter, ServiceState};
use utoipa::IntoParams;

use super::definition::DefinitionSummary;
use crate::auth::caller;
use crate::extract::paging::{PageRequest, PageResponse, page};
use crate::extract::query_string::{QueryString, parse_bool, parse_search};
use crate::problem::problems;
use crate::{ApiState, Problem};

/// The metrics that a request selects.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct MetricFilter {
    /// Only metrics with this text in their title or description, ignoring case.
    #[param(min_length = 1, max_length = 200)]
    q: Option<String>,
    /// Only metrics on the dashboard with this id.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{1,64}$")]
    dashboard: Option<DashboardId>,
    /// Only deleted metrics, instead of those in service.
    deleted: Option<bool>,
}

impl MetricFilter {
    /// Takes the parameters, and records their faults.
    fn take(query: &mut QueryString<'_>) -> Self {
        let q = query.take("q", parse_search);
        let dashboard = query.take("dashboard", |id| DashboardId::parse(id));
        Self { q, dashboard, deleted: query.take("deleted", parse_bool) }
    }
}

problems!(ListMetricsProblems: InvalidParameters, DatabaseUnavailable, NoConnection);

/// Lists the definitions by id.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "definitions",
    params(
        PageRequest::<MetricId>,
        MetricFilter,
    ),
    responses(
        (status = OK, description = "A page of the list.", body = PageResponse<DefinitionSummary>),
        ListMetricsProblems,
    )
)]
pub(in crate::routes) async fn list_metrics(
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    let mut query = QueryString::parse(request.query_string());
    let page_request = PageRequest::take(&mut query, |key| MetricId::parse(key).ok());
    let MetricFilter { q, dashboard, deleted } = MetricFilter::take(&mut query);
    query.finish()?;
    let among = caller::visible_metrics(&request);
    let state_of = |is_deleted| if is_deleted { ServiceState::Deleted } else { ServiceState::Active };
    let in_state = deleted.map(state_of).unwrap_or_default();
    let filter = DefinitionFilter { state: in_state, search: q, dashboard_id: dashboard, among, reads: None };
    let found = state.repository.list_definitions(&filter, page_request.after.as_ref(), page_request.wanted()).await?;
    let key = |definition: &MetricDefinition| definition.metric.metric_id.to_string();
    Ok(HttpResponse::Ok().json(page(page_request.limit(), found, key, DefinitionSummary::from)))
}
