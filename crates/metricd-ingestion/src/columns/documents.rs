//! Validates JSON documents for the type `jsonb`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use metricd_domain::plain_json_error;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The longest number of a document, in bytes. PostgreSQL stores at most 16 383 digits after the point.
const MAX_NUMBER_BYTES: usize = 1_000;

/// The greatest absolute exponent of a number in a document.
const MAX_EXPONENT: u32 = 1_000;

/// Checks that PostgreSQL can store the document as `jsonb` without loss: valid JSON at most 128 levels deep, without
/// repeated keys, `\u0000`, lone surrogates, and numbers that exceed `numeric`.
///
/// # Errors
///
/// What is wrong, for people.
pub(super) fn validate(text: &str) -> Result<(), String> {
    match serde_json::from_str::<Document>(text) {
        Ok(Document) => validate_numbers(text.as_bytes()).map_err(str::to_owned),
        Err(error) => {
            let message = plain_json_error(&error.to_string());
            Err(message.split(" at line ").next().unwrap_or_default().to_owned())
        }
    }
}

/// Checks the numbers of valid JSON, which the parser reads as floating-point numbers.
fn validate_numbers(text: &[u8]) -> Result<(), &'static str> {
    let (mut in_string, mut at) = (false, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'0'..=b'9' if !in_string => {
                let is_number = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
                let length = text[at..].iter().take_while(is_number).count();
                let number = &text[at..at + length];
                let exponent = number.iter().position(|byte| matches!(byte, b'e' | b'E'));
                let digits = exponent.map_or(&b""[..], |exponent| &number[exponent + 1..]);
                let exponent = digits
                    .iter()
                    .filter(|byte| byte.is_ascii_digit())
                    .fold(0_u32, |exponent, digit| exponent.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
                if length > MAX_NUMBER_BYTES || exponent > MAX_EXPONENT {
                    return Err("a number has too many digits");
                }
                at += length;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// A valid document. Its content is not kept.
struct Document;

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

/// A string without NUL.
#[derive(PartialEq, Eq, Hash)]
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Key<'de>, E> {
        without_nul(text).map(|()| Key(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Key<'de>, E> {
        without_nul(text).map(|()| Key(Cow::Owned(text.to_owned())))
    }
}

fn without_nul<E: Error>(text: &str) -> Result<(), E> {
    if text.contains('\0') { Err(E::custom("a string has the character `\\u0000`")) } else { Ok(()) }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON document")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Document, E> {
        Ok(Document)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Document, E> {
        Ok(Document)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Document, E> {
        Ok(Document)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Document, E> {
        Ok(Document)
    }

    fn visit_unit<E: Error>(self) -> Result<Document, E> {
        Ok(Document)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Document, E> {
        without_nul(text).map(|()| Document)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Document, A::Error> {
        while elements.next_element::<Document>()?.is_some() {}
        Ok(Document)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Document, A::Error> {
        let mut keys = HashSet::new();
        while let Some((key, Document)) = members.next_entry::<Key<'de>, Document>()? {
            if let Some(Key(repeated)) = keys.replace(key) {
                return Err(A::Error::custom(format_args!("an object has the key `{repeated}` more than once")));
            }
        }
        Ok(Document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_documents_that_jsonb_keeps_are_valid() {
        for text in
            ["{}", "[]", r#" {"a":[1,2.5e3,null,true,"é\n"],"b":{"a":1}} "#, "12", "\"x\"", r#"{"e-9999":"1e-9999"}"#]
        {
            assert_eq!(validate(text), Ok(()), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let long = format!("[0.{}1]", "0".repeat(2_000));
        for text in [
            "",
            "{",
            "[1,]",
            "{'a':1}",
            "[1] x",
            r#"{"a":1,"a":2}"#,
            r#"[{"b":{"a":1,"\u0061":2}}]"#,
            r#"["\u0000"]"#,
            r#"{"\u0000":1}"#,
            r#"["\ud800"]"#,
            "[1e400]",
            "[1e-20000]",
            "[NaN]",
            "[01]",
            &deep,
            &long,
        ] {
            assert!(validate(text).is_err(), "{text}");
        }
        assert_eq!(validate(r#"{"a":1,"a":2}"#).unwrap_err(), "an object has the key `a` more than once");
    }
}
