//! JSON values that keep the order of keys, and keys that are repeated.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::json_records::members;

/// A JSON value that keeps everything in its text except white space.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    /// A number with every digit of its text, which a [`Json::Number`] may not have.
    Decimal(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The JSON type of the value, with an article.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) | Self::Decimal(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The value on one line for a refusal. A string has no quotes.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::String(text) | Self::Decimal(text) => text.clone(),
            other => serde_json::to_string(other).unwrap_or_default(),
        }
    }

    /// Gives the numbers in it the digits that they have in its text: the visitor gets a number with a fraction as `f64`.
    /// The text is that from which the value was read.
    pub(crate) fn restore_digits(&mut self, text: &str) {
        match self {
            Self::Number(number) if number.is_f64() => *self = Self::Decimal(text.trim().to_owned()),
            Self::Array(values) if values.iter().any(Self::has_fraction) => {
                let texts: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
                values.iter_mut().zip(texts).for_each(|(value, text)| value.restore_digits(text.get()));
            }
            Self::Object(entries) if entries.iter().any(|(_, value)| value.has_fraction()) => {
                let texts = members(text.trim()).map(|(_, text)| text);
                entries.iter_mut().zip(texts).for_each(|((_, value), text)| value.restore_digits(text));
            }
            _ => {}
        }
    }

    /// Whether a number in it was read as `f64`.
    fn has_fraction(&self) -> bool {
        match self {
            Self::Number(number) => number.is_f64(),
            Self::Array(values) => values.iter().any(Self::has_fraction),
            Self::Object(members) => members.iter().any(|(_, value)| value.has_fraction()),
            _ => false,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = access.next_element()? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::Decimal(text) => {
                RawValue::from_string(text.clone()).map_err(serde::ser::Error::custom)?.serialize(serializer)
            }
            Self::String(value) => serializer.serialize_str(value),
            Self::Array(values) => values.serialize(serializer),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// Converts `timeColumn` to `time_column`.
pub(crate) fn snake_case(key: &str) -> String {
    let mut snake = String::with_capacity(key.len() + 2);
    for character in key.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_repeated_keys() {
        let text = r#"{"b":1,"a":[null,true,-1.5,"x"],"b":{}}"#;
        let value: Json = serde_json::from_str(text).unwrap();
        assert_eq!(value.shown(), text);
    }

    #[test]
    fn numbers_get_every_digit_of_their_text() {
        let text = r#" {"a": [1, 0.10, {"b": 123456789012345678901234567890}], "c": "0.50", "a": -1e2,
            "d": [0.1000000000000000055511151231257827]} "#;
        let mut value: Json = serde_json::from_str(text).unwrap();
        value.restore_digits(text);
        let expected = r#"{"a":[1,0.10,{"b":123456789012345678901234567890}],"c":"0.50","a":-1e2,"d":[0.1000000000000000055511151231257827]}"#;
        assert_eq!(value.shown(), expected);
    }
}
