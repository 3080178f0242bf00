//! Types of parameters, and their values.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::scalar::{ScalarType, has_offset};

/// The maximum number of elements of an array.
const MAX_ELEMENTS: usize = 10_000;

/// The declared type of a parameter: a scalar type, or an array of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ParameterType {
    /// The scalar type, which is that of the elements for an array.
    pub scalar: ScalarType,
    /// Whether a value is an array.
    pub is_array: bool,
}

/// Why a text is not a type, or not a value of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidParameterValue {
    /// The text is not in the format of the type.
    #[error("`{value}` is not valid: expected {expected}")]
    Syntax {
        /// The beginning of the text.
        value: String,
        /// The expected format.
        expected: &'static str,
    },
    /// An array has too many elements.
    #[error("the array has {elements} elements: expected at most {MAX_ELEMENTS}")]
    TooManyElements {
        /// The number of its elements.
        elements: usize,
    },
    /// The text does not name a type.
    #[error(
        "`{0}` is not a parameter type: expected text, integer, bigint, numeric, boolean, date, timestamp or uuid, or one of them with `[]`"
    )]
    Type(String),
}

/// The beginning of a value, for a message.
pub(super) fn shown(text: &str) -> String {
    const MAX_SHOWN_CHARS: usize = 60;
    crate::shortened(text, MAX_SHOWN_CHARS)
}

/// A value of a parameter, in the text form that PostgreSQL reads for its type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParameterValue(String);

