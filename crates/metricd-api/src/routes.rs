//! The index of the API: every path, and what answers there.

mod health;
mod ingestions;
mod metrics;

use actix_web::{HttpResponse, Resource, Responder, guard, web};

use crate::{Problem, ProblemCode, edge};

/// Adds every route.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(get("/health", health::get_health))
        .service(get("/health/ready", health::get_readiness))
        .service(get("/metrics/{metric_id}", metrics::get_metric))
        .service(get("/metrics/{metric_id}/definition", metrics::get_metric_definition))
        .service(get("/ingestions/{ingestion_id}", ingestions::get_ingestion))
        .default_service(web::to(edge::not_found));
}

/// A path that is only read.
fn get<F, Args>(path: &str, handler: F) -> Resource
where
    F: actix_web::Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let read = guard::Any(guard::Get()).or(guard::Head());
    web::resource(path).route(web::route().guard(read).to(handler)).default_service(web::to(method_not_allowed))
}

async fn method_not_allowed() -> Result<HttpResponse, Problem> {
    Err(Problem::new(ProblemCode::MethodNotAllowed).allowing("GET, HEAD"))
}
