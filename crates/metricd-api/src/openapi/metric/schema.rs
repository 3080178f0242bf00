//! The schemas of a metric's rows, and of a dashboard's results.

use metricd_domain::Contract;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, Type};

use crate::results::column_schema::value_schema;
use crate::routes::results::{entry_schema, results_schema};

/// A row of the metric: each column with its type. Any row, where PostgreSQL has not been asked.
pub(super) fn row_schema(contract: Option<&Contract>) -> Schema {
    let row = ObjectBuilder::new().schema_type(Type::Object);
    let Some(contract) = contract else {
        return row.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true))).into();
    };
    let row = contract.columns.iter().fold(row, |row, column| {
        row.property(
            &column.name,
            value_schema(&column.type_name, column.description.as_deref(), contract.labels(&column.type_name)),
        )
        .required(&column.name)
    });
    row.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false))).into()
}

/// The results of these metrics in their order: each with the name of its result's schema, unless it is out of service.
pub(super) fn results_of<'a>(entries: impl Iterator<Item = (&'a str, Option<String>)>) -> Schema {
    let entries =
        entries.map(|(id, result)| entry_schema(Some(id), result.map(|name| Ref::from_schema_name(name).into())));
    let entries: Vec<_> = entries.collect();
    let count = entries.len();
    // `"items": false` would say the same as the number of items, but openapi-python-client takes no schema that is a boolean.
    let tuple = ArrayBuilder::new().prefix_items(entries);
    results_schema(tuple.min_items(Some(count)).max_items(Some(count)).into())
}
