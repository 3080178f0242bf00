//! Texts, bytes, UUIDs and JSON documents of a file.

use std::fmt;

use metricd_ingestion::Reason;
use serde::Deserializer;
use serde::de::{Deserialize, Error, MapAccess, SeqAccess, Visitor};

use super::Fault;
use super::columns::Form;

/// The maximum size of the text of a row, in bytes.
pub(in crate::read) const MAX_ROW_BYTES: usize = 64 << 20;

const SHOWN_CHARS: usize = 80;

/// Refuses to append so many bytes to the text of a row, if it would become too long.
pub(super) fn check_room(out: &str, more: usize) -> Result<(), Fault> {
    if out.len().saturating_add(more) > MAX_ROW_BYTES {
        let message = format!("the row has more than {} MiB of text", MAX_ROW_BYTES >> 20);
        return Err(Fault::new(Reason::RecordTooLong, message, None));
    }
    Ok(())
}

/// Appends a text, or a JSON document that is one.
pub(super) fn write(value: &str, form: Form, out: &mut String) -> Result<(), Fault> {
    check_room(out, value.len())?;
    if value.as_bytes().contains(&0) {
        return Err(nul(value));
    }
    if form == Form::Json
        && let Err(error) = serde_json::from_str::<StorableJson>(value)
    {
        let message = format!("the value of a column of JSON cannot be stored as `jsonb`: {error}");
        return Err(Fault::new(Reason::JsonSyntax, message, Some(shown(value))));
    }
    out.push_str(value);
    Ok(())
}

pub(super) fn nul(value: &str) -> Fault {
    Fault::new(Reason::TextNul, "the text has a NUL character, which PostgreSQL cannot store", Some(shown(value)))
}

/// The beginning of a text, without NUL characters.
fn shown(value: &str) -> String {
    value.chars().take(SHOWN_CHARS).map(|character| if character == '\0' { '\u{fffd}' } else { character }).collect()
}

/// Appends bytes as `bytea`, or as a UUID.
pub(super) fn write_bytes(value: &[u8], form: Form, out: &mut String) -> Result<(), Fault> {
    check_room(out, value.len().saturating_mul(2))?;
    match form {
        Form::Uuid => {
            for (position, byte) in value.iter().enumerate() {
                if matches!(position, 4 | 6 | 8 | 10) {
                    out.push('-');
                }
                push_hex(*byte, out);
            }
        }
        Form::Json => match std::str::from_utf8(value) {
            Ok(value) => write(value, form, out)?,
            Err(_) => return Err(Fault::new(Reason::TextEncoding, "the JSON document is not UTF-8", None)),
        },
        Form::Plain | Form::Nested => {
            out.push_str("\\x");
            for byte in value {
                push_hex(*byte, out);
            }
        }
    }
    Ok(())
}

pub(super) fn push_hex(byte: u8, out: &mut String) {
    for digit in [byte >> 4, byte & 15] {
        out.push(char::from(if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }));
    }
}

/// A JSON document that `jsonb` can store: without NUL characters and halves of surrogate pairs.
struct StorableJson;

impl<'de> Deserialize<'de> for StorableJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for StorableJson {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON document")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self, E> {
        if value.contains('\0') { Err(E::custom("a string has a NUL character")) } else { Ok(self) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        while entries.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &str, form: Form) -> Result<String, Reason> {
        let mut out = String::new();
        write(value, form, &mut out).map(|()| out).map_err(|fault| fault.reason)
    }

    #[test]
    fn a_text_is_kept_as_it_is() {
        for text in ["", " padded ", "007", "line\nbreak", "\\x00", "NULL", "😀"] {
            assert_eq!(written(text, Form::Plain).as_deref(), Ok(text));
        }
        assert_eq!(written("a\0b", Form::Plain), Err(Reason::TextNul));
    }

    #[test]
    fn json_that_jsonb_refuses_is_a_fault() {
        for json in [r#"{"a": [1, 2.50, null, true, "é"]}"#, "12345678901234567890123", r#""\ud83d\ude00""#] {
            assert_eq!(written(json, Form::Json).as_deref(), Ok(json));
        }
        for json in ["", "{", "NaN", r#""\u0000""#, r#"{"\u0000": 1}"#, r#""\ud83d""#, "1 2"] {
            assert_eq!(written(json, Form::Json), Err(Reason::JsonSyntax), "{json}");
        }
    }

    #[test]
    fn bytes_are_hexadecimal() {
        let mut out = String::new();
        write_bytes(&[0, 0xff, 0x1a], Form::Plain, &mut out).unwrap();
        assert_eq!(out, "\\x00ff1a");
        out.clear();
        write_bytes(&(0..16).collect::<Vec<_>>(), Form::Uuid, &mut out).unwrap();
        assert_eq!(out, "00010203-0405-0607-0809-0a0b0c0d0e0f");
    }

    #[test]
    fn a_row_is_limited() {
        let mut out = "x".repeat(MAX_ROW_BYTES - 1);
        assert_eq!(write("xx", Form::Plain, &mut out).unwrap_err().reason, Reason::RecordTooLong);
        write("x", Form::Plain, &mut out).unwrap();
        assert_eq!(write_bytes(&[0], Form::Plain, &mut out).unwrap_err().reason, Reason::RecordTooLong);
    }
}
