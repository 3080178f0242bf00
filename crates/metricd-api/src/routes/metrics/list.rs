//! `GET /metrics`

use actix_web::{HttpRequest, HttpResponse, web};
use metricd_domain::{DashboardId, MetricDefinition, MetricId};
use metricd_repository::{DefinitionFilter, ServiceState};

use super::definition::DefinitionSummary;
use crate::auth::caller;
use crate::extract::paging::{PageRequest, PageResponse, page};
use crate::extract::parameters::PageParameters;
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::{ApiState, Problem};

/// The longest search text.
const MAX_SEARCH_CHARS: usize = 200;

problems!(ListMetricsProblems: InvalidParameters, DatabaseUnavailable, NoConnection);

/// Lists the definitions by id.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "definitions",
    params(
        PageParameters,
        ("q" = Option<String>, Query, description = "Only metrics with this text in their title or description, ignoring case.", min_length = 1, max_length = 200),
        ("dashboard" = Option<String>, Query, description = "Only metrics on the dashboard with this id.", pattern = "^[A-Za-z0-9_-]{1,64}$"),
        ("deleted" = Option<bool>, Query, description = "Only deleted metrics, instead of those in service."),
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
    let search = query.take("q", |words| {
        let is_sane = (1..=MAX_SEARCH_CHARS).contains(&words.chars().count()) && !words.contains('\0');
        is_sane.then(|| words.to_owned()).ok_or(format!("expected 1 to {MAX_SEARCH_CHARS} characters without NUL"))
    });
    let dashboard_id = query.take("dashboard", |id| DashboardId::parse(id));
    let state_asked = query.take("deleted", |text| match text {
        "false" => Ok(ServiceState::Active),
        "true" => Ok(ServiceState::Deleted),
        _ => Err("expected `true` or `false`"),
    });
    query.finish()?;
    let among = caller::visible_metrics(&request);
    let filter = DefinitionFilter { state: state_asked.unwrap_or_default(), search, dashboard_id, among };
    let found = state.repository.list_definitions(&filter, page_request.after.as_ref(), page_request.wanted()).await?;
    let key = |definition: &MetricDefinition| definition.metric.metric_id.to_string();
    Ok(HttpResponse::Ok().json(page(page_request.limit(), found, key, DefinitionSummary::from)))
}
