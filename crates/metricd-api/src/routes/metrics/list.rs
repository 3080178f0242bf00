//! `GET /metrics`

use actix_web::{HttpRequest, HttpResponse, web};
use metricd_domain::{DashboardId, MetricDefinition, MetricId};
use metricd_repository::{DefinitionFilter, ServiceState};

use super::definition::DefinitionSummary;
use crate::paging::{PageRequest, page};
use crate::query_string::QueryString;
use crate::{ApiState, Problem};

/// The greatest number of characters that are searched for.
const MAX_SEARCH_CHARS: usize = 200;

/// Lists the definitions.
pub(in crate::routes) async fn list_metrics(
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    let mut query = QueryString::parse(request.query_string());
    let asked = PageRequest::take(&mut query, |key| MetricId::parse(key).ok());
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
    let filter = DefinitionFilter { state: state_asked.unwrap_or_default(), search, dashboard_id };
    let found = state.repository.list_definitions(&filter, asked.after.as_ref(), asked.wanted()).await?;
    let key = |definition: &MetricDefinition| definition.metric.metric_id.to_string();
    Ok(HttpResponse::Ok().json(page(asked.limit(), found, key, DefinitionSummary::from)))
}
