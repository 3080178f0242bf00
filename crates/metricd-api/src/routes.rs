//! The index of the API: every path with its handlers.

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
use metricd_access::Scope;

pub(crate) use self::api::Api;
use self::resource::{PathResource, resource};
use crate::middleware;

/// Adds every route. `HEAD`, `OPTIONS` and the refusal of other methods follow from this index.
pub fn configure(config: &mut web::ServiceConfig) {
    for resource in resources() {
        config.service(resource);
    }
    config.default_service(web::to(middleware::not_found));
}

/// The operations that need a scope: path, method and scope.
pub(crate) fn scopes() -> Vec<(String, Method, Scope)> {
    let of = |resource: PathResource| {
        let path = resource.path().to_owned();
        resource.scopes().into_iter().map(move |(method, scope)| (path.clone(), method, scope))
    };
    resources().into_iter().flat_map(of).collect()
}

/// Every path with its handlers, and the scope that a token needs.
fn resources() -> Vec<PathResource> {
    vec![
        resource("/health").open(Method::GET, health::get_health),
        resource("/health/ready").open(Method::GET, health::get_readiness),
        resource("/metrics").on(Method::GET, Scope::Read, metrics::list_metrics).on(
            Method::POST,
            Scope::Write,
            metrics::create_metric,
        ),
        resource("/metrics/{metric_id}")
            .on(Method::GET, Scope::Read, metrics::get_metric)
            .on(Method::PATCH, Scope::Write, metrics::update_metric)
            .on(Method::DELETE, Scope::Write, metrics::delete_metric),
        resource("/metrics/{metric_id}/definition").on(Method::GET, Scope::Read, metrics::get_metric_definition),
        resource("/metrics/{metric_id}/restore").on(Method::POST, Scope::Write, metrics::restore_metric),
        resource("/metrics/{metric_id}/history").on(Method::GET, Scope::Read, metrics::list_metric_history),
        resource("/metrics/{metric_id}/openapi.json").on(Method::GET, Scope::Read, documents::get_metric_openapi),
        resource("/results").on(Method::GET, Scope::Read, results::get_results),
        resource("/dashboards").on(Method::GET, Scope::Read, dashboards::list_dashboards),
        resource("/dashboards/{dashboard_id}").on(Method::GET, Scope::Read, dashboards::get_dashboard),
        resource("/dashboards/{dashboard_id}/results").on(Method::GET, Scope::Read, dashboards::get_dashboard_results),
        resource("/dashboards/{dashboard_id}/openapi.json").on(
            Method::GET,
            Scope::Read,
            documents::get_dashboard_openapi,
        ),
        resource("/ingestions").on(Method::POST, Scope::Ingest, ingestions::create_ingestion),
        resource("/ingestions/{ingestion_id}").on(Method::GET, Scope::Ingest, ingestions::get_ingestion),
        resource("/openapi.json").open(Method::GET, documents::get_openapi),
        resource("/docs").open(Method::GET, documents::get_docs),
        resource("/docs/{file}").open(Method::GET, documents::get_docs_file),
        resource("/problems").open(Method::GET, problems::list_problems),
        resource("/problems/{code}").open(Method::GET, problems::get_problem),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use utoipa::OpenApi;

    use super::*;

    #[test]
    fn every_served_operation_is_documented() {
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
