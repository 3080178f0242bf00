//! JSON schemas of PostgreSQL's types.

use serde_json::Value;
use utoipa::openapi::schema::{
    AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};

/// The JSON schema of a value of the type. Every schema allows `null`, since any expression may be NULL.
/// `docs/results.md` describes the same mapping.
pub(crate) fn value_schema(type_name: &str, description: Option<&str>, labels: Option<&[String]>) -> Schema {
    let named = match description {
        Some(description) => format!("{description}\n\nPostgreSQL's `{type_name}`."),
        None => format!("PostgreSQL's `{type_name}`."),
    };
    match type_name.strip_suffix("[]") {
        Some(element) => array(element, labels).description(Some(named)).into(),
        None => match type_name {
            _ if labels.is_some() => label(labels.unwrap_or_default()).description(Some(named)).into(),
            "numeric" | "real" | "double precision" => number(type_name).description(Some(named)).into(),
            "date" => date_or_timestamp(KnownFormat::Date, &named).into(),
            "timestamp with time zone" => date_or_timestamp(KnownFormat::DateTime, &named).into(),
            _ => scalar(type_name).description(Some(named)).into(),
        },
    }
}

/// PostgreSQL does not report the number of dimensions, so elements may be arrays.
fn array(element: &str, labels: Option<&[String]>) -> ArrayBuilder {
    let inner = ArrayBuilder::new().items(ObjectBuilder::new().schema_type(SchemaType::AnyValue));
    let element = AnyOfBuilder::new().item(value_schema(element, None, labels)).item(inner);
    ArrayBuilder::new().schema_type(SchemaType::Array(vec![Type::Array, Type::Null])).items(element)
}

/// `NaN` and the infinities are strings, since JSON has no numbers for them.
fn number(type_name: &str) -> AnyOfBuilder {
    let infinities = ["NaN", "Infinity", "-Infinity"];
    let format = match type_name {
        "real" => Some(SchemaFormat::KnownFormat(KnownFormat::Float)),
        "double precision" => Some(SchemaFormat::KnownFormat(KnownFormat::Double)),
        _ => None,
    };
    AnyOfBuilder::new()
        .item(or_null(Type::Number).format(format))
        .item(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(infinities)))
}

/// A date or timestamp, or an infinity.
fn date_or_timestamp(format: KnownFormat, named: &str) -> AnyOfBuilder {
    let infinities = ["infinity", "-infinity"];
    let described = format!("{named} Years before 1 and after 9999 are in PostgreSQL's text format.");
    AnyOfBuilder::new()
        .item(or_null(Type::String).format(Some(SchemaFormat::KnownFormat(format))))
        .item(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(infinities)))
        .description(Some(described))
}

fn scalar(type_name: &str) -> ObjectBuilder {
    let text = |format: KnownFormat| or_null(Type::String).format(Some(SchemaFormat::KnownFormat(format)));
    match type_name {
        "smallint" | "oid" => or_null(Type::Integer),
        "integer" => or_null(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32))),
        "bigint" => or_null(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64))),
        "boolean" => or_null(Type::Boolean),
        "uuid" => text(KnownFormat::Uuid),
        "bytea" => or_null(Type::String).content_encoding("base64"),
        "json" | "jsonb" => ObjectBuilder::new().schema_type(SchemaType::AnyValue),
        _ => or_null(Type::String),
    }
}

/// A label of an enum type.
fn label(labels: &[String]) -> ObjectBuilder {
    let values = labels.iter().map(|label| Value::from(label.as_str())).chain([Value::Null]);
    or_null(Type::String).enum_values(Some(values))
}

fn or_null(of: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Array(vec![of, Type::Null]))
}
