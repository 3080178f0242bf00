//! `POST /metrics/{metric_id}/restore`

use actix_web::{HttpRequest, HttpResponse, web};
use metricd_repository::{MetricChange, ServiceState};

use super::change::change;
use super::definition::{DefinitionResponse, respond};
use super::metric_id;
use crate::extract::conditional::IfMatchHeader;
use crate::extract::parameters::MetricPath;
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::{ApiState, Problem};

problems!(
    RestoreMetricProblems:
    MetricNotEditable, MetricNotFound, VersionMismatch, InvalidParameters, DatabaseUnavailable, NoConnection
);

/// Restores a deleted metric. A metric in service stays as it is.
#[utoipa::path(
    post,
    path = "/metrics/{metric_id}/restore",
    tag = "definitions",
    params(MetricPath, IfMatchHeader),
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
        RestoreMetricProblems,
    )
)]
pub(in crate::routes) async fn restore_metric(
    request: HttpRequest,
    path: web::Path<MetricPath>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    QueryString::parse(request.query_string()).finish()?;
    let id = metric_id(&request, &path)?;
    let restored = change(&request, &state, &id, ServiceState::Any, async |_| Ok(MetricChange::Restore)).await?;
    state.note_position(&request).await;
    // Its tables may have changed meanwhile.
    Ok(respond(HttpResponse::Ok(), &state.with_current_contract(restored).await))
}
