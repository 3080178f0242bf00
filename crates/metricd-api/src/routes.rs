//! The index of the API: every path, and what answers there.

mod api;
mod dashboards;
mod documents;
pub(crate) mod health;
mod ingestions;
pub(crate) mod metrics;
mod problems;
mod resource;
pub(crate) mod results;

use actix_web::http::Method;
use actix_web::web;

pub(crate) use self::api::Api;
use self::resource::{PathResource, resource};
use crate::edge;

/// Adds every route. `HEAD`, `OPTIONS` and the refusal of other methods follow from what is named here.
pub fn configure(config: &mut web::ServiceConfig) {
    for resource in resources() {
        config.service(resource);
    }
    config.default_service(web::to(edge::not_found));
}

/// Every path, with what answers there.
fn resources() -> Vec<PathResource> {
    vec![
        resource("/health").on(Method::GET, health::get_health),
        resource("/health/ready").on(Method::GET, health::get_readiness),
        resource("/metrics").on(Method::GET, metrics::list_metrics).on(Method::POST, metrics::create_metric),
        resource("/metrics/{metric_id}")
            .on(Method::GET, metrics::get_metric)
            .on(Method::PATCH, metrics::update_metric)
            .on(Method::DELETE, metrics::delete_metric),
        resource("/metrics/{metric_id}/definition").on(Method::GET, metrics::get_metric_definition),
        resource("/metrics/{metric_id}/restore").on(Method::POST, metrics::restore_metric),
        resource("/metrics/{metric_id}/history").on(Method::GET, metrics::list_metric_history),
        resource("/metrics/{metric_id}/openapi.json").on(Method::GET, documents::get_metric_openapi),
        resource("/results").on(Method::GET, results::get_results),
        resource("/dashboards").on(Method::GET, dashboards::list_dashboards),
        resource("/dashboards/{dashboard_id}").on(Method::GET, dashboards::get_dashboard),
        resource("/dashboards/{dashboard_id}/results").on(Method::GET, dashboards::get_dashboard_results),
        resource("/dashboards/{dashboard_id}/openapi.json").on(Method::GET, documents::get_dashboard_openapi),
        resource("/ingestions").on(Method::POST, ingestions::create_ingestion),
        resource("/ingestions/{ingestion_id}").on(Method::GET, ingestions::get_ingestion),
        resource("/openapi.json").on(Method::GET, documents::get_openapi),
        resource("/docs").on(Method::GET, documents::get_docs),
        resource("/docs/{file}").on(Method::GET, documents::get_docs_file),
        resource("/problems").on(Method::GET, problems::list_problems),
        resource("/problems/{code}").on(Method::GET, problems::get_problem),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use utoipa::OpenApi;

    use super::*;

    #[test]
    fn what_is_served_is_what_is_documented() {
        let served: BTreeMap<_, _> =
            resources().iter().map(|resource| (resource.path().to_owned(), resource.methods())).collect();
        let documented: BTreeMap<_, Vec<String>> = Api::openapi()
            .paths
            .paths
            .into_iter()
            .map(|(path, item)| {
                let methods = [("GET", item.get), ("POST", item.post), ("PATCH", item.patch), ("DELETE", item.delete)];
                let methods = methods.into_iter().filter_map(|(method, of)| of.map(|_| method.to_owned())).collect();
                (path, methods)
            })
            .collect();
        assert_eq!(served, documented);
    }
}
