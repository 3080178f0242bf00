//! `GET /ingestions/{ingestion_id}`

use actix_web::{HttpResponse, web};
use metricd_domain::IngestionId;

use crate::{ApiState, Problem, ProblemCode};

/// Answers with the report of an ingestion.
pub(in crate::routes) async fn get_ingestion(
    ingestion_id: web::Path<String>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    let ingestion_id =
        ingestion_id.parse().map(IngestionId).map_err(|_| Problem::new(ProblemCode::IngestionNotFound))?;
    let report = state.repository.get_ingestion(ingestion_id).await?;
    Ok(HttpResponse::Ok().json(report))
}
