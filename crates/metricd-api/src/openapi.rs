//! The OpenAPI documents: of the API, and of stored metrics, typed by their contracts.
//!
//! Handlers describe their own parameters and responses. This module adds what all operations share: the responses and
//! headers of the middleware. The examples are recorded responses of a server.

mod examples;
mod finish;
mod metric;

use std::sync::LazyLock;

use metricd_domain::{Dashboard, MetricDefinition, MetricId};
use utoipa::openapi::OpenApi;

use self::metric::MetricDocument;
use crate::problem::ProblemSchema;
use crate::routes;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The document of the API without operations.
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
        (name = "tables", description = "What SQL may read, and the tables that files made."),
        (name = "ingestions", description = "Validate and store files of definitions, SQL and data."),
        (name = "documents", description = "Documentation of the API."),
        (name = "health", description = "Liveness and readiness."),
        (name = "problems", description = "The codes of problems."),
    ),
    components(schemas(ProblemSchema)),
)]
struct ApiInfo;

/// The document of the API, as JSON.
#[must_use]
pub fn api_document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| json(api()));
    &DOCUMENT
}

/// The document of a stored metric, as JSON: the operation that runs it, with its parameters and the columns of its
/// rows.
#[must_use]
pub fn metric_document(definition: &MetricDefinition) -> String {
    let mut document = MetricDocument::new();
    document.add_metric(definition);
    json(&document.finish(definition.title(), &definition.version.to_string()))
}

/// The document of a dashboard, as JSON: its results in one call, and the operation of each metric. `definitions` are
/// the stored ones of its metrics; a deleted metric has no operation.
#[must_use]
pub fn dashboard_document(dashboard: &Dashboard, definitions: &[&MetricDefinition]) -> String {
    let (name, items) = (dashboard.name().as_str(), dashboard.items());
    let is_of = |definition: &&MetricDefinition, id: &MetricId| {
        definition.metric.metric_id == *id && definition.deleted_at.is_none()
    };
    let of = |id: &MetricId| definitions.iter().copied().find(|definition| is_of(definition, id));
    let items: Vec<_> = items.iter().map(|item| (item.metric_id.as_str(), of(&item.metric_id))).collect();
    let mut document = MetricDocument::new();
    document.add_dashboard(dashboard.id(), name, &items);
    for (_, definition) in &items {
        if let Some(definition) = definition {
            document.add_metric(definition);
        }
    }
    json(&document.finish(name, VERSION))
}

/// The document of the API: every operation of the index, with examples and shared responses.
fn api() -> &'static OpenApi {
    static API: LazyLock<OpenApi> = LazyLock::new(|| {
        let mut api = <ApiInfo as utoipa::OpenApi>::openapi();
        VERSION.clone_into(&mut api.info.version);
        for operation in routes::operations() {
            let (scope, mut document) = operation.into_document();
            finish::add_common(&mut document, scope);
            api.merge(document);
        }
        examples::add(&mut api);
        finish::add_components(&mut api);
        api
    });
    &API
}

fn json(api: &OpenApi) -> String {
    // Infallible: the keys are strings, and every value can be serialized.
    serde_json::to_string_pretty(api).unwrap_or_default()
}
