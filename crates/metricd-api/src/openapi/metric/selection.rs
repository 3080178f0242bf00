//! The sort and the filters of a metric, by the columns of its contract.

use metricd_domain::Contract;
use metricd_execution::{FILTER, SORT, SelectableColumn, Selection};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};

/// Narrows a parameter of every metric to the columns of this one. `None` if no column can be selected by.
pub(super) fn narrowed(mut parameter: Parameter, contract: &Contract) -> Option<Parameter> {
    let columns = Selection::columns(contract);
    match parameter.name.as_str() {
        SORT => {
            let keys = columns
                .iter()
                .filter(|column| column.is_sortable)
                .flat_map(|SelectableColumn { name, .. }| [name.clone(), format!("-{name}")]);
            let keys: Vec<_> = keys.collect();
            let count = columns.iter().filter(|column| column.is_sortable).count();
            let key = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(keys));
            let schema = ArrayBuilder::new().items(key).min_items(Some(1)).max_items(Some(count)).unique_items(true);
            parameter.schema = (count > 0).then(|| RefOr::T(Schema::Array(schema.build())));
            (count > 0).then_some(parameter)
        }
        FILTER => {
            let operators: Vec<_> = columns
                .iter()
                .map(|SelectableColumn { name, operators, .. }| format!("- `{name}`: {}", operators.join(", ")))
                .collect();
            let general = parameter.description.take().unwrap_or_default();
            parameter.description =
                Some(format!("{general}\n\nThe columns and their operators:\n\n{}", operators.join("\n")));
            (!columns.is_empty()).then_some(parameter)
        }
        _ => Some(parameter),
    }
}
