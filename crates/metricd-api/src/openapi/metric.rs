//! Documents of stored metrics: operations of the API, narrowed by each metric's contract.

mod argument;
mod schema;
mod selection;

use std::collections::BTreeMap;

use metricd_domain::{Contract, DashboardId, MetricDefinition, Period, TIME_ZONE};
use metricd_execution::{MetricStatement, is_period};
use serde::Serialize;
use utoipa::PartialSchema;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::{Components, Schema};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Paths, Ref, RefOr, Required};

use self::argument::parameter;
use self::schema::{results_of, row_schema};
use super::api;
use crate::extract::selection::SELECTION_PARAMETERS;
use crate::results::document::result_schema;

/// A document to which metrics are added.
pub(super) struct MetricDocument {
    paths: Paths,
    /// The schemas of the metrics; those of the API are added at the end.
    schemas: BTreeMap<String, RefOr<Schema>>,
}

impl MetricDocument {
    pub(super) fn new() -> Self {
        Self { paths: Paths::new(), schemas: BTreeMap::new() }
    }

    /// Adds the operation of a metric.
    pub(super) fn add_metric(&mut self, definition: &MetricDefinition) {
        let id = &definition.metric.metric_id;
        let Some(mut operation) = operation_of("/metrics/{metric_id}") else { return };
        operation.operation_id = Some(format!("get_metric_{id}"));
        operation.summary = Some(definition.title().to_owned());
        let own = definition.display_text.description.as_ref().map(|text| text.as_str().to_owned());
        operation.description = Some(own.into_iter().chain(operation.description).collect::<Vec<_>>().join("\n\n"));
        let own = parameters(definition);
        let general = operation.parameters.take().unwrap_or_default();
        let general = general.into_iter().filter(|parameter| is_kept(parameter, definition, &own));
        let general = general.filter_map(|parameter| match (parameter, &definition.contract) {
            (RefOr::T(parameter), Some(contract)) => selection::narrowed(parameter, contract).map(RefOr::T),
            (parameter, _) => Some(parameter),
        });
        operation.parameters = Some(own.iter().cloned().map(RefOr::T).chain(general).collect());

        let (row, result) = (row_name(definition), result_name(definition));
        self.schemas.insert(row.clone(), RefOr::T(row_schema(definition.contract.as_ref())));
        let schema = result_schema(Some(id.as_str()), Ref::from_schema_name(row).into());
        self.schemas.insert(result.clone(), RefOr::T(schema));
        set_result_schema(&mut operation, &Ref::from_schema_name(result).into());
        self.add(&format!("/metrics/{id}"), operation);
    }

    /// Adds the operation for the results of a dashboard. Its definitions must have been added; `None` is a deleted
    /// metric.
    pub(super) fn add_dashboard(&mut self, id: &DashboardId, name: &str, items: &[(&str, Option<&MetricDefinition>)]) {
        let Some(mut operation) = operation_of("/dashboards/{dashboard_id}/results") else { return };
        operation.operation_id = Some(format!("get_dashboard_results_{id}"));
        operation.summary = Some(format!("{name}: all results"));
        let general = operation.parameters.take().unwrap_or_default();
        let general = general
            .into_iter()
            .filter(|general| !["dashboard_id", "numbers", "parameters"].contains(&name_of(general)));
        operation.parameters = Some(general.chain(shared_parameters(items)).collect());
        let entries = items.iter().map(|(id, definition)| (*id, definition.map(result_name)));
        set_result_schema(&mut operation, &RefOr::T(results_of(entries)));
        self.add(&format!("/dashboards/{id}/results"), operation);
    }

    fn add(&mut self, path: &str, operation: Operation) {
        let mut item = PathItem::default();
        item.get = Some(operation);
        self.paths.paths.insert(path.to_owned(), item);
    }

    /// The document, with the components of the API that it uses.
    pub(super) fn finish(self, title: &str, version: &str) -> OpenApi {
        let mut components = api().components.clone().unwrap_or_default();
        components.schemas.extend(self.schemas);
        remove_write_problems(&mut components);
        let info = InfoBuilder::new().title(title).version(version).license(api().info.license.clone());
        let builder = OpenApiBuilder::new().info(info.build()).servers(api().servers.clone());
        let mut document = builder.paths(self.paths).components(Some(components)).build();
        remove_unused_components(&mut document);
        document
    }
}

/// The API's operation on this path.
fn operation_of(path: &str) -> Option<Operation> {
    api().paths.paths.get(path)?.get.clone()
}

/// Sets the schema of the successful response.
fn set_result_schema(operation: &mut Operation, schema: &RefOr<Schema>) {
    let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") else { return };
    for (media_type, content) in &mut response.content {
        let RefOr::T(content) = content else { continue };
        // The examples are of another metric.
        content.examples.clear();
        if media_type == "application/json" {
            content.schema = Some(schema.clone());
        }
    }
}

/// The metric's own parameters.
fn parameters(definition: &MetricDefinition) -> Vec<Parameter> {
    let statement = MetricStatement::of(definition).ok();
    let known = statement.iter().flat_map(MetricStatement::parameters);
    known.map(|(name, type_name, required)| parameter(definition, name, type_name.as_deref(), required)).collect()
}

