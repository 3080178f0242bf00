//! The index of the API: every path, and what answers there.

mod dashboards;
mod health;
mod ingestions;
mod metrics;
mod problems;
mod resource;
mod results;

use actix_web::http::Method;
use actix_web::web;

use self::resource::resource;
use crate::edge;

/// Adds every route. `HEAD`, `OPTIONS` and the refusal of other methods follow from what is named here.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(resource("/health").on(Method::GET, health::get_health))
        .service(resource("/health/ready").on(Method::GET, health::get_readiness))
        .service(resource("/metrics").on(Method::GET, metrics::list_metrics).on(Method::POST, metrics::create_metric))
        .service(
            resource("/metrics/{metric_id}")
                .on(Method::GET, metrics::get_metric)
                .on(Method::PATCH, metrics::update_metric)
                .on(Method::DELETE, metrics::delete_metric),
        )
        .service(resource("/metrics/{metric_id}/definition").on(Method::GET, metrics::get_metric_definition))
        .service(resource("/metrics/{metric_id}/restore").on(Method::POST, metrics::restore_metric))
        .service(resource("/metrics/{metric_id}/history").on(Method::GET, metrics::list_metric_history))
        .service(resource("/dashboards").on(Method::GET, dashboards::list_dashboards))
        .service(resource("/dashboards/{dashboard_id}").on(Method::GET, dashboards::get_dashboard))
        .service(resource("/dashboards/{dashboard_id}/results").on(Method::GET, dashboards::get_dashboard_results))
        .service(resource("/results").on(Method::GET, results::get_results))
        .service(resource("/ingestions").on(Method::POST, ingestions::create_ingestion))
        .service(resource("/ingestions/{ingestion_id}").on(Method::GET, ingestions::get_ingestion))
        .service(resource("/problems").on(Method::GET, problems::list_problems))
        .service(resource("/problems/{code}").on(Method::GET, problems::get_problem))
        .default_service(web::to(edge::not_found));
}
