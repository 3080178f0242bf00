//! `PATCH /metrics/{metric_id}`

use actix_web::{HttpRequest, HttpResponse, web};
use metricd_repository::{MetricChange, ServiceState};
use serde_json::{Map, Value};

use super::change::change;
use super::content::MetricPatchRequest;
use super::definition::{DefinitionResponse, respond};
use super::metric_id;
use crate::extract::body::Json;
use crate::extract::conditional::IfMatchHeader;
use crate::extract::parameters::MetricPath;
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::{ApiState, Problem};

problems!(
    UpdateMetricProblems:
    BadRequest, MalformedJson, MetricNotEditable, MetricNotFound, RequestTimeout, MetricDeleted, VersionMismatch,
    UnsupportedMediaType, InvalidBody, InvalidParameters, TooManyQueries, SqlRefused, DatabaseUnavailable, NoConnection
);

/// Changes a metric by a merge patch (RFC 7396): absent members keep their values, null removes them.
///
/// The SQL is validated if the body has `sql`, `parameters`, `time_column` or `period`.
#[utoipa::path(
    patch,
    path = "/metrics/{metric_id}",
    tag = "definitions",
    params(MetricPath, IfMatchHeader),
    request_body = MetricPatchRequest,
    responses(
        (
            status = OK,
            description = "The definition after the change.",
            body = DefinitionResponse,
            headers(
                ("ETag" = String, description = "The definition's version, for `If-Match`."),
                ("Metricd-LSN" = String, description = "If the server reads from replicas: the position of the change, for `Metricd-After`."),
            )
        ),
        UpdateMetricProblems,
    )
)]
pub(in crate::routes) async fn update_metric(
    request: HttpRequest,
    path: web::Path<MetricPath>,
    state: web::Data<ApiState>,
    Json(body): Json<Map<String, Value>>,
) -> Result<HttpResponse, Problem> {
    QueryString::parse(request.query_string()).finish()?;
    let id = metric_id(&request, &path)?;
    let mut validated = None;
    let definition = change(&request, &state, &id, ServiceState::Active, async |before| {
        let changes = MetricPatchRequest::read(body.clone())?;
        // A table that has changed does not prevent a new title.
        let kept = if changes.names_sql() { None } else { before.contract.clone() };
        let draft = changes.applied_to(before);
        let content = match kept.or_else(|| draft.contract_as_of(validated.as_ref()?)) {
            Some(contract) => draft.with(contract),
            None => draft.validated(&request, &state).await?,
        };
        validated = Some(content.clone());
        Ok(MetricChange::Content(Box::new(content)))
    })
    .await?;
    state.note_position(&request).await;
    Ok(respond(HttpResponse::Ok(), &state.with_current_contract(definition).await))
}
