//! The index of the API: every operation with its scope.

mod changes;
mod dashboards;
mod documents;
pub(crate) mod health;
mod ingestions;
pub(crate) mod metrics;
mod operation;
mod problems;
mod resource;
pub(crate) mod results;
mod tables;

use actix_web::web;
use metricd_access::Scope;

pub(crate) use self::operation::declared_operations;
use self::operation::{Operation, operation};
use self::resource::PathResource;
use crate::middleware;

/// Adds every route. `HEAD`, `OPTIONS` and the refusal of other methods follow from the index.
pub fn configure(config: &mut web::ServiceConfig) {
    for resource in PathResource::group(operations()) {
        config.service(resource);
    }
    config.default_service(web::to(middleware::not_found));
}

/// Every operation, in the order of the OpenAPI document: the scope that a token needs, and the handler, whose
/// `#[utoipa::path]` declares method and path.
pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation!(Scope::Read, metrics::list::list_metrics),
        operation!(Scope::Write, metrics::create::create_metric),
        operation!(Scope::Read, metrics::get::get_metric),
        operation!(Scope::Write, metrics::update::update_metric),
        operation!(Scope::Write, metrics::delete::delete_metric),
        operation!(Scope::Read, metrics::get_definition::get_metric_definition),
        operation!(Scope::Write, metrics::restore::restore_metric),
        operation!(Scope::Read, metrics::history::list_metric_history),
        operation!(Scope::Read, documents::metric::get_metric_openapi),
        operation!(Scope::Read, results::get_results),
        operation!(Scope::Read, dashboards::list::list_dashboards),
        operation!(Scope::Read, dashboards::get::get_dashboard),
        operation!(Scope::Read, dashboards::results::get_dashboard_results),
        operation!(Scope::Read, documents::dashboard::get_dashboard_openapi),
        operation!(Scope::Read, tables::list::list_tables),
        operation!(Scope::Read, tables::get::get_table),
        operation!(Scope::Ingest, tables::delete::delete_table),
        operation!(Scope::Read, tables::history::list_table_history),
        operation!(Scope::Ingest, ingestions::create::create_ingestion),
        operation!(Scope::Ingest, ingestions::get::get_ingestion),
        operation!(None, documents::api::get_openapi),
        operation!(None, documents::docs::get_docs),
        operation!(None, documents::docs::get_docs_file),
        operation!(None, problems::list::list_problems),
        operation!(None, problems::get::get_problem),
        operation!(None, health::live::get_health),
        operation!(None, health::ready::get_readiness),
    ]
}
