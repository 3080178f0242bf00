//! Schemas of a metric's rows and of a dashboard's results.

use metricd_domain::{Contract, ContractColumn};
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, Type};

use crate::results::column_schema::value_schema;
use crate::routes::results::{entry_schema, results_schema};

/// The schema of the metric's rows: its columns with their types. Any row without a contract.
pub(super) fn row_schema(contract: Option<&Contract>) -> Schema {
    let row = ObjectBuilder::new().schema_type(Type::Object);
    let Some(contract) = contract else {
        return row.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true))).into();
    };
    let row = contract.columns().iter().fold(row, |row, column| {
        let schema =
            value_schema(&column.type_name, description(column).as_deref(), contract.labels(&column.type_name));
        row.property(&column.name, schema).required(&column.name)
    });
    row.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false))).into()
}

/// The comment of a column, and what it references.
fn description(column: &ContractColumn) -> Option<String> {
    let targets: Vec<_> = column.references.iter().map(|target| format!("`{target}`")).collect();
    let references = (!targets.is_empty()).then(|| format!("References {}.", targets.join(" and ")));
    let parts: Vec<_> = column.description.clone().into_iter().chain(references).collect();
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

/// The results of these metrics in order, each with the name of its result schema; `None` for a deleted metric.
pub(super) fn results_of<'a>(entries: impl Iterator<Item = (&'a str, Option<String>)>) -> Schema {
    let entries =
        entries.map(|(id, result)| entry_schema(Some(id), result.map(|name| Ref::from_schema_name(name).into())));
    let entries: Vec<_> = entries.collect();
    let count = entries.len();
    // `"items": false` would express the same as the number of items, but openapi-python-client does not accept boolean
    // schemas.
    let tuple = ArrayBuilder::new().prefix_items(entries);
    results_schema(tuple.min_items(Some(count)).max_items(Some(count)).into())
}
