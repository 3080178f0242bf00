//! Extracts the fields of a JSON body, and reports all faults at once.

use metricd_domain::plain_json_error;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{FieldError, Problem, ProblemCode};

/// How much of a field's name is shown.
const MAX_SHOWN_NAME_CHARS: usize = 100;

/// A field of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field<T> {
    /// It is absent, or its fault was recorded.
    Absent,
    /// It is null.
    Null,
    /// It has this value.
    Given(T),
}

impl<T> Field<T> {
    /// The value, if there is one.
    pub(crate) fn given(self) -> Option<T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// The value after a merge patch (RFC 7396): absent keeps the previous one, null removes it.
    pub(crate) fn applied_to(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Absent => before,
            Self::Null => None,
            Self::Given(value) => Some(value),
        }
    }
}

/// The remaining fields of a body. A field that is never taken is unknown.
#[derive(Debug)]
pub(crate) struct Fields {
    rest: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    pub(crate) fn of(body: Map<String, Value>) -> Self {
        Self { rest: body, errors: Vec::new() }
    }

    /// Takes the field and parses it. The name may also be in camel case, as in files.
    pub(crate) fn take<T, E: ToString>(&mut self, name: &str, parse: impl FnOnce(Value) -> Result<T, E>) -> Field<T> {
        let camel = camel_case(name);
        let value = match (self.rest.remove(name), self.rest.remove(&camel)) {
            (Some(value), Some(other)) if value != other => {
                self.error(
                    name,
                    format!("`{name}` and `{camel}` are one field and have different values: expected one"),
                );
                return Field::Absent;
            }
            (value, other) => value.or(other),
        };
        match value {
            None => Field::Absent,
            Some(Value::Null) => Field::Null,
            Some(value) => match parse(value) {
                Ok(value) => Field::Given(value),
                Err(error) => {
                    self.error(name, error.to_string());
                    Field::Absent
                }
            },
        }
    }

    /// Takes a string field and parses it.
    pub(crate) fn take_text<T, E: ToString>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Field<T> {
        self.take(name, |value| match value {
            Value::String(text) => parse(&text).map_err(|error| error.to_string()),
            other => Err(format!("expected a string, not {}", kind(&other))),
        })
    }

    /// Records a fault.
    pub(crate) fn error(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(FieldError { field: field.to_owned(), message: message.into() });
    }

    /// Records that a required field is absent, unless it has another fault.
    pub(crate) fn require(&mut self, field: &str, is_there: bool) {
        if !is_there && !self.errors.iter().any(|error| error.field == field) {
            self.error(field, "the field is missing");
        }
    }

    /// Reports the recorded faults and the unknown fields.
    ///
    /// # Errors
    ///
    /// 422 with every fault.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        for name in std::mem::take(&mut self.rest).keys() {
            let shown: String = name.chars().take(MAX_SHOWN_NAME_CHARS).collect();
            self.error(&shown, "the field is not known");
        }
        if self.errors.is_empty() {
            return Ok(());
        }
        self.errors.sort_by(|left, right| left.field.cmp(&right.field));
        Err(Problem::new(ProblemCode::InvalidBody).with_errors(self.errors))
    }
}

/// Deserializes a value; on failure, says what was expected.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| plain_json_error(&error.to_string()))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Converts `time_column` to `timeColumn`.
fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    for (index, part) in name.split('_').enumerate() {
        match part.chars().next().filter(|_| index > 0) {
            Some(first) => {
                camel.push(first.to_ascii_uppercase());
                camel.push_str(&part[first.len_utf8()..]);
            }
            None => camel.push_str(part),
        }
    }
    camel
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(body: &Value) -> Fields {
        Fields::of(body.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn a_field_may_be_spelled_as_files_spell_it() {
        for body in [
            json!({"time_column": "day"}),
            json!({"timeColumn": "day"}),
            json!({"time_column": "day", "timeColumn": "day"}),
        ] {
            let mut fields = fields(&body);
            let taken = fields.take("time_column", read::<String>);
            assert_eq!(taken, Field::Given("day".to_owned()), "{body}");
            assert!(fields.finish().is_ok(), "{body}");
        }
    }

    #[test]
    fn two_spellings_with_different_values_are_refused() {
        let mut fields = fields(&json!({"time_column": "day", "timeColumn": null}));
        assert_eq!(fields.take("time_column", read::<String>), Field::Absent);
        assert!(fields.finish().is_err());
    }
}
