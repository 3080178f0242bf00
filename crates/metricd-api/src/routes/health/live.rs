//! `GET /health`

use actix_web::{HttpResponse, Responder};
use serde::Serialize;

#[derive(Serialize)]
struct HealthResponse {
    status: &'static str,
}

/// Says that the process lives; touches nothing else.
pub(in crate::routes) async fn get_health() -> impl Responder {
    HttpResponse::Ok().json(HealthResponse { status: "ok" })
}
