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
use crate::routes::Api;

const VERSION: &str = env!("CARGO_PKG_VERSION");

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

/// The document of the API with examples and shared responses.
fn api() -> &'static OpenApi {
    static API: LazyLock<OpenApi> = LazyLock::new(|| {
        let mut api = <Api as utoipa::OpenApi>::openapi();
        VERSION.clone_into(&mut api.info.version);
        examples::add(&mut api);
        finish::add_common(&mut api);
        api
    });
    &API
}

fn json(api: &OpenApi) -> String {
    // Infallible: the keys are strings, and every value can be serialized.
    serde_json::to_string_pretty(api).unwrap_or_default()
}
