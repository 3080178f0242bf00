//! The Arrow schema of a result, with what the metric says about it as metadata.

use std::collections::HashMap;

use arrow_schema::{Field, Schema};
use metricd_execution::{Column, DeclaredDigits, FieldType, ResultHead};

use super::column::ColumnBuilder;

/// The metadata of a field: the type in PostgreSQL.
const TYPE_KEY: &str = "postgresql.type";

/// The metadata of a field: the description of the column.
const DESCRIPTION_KEY: &str = "description";

/// The schema of these columns.
pub(super) fn schema(head: &ResultHead, columns: &[Column], builders: &[ColumnBuilder]) -> Schema {
    let fields = columns.iter().zip(builders).map(|(column, builder)| {
        let description = head.descriptions.get(&column.name).cloned();
        let described = description.map(|text| (DESCRIPTION_KEY.to_owned(), text));
        let metadata = described.into_iter().chain([(TYPE_KEY.to_owned(), type_name(column))]);
        Field::new(&column.name, builder.data_type(), true).with_metadata(metadata.collect::<HashMap<_, _>>())
    });
    Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata(head).collect::<HashMap<_, _>>())
}

/// The metadata of the file.
pub(super) fn metadata(head: &ResultHead) -> impl Iterator<Item = (String, String)> {
    let ResultHead { metric_id, title, query_id, query_version, .. } = head;
    let entries = [
        ("metricd.metric_id", metric_id.clone()),
        ("metricd.title", title.clone()),
        ("metricd.query_id", query_id.clone()),
        ("metricd.query_version", query_version.to_string()),
    ];
    entries.into_iter().map(|(key, value)| (key.to_owned(), value))
}

/// The name of the type, with the digits that a `numeric` declares.
fn type_name(column: &Column) -> String {
    let (numeric, suffix) = match &column.field_type {
        FieldType::Array(element) => (element.as_ref(), "[]"),
        field_type => (field_type, ""),
    };
    match numeric {
        FieldType::Numeric(Some(DeclaredDigits { precision, scale })) => {
            format!("numeric({precision},{scale}){suffix}")
        }
        _ => column.type_name.clone(),
    }
}
