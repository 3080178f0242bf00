//! `GET /ingestions/{ingestion_id}`

use actix_web::{HttpRequest, HttpResponse, web};
use metricd_domain::{IngestionId, IngestionReport};

use super::redacted::redacted;
use crate::auth::caller;
use crate::problem::problems;
use crate::{ApiState, Problem, ProblemCode};

problems!(GetIngestionProblems: TokenLimited, IngestionNotFound, DatabaseUnavailable, NoConnection);

/// Answers with an ingestion's report. Only the subject that sent the files sees what was refused; others see how much.
#[utoipa::path(
    get,
    path = "/ingestions/{ingestion_id}",
    tag = "ingestions",
    params(("ingestion_id" = Uuid, Path, description = "The ingestion's id.")),
    responses((status = OK, description = "The report.", body = IngestionReport), GetIngestionProblems)
)]
pub(in crate::routes) async fn get_ingestion(
    request: HttpRequest,
    ingestion_id: web::Path<String>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    // The report names every metric of the files.
    caller::require_unlimited(&request)?;
    let ingestion_id =
        ingestion_id.parse().map(IngestionId).map_err(|_| Problem::new(ProblemCode::IngestionNotFound))?;
    let report = state.repository.get_ingestion(ingestion_id).await?;
    Ok(HttpResponse::Ok().json(redacted(report, caller::of(&request).as_deref())))
}
