//! Encodes single values from PostgreSQL's formats as JSON.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::array::write_array;
use super::array_literal::write_array_literal;
use super::calendar::{write_date, write_timestamp};
use super::digits::write_integer;
use super::number::{write_float, write_numeric};

/// The format of the values of a column: PostgreSQL's binary format for the types below, and its text format for all
/// others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldType {
    /// `boolean`.
    Boolean,
    /// `smallint`.
    SmallInt,
    /// `integer`.
    Integer,
    /// `bigint`.
    BigInt,
    /// `oid`.
    Oid,
    /// `real`.
    Real,
    /// `double precision`.
    Double,
    /// `numeric`, with the digits that its type declares, as in `numeric(12,2)`.
    Numeric(Option<DeclaredDigits>),
    /// A number that is written as a text with every digit, for readers that keep numbers as floats. Only columns on
    /// their way to a writer have it: [`Numbers::columns`](super::Numbers::columns).
    Quoted(Box<FieldType>),
    /// `text`, `character varying`, `character`, `name` and enums; also every other type in its text format.
    Text,
    /// `date`.
    Date,
    /// `timestamp without time zone`.
    Timestamp,
    /// `timestamp with time zone`.
    TimestampTz,
    /// `uuid`.
    Uuid,
    /// `json`.
    Json,
    /// `jsonb`.
    Jsonb,
    /// `bytea`.
    Bytea,
    /// `void`, the result of a function that returns nothing.
    Void,
    /// An array of one of the other types, of any number of dimensions.
    Array(Box<FieldType>),
    /// The text format of an array: `{a,b}`, of any number of dimensions.
    ArrayLiteral {
        /// The type of an element: [`FieldType::Text`], or an array.
        element: Box<FieldType>,
        /// The delimiter between elements, by their type: a comma for all but a few types.
        delimiter: u8,
    },
}

/// The digits that the type of a `numeric` declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclaredDigits {
    /// The number of all digits: 1 to 1000.
    pub precision: u16,
    /// The number of digits after the point: -1000 to 1000.
    pub scale: i16,
}

impl FieldType {
    /// Whether a value has at least as many bytes in JSON and CSV as in the binary format, apart from one version byte.
    pub(super) fn is_longer_as_text(&self) -> bool {
        matches!(self, Self::Text | Self::Json | Self::Bytea)
    }
}

/// The bytes are not in the format of their type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads big-endian numbers from the front of bytes.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.take().map(u16::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Malformed> {
        self.take().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        self.take().map(i32::from_be_bytes)
    }
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed)
}

/// Decodes UTF-8. A database with the encoding `SQL_ASCII` may send other bytes.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}

/// Writes a value as JSON.
pub(super) fn write_value(field_type: &FieldType, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    // Writing into a vector cannot fail.
    match field_type {
        FieldType::Boolean => match bytes {
            [0] => out.extend_from_slice(b"false"),
            [1] => out.extend_from_slice(b"true"),
            _ => return Err(Malformed),
        },
        FieldType::SmallInt => write_integer(i16::from_be_bytes(exactly(bytes)?), out),
        FieldType::Integer => write_integer(i32::from_be_bytes(exactly(bytes)?), out),
        FieldType::BigInt => write_integer(i64::from_be_bytes(exactly(bytes)?), out),
        FieldType::Oid => write_integer(u32::from_be_bytes(exactly(bytes)?), out),
        FieldType::Real => write_float(f32::from_be_bytes(exactly(bytes)?), out),
        FieldType::Double => write_float(f64::from_be_bytes(exactly(bytes)?), out),
        FieldType::Numeric(_) => write_numeric(bytes, out)?,
        FieldType::Quoted(number) => {
            let begin = out.len();
            write_value(number, bytes, out)?;
            // NaN and the infinities are strings already.
            if out.get(begin) != Some(&b'"') {
                out.insert(begin, b'"');
                out.push(b'"');
            }
        }
        // Most texts are plain. One scan of all bytes is faster than a serializer, which inspects each byte.
        FieldType::Text if is_plain(bytes) => {
            out.push(b'"');
            out.extend_from_slice(bytes);
            out.push(b'"');
        }
        FieldType::Text => write_text(utf8(bytes)?, out)?,
        FieldType::Date => write_date(i32::from_be_bytes(exactly(bytes)?), out),
        FieldType::Timestamp => write_timestamp(i64::from_be_bytes(exactly(bytes)?), false, out),
        FieldType::TimestampTz => write_timestamp(i64::from_be_bytes(exactly(bytes)?), true, out),
        FieldType::Uuid => drop(write!(out, "\"{}\"", Uuid::from_bytes(exactly(bytes)?))),
        FieldType::Json => out.extend_from_slice(utf8(bytes)?.as_bytes()),
        FieldType::Jsonb => match bytes {
            [1, json @ ..] => out.extend_from_slice(utf8(json)?.as_bytes()),
            _ => return Err(Malformed),
        },
        FieldType::Bytea => drop(write!(out, "\"{}\"", STANDARD.encode(bytes))),
        FieldType::Void => out.extend_from_slice(b"\"\""),
        FieldType::Array(element) => write_array(element, bytes, out)?,
        FieldType::ArrayLiteral { element, delimiter } => write_array_literal(element, *delimiter, bytes, out)?,
    }
    Ok(())
}