impl ParameterValue {
    /// The text form that PostgreSQL reads.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A value of a type that [`ParameterType`] does not have. PostgreSQL validates it when the statement runs.
    #[must_use]
    pub fn unvalidated(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl ParameterType {
    /// Parses the name of a type, such as `date` or `text[]`.
    ///
    /// # Errors
    ///
    /// [`InvalidParameterValue::Type`] if there is no such type.
    pub fn parse(text: &str) -> Result<Self, InvalidParameterValue> {
        let (name, is_array) = text.strip_suffix("[]").map_or((text, false), |name| (name, true));
        let scalar = ScalarType::ALL.into_iter().find(|scalar| scalar.name() == name);
        scalar.map(|scalar| Self { scalar, is_array }).ok_or_else(|| InvalidParameterValue::Type(shown(text)))
    }

    /// The type that validates values of a PostgreSQL type, given by its name. `None` if no type does.
    #[must_use]
    pub fn of_postgres(type_name: &str) -> Option<Self> {
        let (name, is_array) = type_name.strip_suffix("[]").map_or((type_name, false), |name| (name, true));
        let scalar = match name {
            "text" | "character varying" | "character" => ScalarType::Text,
            "integer" => ScalarType::Integer,
            "bigint" => ScalarType::Bigint,
            "numeric" => ScalarType::Numeric,
            "boolean" => ScalarType::Boolean,
            "date" => ScalarType::Date,
            "timestamp without time zone" | "timestamp with time zone" => ScalarType::Timestamp,
            "uuid" => ScalarType::Uuid,
            _ => return None,
        };
        Some(Self { scalar, is_array })
    }

    /// Parses a value as requests write it. An array is a list of elements separated by commas, or a JSON array of
    /// strings, numbers or booleans.
    ///
    /// # Errors
    ///
    /// [`InvalidParameterValue`] names the expected format.
    pub fn parse_value(self, text: &str) -> Result<ParameterValue, InvalidParameterValue> {
        self.parse_elements(text, |element| self.scalar.parse_value(element))
    }

    /// The same, for a parameter of PostgreSQL's type `timestamp with time zone`: an element with an offset is an instant,
    /// and stays one, in UTC with `Z`. Without an offset it is a local time, whose zone the session decides.
    ///
    /// # Errors
    ///
    /// As for [`Self::parse_value`].
    pub fn parse_instant(self, text: &str) -> Result<ParameterValue, InvalidParameterValue> {
        self.parse_elements(text, |element| {
            let value = self.scalar.parse_value(element)?;
            Ok(if has_offset(element) { value + "Z" } else { value })
        })
    }

    /// Whether the text, or one of its elements, is a timestamp with an offset from UTC.
    #[must_use]
    pub fn has_offset(self, text: &str) -> bool {
        let is_array = self.is_array;
        self.scalar == ScalarType::Timestamp
            && if is_array {
                elements(text).is_ok_and(|elements| elements.iter().any(|element| has_offset(element)))
            } else {
                has_offset(text)
            }
    }

    fn parse_elements(
        self,
        text: &str,
        parse: impl Fn(&str) -> Result<String, InvalidParameterValue>,
    ) -> Result<ParameterValue, InvalidParameterValue> {
        if !self.is_array {
            return parse(text).map(ParameterValue);
        }
        let elements = elements(text)?;
        let elements = elements.iter().map(|element| parse(element)).collect::<Result<Vec<_>, _>>()?;
        let quoted = |element: &String| format!("\"{}\"", element.replace('\\', "\\\\").replace('"', "\\\""));
        Ok(ParameterValue(format!("{{{}}}", elements.iter().map(quoted).collect::<Vec<_>>().join(","))))
    }

    /// Compares two values. `None` for arrays, `text`, `boolean` and `uuid`, which have no range.
    #[must_use]
    pub fn compare(self, left: &ParameterValue, right: &ParameterValue) -> Option<Ordering> {
        if self.is_array { None } else { self.scalar.compare(&left.0, &right.0) }
    }
}

/// An element of an array in JSON.
#[derive(Deserialize)]
#[serde(untagged)]
enum Element {
    Text(String),
    Boolean(bool),
    Number(serde_json::Number),
}

/// Splits an array, as requests write it, into at most [`MAX_ELEMENTS`] elements.
pub(super) fn elements(text: &str) -> Result<Vec<String>, InvalidParameterValue> {
    let elements = split(text)?;
    if elements.len() > MAX_ELEMENTS {
        return Err(InvalidParameterValue::TooManyElements { elements: elements.len() });
    }
    Ok(elements)
}

fn split(text: &str) -> Result<Vec<String>, InvalidParameterValue> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if !text.starts_with('[') {
        return Ok(text.split(',').map(str::to_owned).collect());
    }
    let invalid = |_| InvalidParameterValue::Syntax {
        value: shown(text),
        expected: "elements between commas, or a JSON array of strings, numbers or booleans",
    };
    let elements: Vec<Element> = serde_json::from_str(text).map_err(invalid)?;
    let text = |element| match element {
        Element::Text(text) => text,
        Element::Boolean(boolean) => boolean.to_string(),
        Element::Number(number) => number.to_string(),
    };
    Ok(elements.into_iter().map(text).collect())
}

impl fmt::Display for ParameterType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.scalar.name())?;
        if self.is_array { formatter.write_str("[]") } else { Ok(()) }
    }
}

impl TryFrom<String> for ParameterType {
    type Error = InvalidParameterValue;

    fn try_from(text: String) -> Result<Self, InvalidParameterValue> {
        Self::parse(&text)
    }
}

