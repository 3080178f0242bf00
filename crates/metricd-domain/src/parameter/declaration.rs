//! Declarations of parameters, and the validation of values against them.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::value::{elements, shown};
use super::{InvalidParameterName, InvalidParameterValue, ParameterName, ParameterType, ParameterValue};

/// The maximum number of values in `allowed`.
const MAX_ALLOWED: usize = 1_000;

/// The declaration of a parameter as files, requests and the store write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, expecting = "an object with `name` and `type`")]
pub struct ParameterDeclaration {
    /// The name.
    pub name: String,
    /// The type, such as `date` or `text[]`.
    pub r#type: String,
    /// The value if a request has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether a request must have a value. If this is absent, it must, unless there is a `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// The values that are allowed; for arrays, the elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<Value>>,
    /// The minimum value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Value>,
    /// The maximum value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Value>,
}

impl ParameterDeclaration {
    /// Declares a name and a type, such as `date` or `text[]`.
    pub fn new(name: impl Into<String>, r#type: impl Into<String>) -> Self {
        let (name, r#type) = (name.into(), r#type.into());
        Self { name, r#type, default: None, required: None, allowed: None, min: None, max: None }
    }
}

/// Why a declaration is invalid, or why a value violates it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidParameter {
    /// The name is invalid.
    #[error(transparent)]
    Name(#[from] InvalidParameterName),
    /// The type is unknown, or a value does not have the type.
    #[error(transparent)]
    Value(#[from] InvalidParameterValue),
    /// A key of the declaration has an invalid value.
    #[error("`{key}`: {cause}")]
    Key {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        cause: String,
    },
    /// A value is not among the allowed ones.
    #[error("`{value}` is not allowed: expected one of {allowed}")]
    NotAllowed {
        /// The value.
        value: String,
        /// The allowed values, as a list.
        allowed: String,
    },
    /// A value is less than the minimum.
    #[error("`{value}` is too small: expected at least `{min}`")]
    TooSmall {
        /// The value.
        value: String,
        /// The minimum.
        min: String,
    },
    /// A value is greater than the maximum.
    #[error("`{value}` is too large: expected at most `{max}`")]
    TooGreat {
        /// The value.
        value: String,
        /// The maximum.
        max: String,
    },
}

/// A validated declaration of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ParameterDeclaration", into = "ParameterDeclaration")]
pub struct Parameter {
    declaration: ParameterDeclaration,
    name: ParameterName,
    data_type: ParameterType,
    default: Option<ParameterValue>,
    allowed: Vec<String>,
    min: Option<ParameterValue>,
    max: Option<ParameterValue>,
}

impl Parameter {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &ParameterName {
        &self.name
    }

    /// The type.
    #[must_use]
    pub fn data_type(&self) -> ParameterType {
        self.data_type
    }

    /// The value if a request has none.
    #[must_use]
    pub fn default(&self) -> Option<&ParameterValue> {
        self.default.as_ref()
    }

    /// Whether a request must have a value. An optional parameter without a value and without a default is NULL.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.declaration.required.unwrap_or(self.default.is_none())
    }

    /// Parses and validates a value as requests write it.
    ///
    /// # Errors
    ///
    /// [`InvalidParameter`] if the value does not have the type, is not allowed or is out of range.
    pub fn accept(&self, text: &str) -> Result<ParameterValue, InvalidParameter> {
        let value = self.data_type.parse_value(text)?;
        if !self.allowed.is_empty() {
            let scalar = ParameterType { is_array: false, ..self.data_type };
            let elements = if self.data_type.is_array { elements(text)? } else { vec![text.to_owned()] };
            for element in elements {
                if !self
                    .allowed
                    .iter()
                    .any(|allowed| allowed == scalar.parse_value(&element).as_ref().map_or("", ParameterValue::as_str))
                {
                    let allowed = self.allowed.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
                    return Err(InvalidParameter::NotAllowed { value: shown(&element), allowed });
                }
            }
        }
        let against =
            |bound: &Option<ParameterValue>| bound.as_ref().and_then(|bound| self.data_type.compare(&value, bound));
        let bound =
            |bound: &Option<ParameterValue>| bound.as_ref().map(|value| value.as_str().to_owned()).unwrap_or_default();
        if against(&self.min) == Some(Ordering::Less) {
            return Err(InvalidParameter::TooSmall { value: shown(text), min: bound(&self.min) });
        }
        if against(&self.max) == Some(Ordering::Greater) {
            return Err(InvalidParameter::TooGreat { value: shown(text), max: bound(&self.max) });
        }
        Ok(value)
    }
}

impl TryFrom<ParameterDeclaration> for Parameter {
    type Error = InvalidParameter;

    fn try_from(declaration: ParameterDeclaration) -> Result<Self, InvalidParameter> {
        let name = ParameterName::parse(&declaration.name)?;
        let data_type = ParameterType::parse(&declaration.r#type)?;
        let scalar = ParameterType { is_array: false, ..data_type };
        let key = |key, cause: String| InvalidParameter::Key { key, cause };
        let read = |name: &'static str, data_type: ParameterType, value: &Value| {
            let text = written(value).ok_or_else(|| key(name, format!("expected a value of `{data_type}`")))?;
            data_type.parse_value(&text).map_err(|error| key(name, error.to_string()))
        };
        let bound = |name: &'static str, value: &Option<Value>| -> Result<Option<ParameterValue>, InvalidParameter> {
            let Some(value) = value else { return Ok(None) };
            let value = read(name, scalar, value)?;
            if data_type.compare(&value, &value).is_none() {
                return Err(key(name, format!("`{data_type}` takes no `min` and no `max`")));
            }
            Ok(Some(value))
        };
        let (min, max) = (bound("min", &declaration.min)?, bound("max", &declaration.max)?);
        if let (Some(min), Some(max)) = (&min, &max)
            && data_type.compare(min, max) == Some(Ordering::Greater)
        {
            return Err(key("min", format!("`{}` is greater than `max`, `{}`", min.as_str(), max.as_str())));
        }
        let allowed = declaration.allowed.as_deref().unwrap_or_default();
        if declaration.allowed.is_some() && !(1..=MAX_ALLOWED).contains(&allowed.len()) {
            return Err(key("allowed", format!("expected 1 to {MAX_ALLOWED} values")));
        }
        let allowed = allowed.iter().map(|value| read("allowed", scalar, value)).collect::<Result<Vec<_>, _>>()?;
        let allowed = allowed.iter().map(|value| value.as_str().to_owned()).collect();
        if declaration.required == Some(true) && declaration.default.is_some() {
            return Err(key("default", "a required parameter cannot have a default".to_owned()));
        }
        let mut parameter = Self { name, data_type, default: None, allowed, min, max, declaration };
        if let Some(value) = &parameter.declaration.default {
            let text = written(value).ok_or_else(|| key("default", format!("expected a value of `{data_type}`")))?;
            let value = parameter.accept(&text).map_err(|error| key("default", error.to_string()))?;
            parameter.default = Some(value);
        }
        Ok(parameter)
    }
}

impl From<Parameter> for ParameterDeclaration {
    fn from(parameter: Parameter) -> Self {
        parameter.declaration
    }
}

/// The text by which a request would write a JSON value.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => Some(value.to_string()),
        Value::Null | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declared(declaration: Value) -> Result<Parameter, String> {
        serde_json::from_value(declaration).map_err(|error| error.to_string())
    }

