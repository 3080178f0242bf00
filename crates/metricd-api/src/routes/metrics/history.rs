//! `GET /metrics/{metric_id}/history`

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use metricd_domain::{Actor, ChangeAction, MetricVersion};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::metric_id;
use crate::auth::caller;
use crate::extract::paging::{PageRequest, PageResponse, cursor};
use crate::extract::parameters::MetricPath;
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::{ApiState, Problem};

/// A change of a metric.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
struct ChangeResponse {
    /// The definition's version after the change.
    version: u32,
    action: ChangeAction,
    changed_at: DateTime<Utc>,
    changed_by: Actor,
    /// The differences from the previous version.
    changes: Vec<FieldChange>,
}

/// The change of a field.
#[derive(Debug, Serialize, ToSchema)]
struct FieldChange {
    field: String,
    /// The previous value; null if there was none.
    before: Value,
    after: Value,
}

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
    let items = found.iter().enumerate().take(page_request.limit());
    let shows_ingestions = caller::may_ingest(&request);
    let items = items.map(|(index, version)| respond(version, found.get(index + 1), shows_ingestions)).collect();
    Ok(HttpResponse::Ok().json(PageResponse { items, next_cursor }))
}

/// The change. An ingestion's id is shown to callers who may read its report.
fn respond(version: &MetricVersion, before: Option<&MetricVersion>, shows_ingestion: bool) -> ChangeResponse {
    let (mut before, after) = (before.map(fields).unwrap_or_default(), fields(version));
    let changes = after.into_iter().filter_map(|(field, after)| {
        let before = before.remove(&field).unwrap_or_default();
        (before != after).then_some(FieldChange { field, before, after })
    });
    ChangeResponse {
        version: version.version,
        action: version.action,
        changed_at: version.changed_at,
        changed_by: Actor {
            ingestion_id: version.changed_by.ingestion_id.filter(|_| shows_ingestion),
            ..version.changed_by.clone()
        },
        changes: changes.collect(),
    }
}

/// The compared fields of a version.
fn fields(version: &MetricVersion) -> Map<String, Value> {
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
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
