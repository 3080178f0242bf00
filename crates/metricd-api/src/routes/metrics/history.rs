//! `GET /metrics/{metric_id}/history`

use actix_web::{HttpRequest, HttpResponse, web};
use metricd_domain::MetricVersion;
use serde_json::json;

use super::metric_id;
use crate::extract::paging::{PageRequest, PageResponse, cursor};
use crate::extract::parameters::MetricPath;
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::routes::changes::{ChangeResponse, ComparedVersion};
use crate::{ApiState, Problem};

problems!(ListMetricHistoryProblems: MetricNotFound, InvalidParameters, DatabaseUnavailable, NoConnection);

/// Answers with the metric's changes (who, when and what), the newest first; also of a deleted metric.
#[utoipa::path(
    get,
    path = "/metrics/{metric_id}/history",
    tag = "definitions",
    params(MetricPath, PageRequest::<u32>),
    responses(
        (status = OK, description = "A page of changes.", body = PageResponse<ChangeResponse>),
        ListMetricHistoryProblems,
    )
)]
pub(in crate::routes) async fn list_metric_history(
    request: HttpRequest,
    path: web::Path<MetricPath>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    let mut query = QueryString::parse(request.query_string());
    let page_request = PageRequest::take(&mut query, |key| key.parse::<u32>().ok());
    query.finish()?;
    let found = state
        .repository
        .list_metric_versions(&metric_id(&request, &path)?, page_request.after, page_request.wanted())
        .await?;
    // The entry after the page is compared with the last one on it.
    let has_next = found.len() > page_request.limit();
    let next_cursor =
        found.get(page_request.limit() - 1).filter(|_| has_next).map(|last| cursor(&last.version.to_string()));
    let items =
        found.iter().enumerate().take(page_request.limit()).map(|(index, version)| {
            ChangeResponse::of(&request, compared(version), found.get(index + 1).map(compared))
        });
    Ok(HttpResponse::Ok().json(PageResponse { items: items.collect(), next_cursor }))
}

/// The version with its compared fields.
fn compared(version: &MetricVersion) -> ComparedVersion<'_> {
    let fields = json!({
        "title": version.display_text.title,
        "description": version.display_text.description,
        "query_id": version.query_id,
        "sql": version.sql,
        "editable": version.editable,
        "parameters": version.parameters,
        "time_column": version.time_column,
        "period": version.period,
        "limits": version.limits,
    });
    let MetricVersion { version, action, changed_at, ref changed_by, .. } = *version;
    ComparedVersion { version, action, changed_at, changed_by, fields }
}