    #[test]
    fn a_value_is_validated_against_its_declaration() {
        let top = declared(json!({"name": "top", "type": "integer", "min": 1, "max": 100, "default": 10})).unwrap();
        assert!(!top.is_required());
        assert_eq!(top.default().map(ParameterValue::as_str), Some("10"));
        assert_eq!(top.accept("007").unwrap().as_str(), "7");
        assert!(matches!(top.accept("0"), Err(InvalidParameter::TooSmall { .. })));
        assert!(matches!(top.accept("101"), Err(InvalidParameter::TooGreat { .. })));
        assert!(matches!(top.accept("x"), Err(InvalidParameter::Value(_))));

        let kinds = declared(json!({"name": "kinds", "type": "text[]", "allowed": ["a", "b"]})).unwrap();
        assert!(kinds.is_required());
        assert_eq!(kinds.accept("a,b").unwrap().as_str(), "{\"a\",\"b\"}");
        assert!(matches!(kinds.accept("a,c"), Err(InvalidParameter::NotAllowed { .. })));
    }

    #[test]
    fn refuses_a_declaration_that_contradicts_itself() {
        for declaration in [
            json!({"name": "n"}),
            json!({"name": "n", "type": "json"}),
            json!({"name": "1", "type": "text"}),
            json!({"name": "n", "type": "text", "other": 1}),
            json!({"name": "n", "type": "integer", "min": 2, "max": 1}),
            json!({"name": "n", "type": "integer", "default": "x"}),
            json!({"name": "n", "type": "integer", "default": 5, "max": 1}),
            json!({"name": "n", "type": "integer", "default": 5, "required": true}),
            json!({"name": "n", "type": "text", "min": "a"}),
            json!({"name": "n", "type": "integer[]", "min": 1}),
            json!({"name": "n", "type": "text", "allowed": []}),
            json!({"name": "n", "type": "date", "allowed": ["2025-02-30"]}),
            json!({"name": "n", "type": "text", "default": {"a": 1}}),
        ] {
            assert!(declared(declaration.clone()).is_err(), "{declaration}");
        }
    }

    #[test]
    fn declarations_round_trip_through_json() {
        let written = json!({"name": "day", "type": "date", "default": "2025-06-01", "max": "2030-01-01"});
        assert_eq!(serde_json::to_value(declared(written.clone()).unwrap()).unwrap(), written);
    }
}
