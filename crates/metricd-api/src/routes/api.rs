//! The index of the API for its OpenAPI document. A test compares it with [`resources`](super::resources).

use crate::problem::ProblemSchema;

/// The API, as its handlers' attributes describe it.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "metricd",
        description = "Stored SQL as metrics: run a metric by its id, and get typed JSON.\n\n\
            Every path with `GET` also supports `HEAD`, and every path `OPTIONS`. Errors are problem documents (RFC 9457); the tag \
            `problems` lists their codes.\n\n\
            This document describes the API for any metric. `/metrics/{metric_id}/openapi.json` and \
            `/dashboards/{dashboard_id}/openapi.json` describe stored metrics by their contracts, with the parameters of each and \
            the columns of its rows: generate typed clients from those.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/")),
    tags(
        (name = "results", description = "Run metrics and get their rows."),
        (name = "definitions", description = "Read and change definitions: SQL, contract and history."),
        (name = "dashboards", description = "Groups of metrics with layouts."),
        (name = "ingestions", description = "Validate and store files of definitions, SQL and data."),
        (name = "documents", description = "Documentation of the API."),
        (name = "health", description = "Liveness and readiness."),
        (name = "problems", description = "The codes of problems."),
    ),
    paths(
        super::metrics::list::list_metrics,
        super::metrics::create::create_metric,
        super::metrics::get::get_metric,
        super::metrics::update::update_metric,
        super::metrics::delete::delete_metric,
        super::metrics::get_definition::get_metric_definition,
        super::metrics::restore::restore_metric,
        super::metrics::history::list_metric_history,
        super::documents::metric::get_metric_openapi,
        super::results::get_results,
        super::dashboards::list::list_dashboards,
        super::dashboards::get::get_dashboard,
        super::dashboards::results::get_dashboard_results,
        super::documents::dashboard::get_dashboard_openapi,
        super::ingestions::create::create_ingestion,
        super::ingestions::get::get_ingestion,
        super::documents::api::get_openapi,
        super::documents::docs::get_docs,
        super::documents::docs::get_docs_file,
        super::problems::list::list_problems,
        super::problems::get::get_problem,
        super::health::live::get_health,
        super::health::ready::get_readiness,
    ),
    components(schemas(ProblemSchema)),
)]
pub(crate) struct Api;
