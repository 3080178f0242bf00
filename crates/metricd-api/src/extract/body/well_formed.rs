//! Checks that a text is JSON that every parser reads the same way.

use std::collections::HashSet;
use std::fmt;

use metricd_domain::plain_json_error;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The greatest depth of nested arrays and objects.
const MAX_JSON_DEPTH: usize = 64;

/// How much of a key is shown.
const MAX_SHOWN_KEY_CHARS: usize = 100;

/// Checks that the text is one JSON document: UTF-8, at most 64 levels deep, no duplicate keys, nothing after it.
/// Otherwise returns the fault with line and column.
pub(super) fn check_well_formed(body: &[u8]) -> Result<&str, String> {
    let text = str::from_utf8(body).map_err(|error| {
        let (line, column) = position(&body[..error.valid_up_to()]);
        format!("there is a byte that is not UTF-8 at line {line} column {column}")
    })?;
    if text.trim_ascii().is_empty() {
        return Err("it is empty at line 1 column 1".to_owned());
    }
    if text.starts_with('\u{feff}') {
        return Err("there is a byte order mark at line 1 column 1".to_owned());
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Value { depth: MAX_JSON_DEPTH }.deserialize(&mut deserializer);
    read.and_then(|()| deserializer.end()).map_err(|error| plain_json_error(&error.to_string()))?;
    Ok(text)
}

/// Line and column after the bytes, from 1; columns count bytes, as in `serde_json`.
fn position(before: &[u8]) -> (usize, usize) {
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    (before.split(|byte| *byte == b'\n').count(), before.len() - line_start + 1)
}

/// A value that may nest this many levels.
#[derive(Clone, Copy)]
struct Value {
    depth: usize,
}

impl Value {
    fn below<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1);
        depth.map(|depth| Self { depth }).ok_or_else(|| E::custom(format!("it is deeper than {MAX_JSON_DEPTH} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let below = self.below()?;
        while elements.next_element_seed(below)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let below = self.below()?;
        let mut keys = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if let Some(key) = keys.replace(key) {
                let shown: String = key.chars().take(MAX_SHOWN_KEY_CHARS).collect();
                return Err(A::Error::custom(format!("the key `{shown}` occurs twice in one object")));
            }
            members.next_value_seed(below)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_reported_with_their_position() {
        for (text, expected) in [
            ("", "it is empty at line 1 column 1"),
            (" \n", "it is empty at line 1 column 1"),
            ("\u{feff}{}", "there is a byte order mark at line 1 column 1"),
            ("{", "it ends in the middle of an object at line 1 column 1"),
            ("{\"a\": 1,\n \"b\" 2}", "expected `:` at line 2 column 6"),
            ("[1, 2] x", "there is text after the end of the JSON at line 1 column 8"),
            ("{} {}", "there is text after the end of the JSON at line 1 column 4"),
            ("{\"a\": 1,\n \"a\": 2}", "the key `a` occurs twice in one object at line 2 column 4"),
            ("{\"a\": 1, \"\\u0061\": 2}", "the key `a` occurs twice in one object at line 1 column 17"),
            ("[{\"x\": {\"a\": 1, \"a\": 1}}]", "the key `a` occurs twice in one object at line 1 column 19"),
            ("nul", "it ends where a value is expected at line 1 column 3"),
            ("NaN", "expected a value at line 1 column 1"),
            ("1e999", "there is a number that is too large at line 1 column 5"),
            (
                "\"\\ud800\"",
                "a `\\u` escape is incomplete or invalid, such as half of a surrogate pair at line 1 column 8",
            ),
            (
                "\"a\nb\"",
                "there is a line break or another control character in a string: write it as an escape, such as `\\n` at line 2 column 0",
            ),
        ] {
            assert_eq!(check_well_formed(text.as_bytes()), Err(expected.to_owned()), "{text}");
        }
        let text = b"{\n\"n\": \"na\xefve\"}";
        let expected = "there is a byte that is not UTF-8 at line 2 column 9";
        assert_eq!(check_well_formed(text), Err(expected.to_owned()));
    }

    #[test]
    fn the_same_key_in_different_objects_is_fine() {
        let text = "{\"a\": {\"a\": [{\"a\": null}, {\"a\": true}, -1, 1.5, \"ä\"]}}";
        assert_eq!(check_well_formed(text.as_bytes()), Ok(text));
    }

    #[test]
    fn sixty_four_levels_are_enough() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(check_well_formed(nested(64).as_bytes()).is_ok());
        let expected = "it is deeper than 64 levels at line 1 column 66";
        assert_eq!(check_well_formed(nested(65).as_bytes()), Err(expected.to_owned()));
        assert!(check_well_formed("[".repeat(100_000).as_bytes()).is_err());
        let objects = "{\"a\":".repeat(65) + "1" + &"}".repeat(65);
        assert!(check_well_formed(objects.as_bytes()).is_err_and(|fault| fault.contains("deeper")));
    }
}
