//! Rewords the errors of `serde_json` in terms of JSON, for readers who do not know Rust.

/// Rewords an error of `serde_json`, and keeps its line and column. An unknown message is returned unchanged.
///
/// ```
/// use metricd_domain::plain_json_error;
///
/// let message = "invalid type: sequence, expected a map at line 1 column 7";
/// assert_eq!(plain_json_error(message), "expected an object, not an array at line 1 column 7");
/// ```
#[must_use]
pub fn plain_json_error(message: &str) -> String {
    let position = message.rfind(" at line ").filter(|at| message[at + 9..].split(" column ").all(is_number));
    let (message, position) = message.split_at(position.unwrap_or(message.len()));
    plain_syntax(message).map_or_else(|| plain_data(message), str::to_owned) + position
}

/// Rewords a syntax error.
fn plain_syntax(message: &str) -> Option<&'static str> {
    Some(match message {
        "EOF while parsing a list" => "it ends in the middle of an array",
        "EOF while parsing an object" => "it ends in the middle of an object",
        "EOF while parsing a string" => "it ends in the middle of a string",
        "EOF while parsing a value" => "it ends where a value is expected",
        "expected ident" => "expected `true`, `false` or `null`",
        "expected value" => "expected a value",
        "trailing comma" => "there is a comma after the last entry",
        "trailing characters" => "there is text after the end of the JSON",
        "key must be a string" => "expected a key in double quotes",
        "invalid escape" => "there is an escape that JSON does not have",
        "lone leading surrogate in hex escape" | "unexpected end of hex escape" | "invalid unicode code point" => {
            "a `\\u` escape is incomplete or invalid, such as half of a surrogate pair"
        }
        "control character (\\u0000-\\u001F) found while parsing a string" => {
            "there is a line break or another control character in a string: write it as an escape, such as `\\n`"
        }
        "number out of range" => "there is a number that is too large",
        _ => return None,
    })
}

/// Rewords an error about JSON of another structure than expected.
fn plain_data(message: &str) -> String {
    if let Some((found, expected)) = ["invalid type: ", "invalid value: ", "invalid length "]
        .iter()
        .find_map(|kind| message.strip_prefix(kind)?.split_once(", expected "))
    {
        return format!("expected {}, not {}", plain_expected(expected), plain_found(found));
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("the field {field} is missing");
    }
    if let Some(field) = message.strip_prefix("duplicate field ") {
        return format!("the field {field} occurs twice");
    }
    let unknown = [("unknown field ", "the field "), ("unknown variant ", "")];
    let unknown = unknown.iter().find_map(|(kind, shown)| Some((shown, message.strip_prefix(kind)?)));
    match unknown.map(|(shown, rest)| (shown, rest.split_once(", "))) {
        Some((shown, Some((name, "there are no fields")))) => format!("{shown}{name} is not known"),
        Some((shown, Some((name, expected)))) => format!("{shown}{name} is not known: {expected}"),
        _ => message.to_owned(),
    }
}

/// Replaces the names of Rust types by those of JSON types.
fn plain_expected(expected: &str) -> &str {
    match expected {
        "a map" => "an object",
        "a sequence" => "an array",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "unit" => "null",
        "a string" | "a borrowed string" | "a character" | "string or map" | "variant identifier" => "a string",
        other if other.starts_with("struct ") || other.starts_with("internally tagged enum ") => "an object",
        other if other.starts_with("tuple ") => "an array",
        other => other,
    }
}

/// Describes the value that was found, in terms of JSON.
fn plain_found(found: &str) -> String {
    match found {
        "map" => "an object".to_owned(),
        "sequence" => "an array".to_owned(),
        "null" | "unit" | "Option value" | "unit value" => "null".to_owned(),
        _ => {
            let kinds = ["integer ", "floating point ", "string ", "boolean ", "character "];
            kinds.iter().find_map(|kind| found.strip_prefix(kind)).unwrap_or(found).to_owned()
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "never read")]
    struct Limits {
        rows: u32,
        share: Option<f64>,
        kind: Option<Kind>,
        tags: Option<Vec<String>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Source,
        Result,
    }

    /// The reworded error of deserializing `text` as `T`.
    fn plain<T: DeserializeOwned>(text: &str) -> String {
        plain_json_error(&serde_json::from_str::<T>(text).err().unwrap().to_string())
    }

    /// `serde_json` itself produces these errors, so the test fails if a release of it changes a message.
    #[test]
    fn errors_are_reworded() {
        for (text, expected) in [
            ("{", "it ends in the middle of an object at line 1 column 1"),
            ("[1", "it ends in the middle of an array at line 1 column 2"),
            ("\"a", "it ends in the middle of a string at line 1 column 2"),
            ("", "it ends where a value is expected at line 1 column 0"),
            ("nil", "expected `true`, `false` or `null` at line 1 column 2"),
            ("NaN", "expected a value at line 1 column 1"),
            ("[1,]", "there is a comma after the last entry at line 1 column 4"),
            ("{} x", "there is text after the end of the JSON at line 1 column 4"),
            ("{'a': 1}", "expected a key in double quotes at line 1 column 2"),
            ("1e999", "there is a number that is too large at line 1 column 5"),
            (
                "\"\\ud800\"",
                "a `\\u` escape is incomplete or invalid, such as half of a surrogate pair at line 1 column 8",
            ),
            ("\"\\q\"", "there is an escape that JSON does not have at line 1 column 3"),
            ("{\"a\" 1}", "expected `:` at line 1 column 6"),
        ] {
            assert_eq!(plain::<serde_json::Value>(text), expected, "{text}");
        }
        let plain_line = plain::<String>("\"a\nb\"");
        assert!(plain_line.starts_with("there is a line break or another control character"), "{plain_line}");
        for (text, expected) in [
            ("{}", "the field `rows` is missing"),
            ("[]", "expected an object, not an array"),
            ("{\"rows\": -1}", "expected a whole number from 0, not `-1`"),
            ("{\"rows\": \"x\"}", "expected a whole number from 0, not \"x\""),
            ("{\"rows\": 1.5}", "expected a whole number from 0, not `1.5`"),
            ("{\"rows\": null}", "expected a whole number from 0, not null"),
            ("{\"rows\": 1, \"rows\": 1}", "the field `rows` occurs twice"),
            (
                "{\"rows\": 1, \"rwos\": 1}",
                "the field `rwos` is not known: expected one of `rows`, `share`, `kind`, `tags`",
            ),
            ("{\"rows\": 1, \"share\": true}", "expected a number, not `true`"),
            ("{\"rows\": 1, \"kind\": \"x\"}", "`x` is not known: expected `source` or `result`"),
            ("{\"rows\": 1, \"tags\": {}}", "expected an array, not an object"),
            ("{\"rows\": 1, \"tags\": [1]}", "expected a string, not `1`"),
        ] {
            let message = if text == "[]" { plain::<BTreeMap<String, u8>>(text) } else { plain::<Limits>(text) };
            assert!(message.split(" at line ").next().unwrap() == expected, "{text}: {message}");
        }
    }

    #[test]
    fn unknown_messages_are_kept() {
        for message in ["", "a limit of 0 lets nothing through", "it is so at line x column 2"] {
            assert_eq!(plain_json_error(message), message);
        }
    }
}