/// The number of bytes of a text that are scanned at once.
const WORD_BYTES: usize = size_of::<u64>();

/// Whether the bytes are ASCII that JSON does not escape.
fn is_plain(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks();
    let last = match bytes.last_chunk() {
        // Some bytes are scanned twice, which is faster than single bytes.
        Some(last) => is_plain_word(*last),
        None => rest.iter().all(|byte| is_plain_word([*byte; WORD_BYTES])),
    };
    last && words.iter().all(|word| is_plain_word(*word))
}

/// Whether the bytes of one word are plain. The highest bit of a byte is set if the byte, or one before it, is not
/// ASCII or has to be escaped.
fn is_plain_word(bytes: [u8; WORD_BYTES]) -> bool {
    let each = |byte: u8| u64::from_le_bytes([byte; WORD_BYTES]);
    let word = u64::from_le_bytes(bytes);
    let is_less = |word: u64, than: u8| word.wrapping_sub(each(than)) & !word;
    let is_escaped = is_less(word, b' ') | is_less(word ^ each(b'"'), 1) | is_less(word ^ each(b'\\'), 1);
    (word | is_escaped) & each(0x80) == 0
}

/// Writes a text as a JSON string.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) -> Result<(), Malformed> {
    serde_json::to_writer(out, text).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(field_type: &FieldType, bytes: &[u8]) -> Result<String, Malformed> {
        let mut out = Vec::new();
        write_value(field_type, bytes, &mut out).map(|()| String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn texts_are_escaped() {
        assert_eq!(
            json(&FieldType::Text, "a\"\\\n\u{1}\u{1f600}".as_bytes()).unwrap(),
            "\"a\\\"\\\\\\n\\u0001\u{1f600}\""
        );
        for field_type in [FieldType::Text, FieldType::Json] {
            assert_eq!(json(&field_type, b"\xff"), Err(Malformed));
        }
        assert_eq!(json(&FieldType::Jsonb, b"\x01\xff"), Err(Malformed));
    }

    #[test]
    fn a_character_is_written_the_same_next_to_unescaped_ones() {
        for character in (0..=0x2ff).filter_map(char::from_u32) {
            let text = format!("some text with {character} in it");
            assert_eq!(json(&FieldType::Text, text.as_bytes()).unwrap(), serde_json::to_string(&text).unwrap());
        }
        assert_eq!(json(&FieldType::Text, b"some text with \xff in it"), Err(Malformed));
        assert_eq!(json(&FieldType::Text, b"").unwrap(), "\"\"");
    }

    #[test]
    fn a_character_that_needs_an_escape_is_found_at_every_position() {
        for character in ['"', '\\', '\0', '\n', '\u{1f}', ' ', '!', '#', '[', ']', '\u{7f}', '\u{80}', '\u{1f600}'] {
            for (before, after) in (0..20).flat_map(|before| (0..20).map(move |after| (before, after))) {
                let text = format!("{}{character}{}", "b".repeat(before), "a".repeat(after));
                assert_eq!(json(&FieldType::Text, text.as_bytes()).unwrap(), serde_json::to_string(&text).unwrap());
            }
        }
    }

    #[test]
    fn quoted_numbers_are_strings() {
        let quoted = |number| FieldType::Quoted(Box::new(number));
        assert_eq!(json(&quoted(FieldType::BigInt), &i64::MIN.to_be_bytes()).unwrap(), "\"-9223372036854775808\"");
        let nan = [0, 0, 0, 0, 0xC0, 0, 0, 0];
        assert_eq!(json(&quoted(FieldType::Numeric(None)), &nan).unwrap(), "\"NaN\"");
        assert_eq!(json(&quoted(FieldType::BigInt), b"x"), Err(Malformed));
    }

    fn field_types() -> impl Strategy<Value = FieldType> {
        use FieldType::*;
        let plain = vec![
            Boolean,
            SmallInt,
            Integer,
            BigInt,
            Oid,
            Real,
            Double,
            Numeric(None),
            Text,
            Date,
            Timestamp,
            TimestampTz,
            Uuid,
            Json,
            Jsonb,
            Bytea,
            Void,
        ];
        prop_oneof![
            prop::sample::select(plain.clone()),
            Just(ArrayLiteral { element: Box::new(Text), delimiter: b',' }),
            prop::sample::select(plain).prop_map(|element| Array(Box::new(element))),
        ]
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(field_type in field_types(), bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = json(&field_type, &bytes);
        }

        #[test]
        fn values_are_written_as_valid_json(text: String, number: i64, float: f64) {
            for (field_type, bytes) in [
                (FieldType::Text, text.as_bytes().to_vec()),
                (FieldType::BigInt, number.to_be_bytes().to_vec()),
                (FieldType::Double, float.to_be_bytes().to_vec()),
            ] {
                let json = json(&field_type, &bytes).unwrap();
                prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
            }
        }
    }
}