/// The parameters of a dashboard's metrics. Each metric gets those that it has; a metric without a required value has a
/// problem among the results.
fn shared_parameters(items: &[(&str, Option<&MetricDefinition>)]) -> Vec<RefOr<Parameter>> {
    let mut shared: BTreeMap<String, Parameter> = BTreeMap::new();
    for (id, definition) in items {
        let own = definition.map(parameters).unwrap_or_default();
        for mut parameter in
            own.into_iter().filter(|parameter| !is_period(&parameter.name) && parameter.name != TIME_ZONE)
        {
            let described = format!("Of `{id}`: {}", parameter.description.take().unwrap_or_default());
            let Some(known) = shared.get_mut(&parameter.name) else {
                parameter.required = Required::False;
                parameter.description = Some(described);
                shared.insert(parameter.name.clone(), parameter);
                continue;
            };
            // Metrics that share a name may have different schemas.
            known.schema = known.schema.take().filter(|schema| parameter.schema.as_ref() == Some(schema));
            known.schema.get_or_insert_with(String::schema);
            known.description = known.description.take().map(|known| format!("{known}\n\n{described}"));
        }
    }
    shared.into_values().map(RefOr::T).collect()
}

/// Whether the metric has this parameter of every metric.
fn is_kept(general: &RefOr<Parameter>, definition: &MetricDefinition, own: &[Parameter]) -> bool {
    let name = name_of(general);
    match name {
        // The schema of the rows describes numbers.
        "metric_id" | "parameters" | "numbers" => false,
        name if is_period(name) => {
            let period = definition.contract.as_ref().map(Contract::current_period);
            let is_applied = matches!(period.as_deref(), Some(Period::Narrowed(_) | Period::Result(_)));
            is_applied && !own.iter().any(|parameter| parameter.name == name)
        }
        TIME_ZONE => !own.iter().any(|parameter| parameter.name == name),
        // Without a contract, no column is known.
        name if SELECTION_PARAMETERS.contains(&name) => {
            definition.contract.is_some() && !own.iter().any(|parameter| parameter.name == name)
        }
        _ => true,
    }
}

fn name_of(parameter: &RefOr<Parameter>) -> &str {
    match parameter {
        RefOr::T(parameter) => &parameter.name,
        RefOr::Ref(_) => "",
    }
}

/// The name of the row schema.
fn row_name(definition: &MetricDefinition) -> String {
    format!("{}-row", definition.metric.metric_id)
}

/// The name of the result schema.
fn result_name(definition: &MetricDefinition) -> String {
    format!("{}-result", definition.metric.metric_id)
}

/// Removes problem members of writing requests and of health checks, and with them the schemas of reports and findings.
fn remove_write_problems(components: &mut Components) {
    if let Some(RefOr::T(Schema::Object(problem))) = components.schemas.get_mut("Problem") {
        problem.properties.retain(|member, _| !["findings", "report", "checks"].contains(&member.as_str()));
    }
}

/// Removes components without references.
fn remove_unused_components(document: &mut OpenApi) {
    let Some(mut kept) = document.components.take() else { return };
    let mut schemas = std::mem::take(&mut kept.schemas);
    let mut responses = std::mem::take(&mut kept.responses);
    let mut examples = std::mem::take(&mut kept.examples);
    let mut text = serde_json::to_string(&*document).unwrap_or_default();
    while !text.is_empty() {
        text = take_referenced("responses", &text, &mut responses, &mut kept.responses)
            + &take_referenced("schemas", &text, &mut schemas, &mut kept.schemas)
            + &take_referenced("examples", &text, &mut examples, &mut kept.examples);
    }
    document.components = Some(kept);
}

/// Moves the referenced components of one kind, and returns what they reference.
fn take_referenced<T: Serialize>(
    kind: &str,
    text: &str,
    rest: &mut BTreeMap<String, T>,
    kept: &mut BTreeMap<String, T>,
) -> String {
    let is_referenced = |name: &str| text.contains(&format!("\"#/components/{kind}/{name}\""));
    let all = std::mem::take(rest).into_iter();
    let (used, unused): (BTreeMap<_, _>, _) = all.partition(|(name, _)| is_referenced(name));
    *rest = unused;
    let text = if used.is_empty() { String::new() } else { serde_json::to_string(&used).unwrap_or_default() };
    kept.extend(used);
    text
}

#[cfg(test)]
mod tests {
    use metricd_domain::{ParameterDeclaration, Parameters, SqlText};
    use metricd_repository::contract::metric;
    use serde_json::json;

    use super::*;

    fn definition(id: &str, type_name: &str) -> MetricDefinition {
        let mut metric = metric(id, "q1");
        metric.parameters =
            Parameters::new([ParameterDeclaration::new("kind", type_name).try_into().unwrap()]).unwrap();
        MetricDefinition::new(metric, SqlText::parse("SELECT :kind AS kind").unwrap(), None)
    }

    #[test]
    fn a_dashboard_has_the_parameters_of_its_metrics() {
        let (one, two, three) =
            (definition("one", "integer"), definition("two", "integer"), definition("three", "text"));
        let kind = |items: &[(&str, Option<&MetricDefinition>)]| {
            let shared = shared_parameters(items);
            assert_eq!(shared.len(), 1);
            serde_json::to_value(&shared[0]).unwrap()
        };
        let alike = kind(&[("one", Some(&one)), ("two", Some(&two)), ("gone", None)]);
        assert_eq!((&alike["required"], &alike["schema"]["type"]), (&json!(false), &json!("integer")));
        assert!(alike["description"].as_str().unwrap().contains("Of `two`"), "{alike}");
        assert_eq!(kind(&[("one", Some(&one)), ("three", Some(&three))])["schema"], json!({"type": "string"}));
    }
}
