//! `DELETE /metrics/{metric_id}`

use actix_web::{HttpRequest, HttpResponse, web};
use metricd_repository::{MetricChange, ServiceState};

use super::change::change;
use super::metric_id;
use crate::extract::conditional::{self, IfMatchHeader};
use crate::extract::parameters::MetricPath;
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::{ApiState, Problem};

problems!(
    DeleteMetricProblems:
    MetricNotEditable, MetricNotFound, MetricDeleted, VersionMismatch, InvalidParameters, DatabaseUnavailable, NoConnection
);

/// Deletes the metric: it is out of service. Its definition and history stay.
#[utoipa::path(
    delete,
    path = "/metrics/{metric_id}",
    tag = "definitions",
    params(MetricPath, IfMatchHeader),
    responses(
        (
            status = NO_CONTENT,
            description = "The metric is deleted.",
            headers(
                ("ETag" = String, description = "The definition's version, for `If-Match`."),
                ("Metricd-LSN" = String, description = "If the server reads from replicas: the position of the change, for `Metricd-After`."),
            )
        ),
        DeleteMetricProblems,
    )
)]
pub(in crate::routes) async fn delete_metric(
    request: HttpRequest,
    path: web::Path<MetricPath>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    QueryString::parse(request.query_string()).finish()?;
    let deleted = change(&request, &state, &metric_id(&request, &path)?, ServiceState::Active, async |_| {
        Ok(MetricChange::Delete)
    })
    .await?;
    state.note_position(&request).await;
    Ok(HttpResponse::NoContent().insert_header(conditional::header(&conditional::definition_tag(&deleted))).finish())
}
