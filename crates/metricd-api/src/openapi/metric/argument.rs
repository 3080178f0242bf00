//! A metric's own parameters.

use std::fmt::Write;

use metricd_domain::{MetricDefinition, ParameterDeclaration};
use serde_json::Value;
use utoipa::Number;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

/// The metric's parameter with this name, as declared, or with the type that PostgreSQL inferred.
pub(super) fn parameter(
    definition: &MetricDefinition,
    name: &str,
    type_name: Option<&str>,
    is_required: bool,
) -> Parameter {
    let declared = definition.metric.parameters.iter().find(|parameter| parameter.name().as_str() == name);
    let declared = declared.cloned().map(ParameterDeclaration::from);
    let type_name = declared.as_ref().map(|declared| declared.r#type.as_str()).or(type_name).unwrap_or("text");
    let default = declared.as_ref().and_then(|declared| declared.default.clone());
    let labels = definition.contract.as_ref().and_then(|contract| contract.labels(type_name));
    let element = type_name.strip_suffix("[]");
    let schema = match element {
        Some(element) => {
            Schema::from(ArrayBuilder::new().items(scalar(element, declared.as_ref(), labels)).default(default))
        }
        None => Schema::from(scalar(type_name, declared.as_ref(), labels).default(default)),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(if is_required { Required::True } else { Required::False })
        .description(Some(description(type_name, declared.as_ref())))
        .style(element.map(|_| ParameterStyle::Form))
        .explode(element.map(|_| false))
        .schema(Some(schema))
        .build()
}

/// Describes what a JSON schema cannot express.
fn description(type_name: &str, declared: Option<&ParameterDeclaration>) -> String {
    let mut description = format!("PostgreSQL's `{type_name}`.");
    if type_name.ends_with("[]") {
        description += " Elements are separated by commas; use a JSON array if one contains a comma: `[\"a,b\"]`.";
    }
    let Some(declared) = declared else { return description };
    let bounds = [("At least", &declared.min), ("At most", &declared.max)];
    for (words, bound) in bounds {
        if let Some(bound) = bound {
            let _ = write!(description, " {words} {}.", text(bound));
        }
    }
    description
}

/// A single value, or an element of an array.
fn scalar(type_name: &str, declared: Option<&ParameterDeclaration>, labels: Option<&[String]>) -> ObjectBuilder {
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
    let Some(declared) = declared else { return schema.enum_values(labels.map(<[String]>::to_vec)) };
    schema
        .enum_values(declared.allowed.clone())
        .minimum(declared.min.as_ref().and_then(number))
        .maximum(declared.max.as_ref().and_then(number))
}

/// The value, if it is a number.
fn number(value: &Value) -> Option<Number> {
    let integer = value.as_i64().and_then(|value| isize::try_from(value).ok()).map(Number::Int);
    integer.or_else(|| value.as_f64().map(Number::Float))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use metricd_domain::{Parameters, SqlText};
    use metricd_repository::contract::metric;
    use serde_json::json;

    use super::*;

    /// The parameter in the document of a metric with this declaration.
    fn shown(declaration: Value) -> Value {
        let declaration: ParameterDeclaration = serde_json::from_value(declaration).unwrap();
        let name = declaration.name.clone();
        let mut metric = metric("m1", "q1");
        metric.parameters = Parameters::new([declaration.try_into().unwrap()]).unwrap();
        let definition = MetricDefinition::new(metric, SqlText::parse("SELECT 1").unwrap(), None);
        let parameter = parameter(&definition, &name, Some("text"), false);
        serde_json::to_value(parameter).unwrap()
    }

    #[test]
    fn a_declaration_becomes_a_schema() {
        let top = shown(json!({"name": "top", "type": "integer", "default": 10, "min": 1, "max": 100}));
        let schema = json!({"type": "integer", "format": "int32", "default": 10, "minimum": 1, "maximum": 100});
        assert_eq!((&top["schema"], &top["required"]), (&schema, &json!(false)));

        let kinds = shown(json!({"name": "kinds", "type": "text[]", "allowed": ["a", "b"], "default": ["a"]}));
        let schema = json!({"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "default": ["a"]});
        assert_eq!((&kinds["schema"], &kinds["style"], &kinds["explode"]), (&schema, &json!("form"), &json!(false)));

        let since = shown(json!({"name": "since", "type": "date", "min": "2020-01-01"}));
        assert_eq!(since["schema"], json!({"type": "string", "format": "date"}));
        assert_eq!(since["description"], "PostgreSQL's `date`. At least 2020-01-01.");

        let share = shown(json!({"name": "share", "type": "numeric", "max": 0.5}));
        assert_eq!(share["schema"], json!({"type": "number", "maximum": 0.5}));
    }
}
