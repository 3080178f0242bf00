//! `GET /health`

use actix_web::{HttpResponse, Responder};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthResponse {
    /// `ok`.
    status: &'static str,
}

/// Answers that the process is alive; checks nothing else.
#[utoipa::path(
    get,
    path = "/health",
    tag = "health",
    responses((status = OK, description = "The process is alive.", body = HealthResponse))
)]
pub(in crate::routes) async fn get_health() -> impl Responder {
    HttpResponse::Ok().json(HealthResponse { status: "ok" })
}