impl From<ParameterType> for String {
    fn from(data_type: ParameterType) -> Self {
        data_type.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(data_type: &str, text: &str) -> Result<String, InvalidParameterValue> {
        ParameterType::parse(data_type).unwrap().parse_value(text).map(|value| value.0)
    }

    #[test]
    fn values_are_parsed_by_their_type() {
        for (data_type, text, read) in [
            ("text", "a'b", "a'b"),
            ("text", "", ""),
            ("integer", "-07", "-7"),
            ("bigint", "9223372036854775807", "9223372036854775807"),
            ("numeric", "12.50", "12.50"),
            ("boolean", "true", "true"),
            ("date", "2024-02-29", "2024-02-29"),
            ("timestamp", "2025-06-01T12:00:00+02:00", "2025-06-01T10:00:00"),
            ("timestamp", "2025-06-01", "2025-06-01T00:00:00"),
            ("timestamp", "2025-06-01T12:00:00.25", "2025-06-01T12:00:00.250"),
            ("timestamp", "2025-06-01T12:00:00.9999996", "2025-06-01T12:00:01"),
            ("timestamp", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00"),
            ("timestamp", "0001-01-01T00:00:00-05:00", "0001-01-01T05:00:00"),
            ("timestamp", "9999-12-31T23:59:59+05:00", "9999-12-31T18:59:59"),
            ("uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ("integer[]", "1,2", "{\"1\",\"2\"}"),
            ("text[]", "[\"a,\\\"b\", \"NULL\"]", "{\"a,\\\"b\",\"NULL\"}"),
            ("numeric[]", "[1.5,2]", "{\"1.5\",\"2\"}"),
            ("text[]", "", "{}"),
        ] {
            assert_eq!(value(data_type, text).as_deref(), Ok(read), "{data_type} {text}");
        }
    }

    #[test]
    fn an_instant_stays_one() {
        for (data_type, text, read) in [
            ("timestamp", "2025-06-01T12:00:00+02:00", "2025-06-01T10:00:00Z"),
            ("timestamp", "2025-06-01T12:00:00Z", "2025-06-01T12:00:00Z"),
            ("timestamp", "2025-06-01T12:00:00", "2025-06-01T12:00:00"),
            ("timestamp", "2025-06-01", "2025-06-01T00:00:00"),
            ("timestamp[]", "2025-06-01T12:00:00Z,2025-06-01", "{\"2025-06-01T12:00:00Z\",\"2025-06-01T00:00:00\"}"),
            ("date", "2025-06-01", "2025-06-01"),
        ] {
            let data_type = ParameterType::parse(data_type).unwrap();
            assert_eq!(data_type.parse_instant(text).unwrap().as_str(), read, "{data_type} {text}");
            assert_eq!(data_type.has_offset(text), read.contains('Z'), "{data_type} {text}");
        }
        assert!(ParameterType::parse("timestamp").unwrap().parse_instant("now").is_err());
    }

    #[test]
    fn refuses_values_of_other_types() {
        for (data_type, text) in [
            ("text", "a\0b"),
            ("integer", "2147483648"),
            ("integer", "1.0"),
            ("integer", " 1"),
            ("integer", ""),
            ("numeric", "1e5"),
            ("numeric", "NaN"),
            ("boolean", "yes"),
            ("date", "2025-02-30"),
            ("date", "2025-6-1"),
            ("date", "infinity"),
            ("date", "0000-01-01"),
            ("timestamp", "2025-06-31T00:00:00"),
            ("timestamp", "now"),
            ("timestamp", "0001-01-01T00:00:00+05:00"),
            ("timestamp", "9999-12-31T23:59:59-05:00"),
            ("timestamp", "9999-12-31T23:59:60Z"),
            ("timestamp", "9999-12-31T23:59:59.9999996"),
            ("timestamp[]", "2025-06-01,0001-01-01T00:00:00+05:00"),
            ("uuid", "1"),
            ("integer[]", "1,,2"),
            ("integer[]", "[1,[2]]"),
            ("integer[]", "[1"),
            ("text[]", "[null]"),
        ] {
            assert!(value(data_type, text).is_err(), "{data_type} {text}");
        }
        let many = vec!["1"; MAX_ELEMENTS + 1].join(",");
        assert!(matches!(value("integer[]", &many), Err(InvalidParameterValue::TooManyElements { .. })));
        assert!(ParameterType::parse("json").is_err());
        assert!(ParameterType::parse("text[][]").is_err());
    }

    #[test]
    fn values_compare_by_their_type() {
        let compare = |data_type: &str, left: &str, right: &str| {
            let data_type = ParameterType::parse(data_type).unwrap();
            data_type.compare(&data_type.parse_value(left).unwrap(), &data_type.parse_value(right).unwrap())
        };
        assert_eq!(compare("integer", "9", "10"), Some(Ordering::Less));
        assert_eq!(compare("numeric", "9.50", "9.5"), Some(Ordering::Equal));
        assert_eq!(compare("date", "2025-01-31", "2025-02-01"), Some(Ordering::Less));
        assert_eq!(compare("timestamp", "2025-01-01T00:00:00Z", "2025-01-01T00:00:00+01:00"), Some(Ordering::Greater));
        assert_eq!(compare("text", "a", "b"), None);
    }
}
