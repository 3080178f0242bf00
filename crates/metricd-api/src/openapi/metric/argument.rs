//! A metric's own parameters.

use std::fmt::Write;

use metricd_domain::{MetricDefinition, ParameterDeclaration};
use serde_json::Value;
use utoipa::Number;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

/// The parameter of the metric with this name, as the definition declares it, or as PostgreSQL has inferred it.
pub(super) fn parameter(
    definition: &MetricDefinition,
    name: &str,
    type_name: Option<&str>,
    is_required: bool,
) -> Parameter {
    let declared = definition.metric.parameters.iter().find(|parameter| parameter.name().as_str() == name);
    let declared = declared.cloned().map(ParameterDeclaration::from);
    let type_name = declared.as_ref().map(|declared| declared.r#type.as_str()).or(type_name).unwrap_or("text");
    let (schema, is_array) = match type_name.strip_suffix("[]") {
        Some(element) => {
            (Schema::from(ArrayBuilder::new().items(scalar(element, declared.as_ref(), true)).build()), true)
        }
        None => (Schema::from(scalar(type_name, declared.as_ref(), false).build()), false),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(if is_required { Required::True } else { Required::False })
        .description(Some(description(type_name, declared.as_ref())))
        // Elements stand between commas.
        .style(is_array.then_some(ParameterStyle::Form))
        .explode(is_array.then_some(false))
        .schema(Some(schema))
        .build()
}

/// What JSON schemas cannot say stands in words.
fn description(type_name: &str, declared: Option<&ParameterDeclaration>) -> String {
    let mut description = format!("PostgreSQL's `{type_name}`.");
    let Some(declared) = declared else { return description };
    let bounds = [("At least", &declared.min), ("At most", &declared.max)];
    for (words, bound) in bounds {
        if let Some(bound) = bound {
            let _ = write!(description, " {words} {}.", text(bound));
        }
    }
    description
}

/// A single value, or an element of an array; a default is that of the whole.
fn scalar(type_name: &str, declared: Option<&ParameterDeclaration>, is_element: bool) -> ObjectBuilder {
    let text_of = |format: KnownFormat| {
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format)))
    };
    let schema = match type_name {
        "integer" => {
            ObjectBuilder::new().schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
        }
        "bigint" => {
            ObjectBuilder::new().schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        }
        "numeric" => ObjectBuilder::new().schema_type(Type::Number),
        "boolean" => ObjectBuilder::new().schema_type(Type::Boolean),
        "date" => text_of(KnownFormat::Date),
        "uuid" => text_of(KnownFormat::Uuid),
        _ => ObjectBuilder::new().schema_type(Type::String),
    };
    let Some(declared) = declared else { return schema };
    let schema = schema
        .enum_values(declared.allowed.clone())
        .minimum(declared.min.as_ref().and_then(number))
        .maximum(declared.max.as_ref().and_then(number));
    if is_element { schema } else { schema.default(declared.default.clone()) }
}

/// The value as a number, where it is one.
fn number(value: &Value) -> Option<Number> {
    let integer = value.as_i64().and_then(|value| isize::try_from(value).ok()).map(Number::Int);
    integer.or_else(|| value.as_f64().map(Number::Float))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
