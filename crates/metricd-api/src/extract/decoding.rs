//! Strict percent-decoding. Text that is not UTF-8 is refused: a repaired value would silently be another value, for
//! example another filter.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;

/// How much of an invalid text is shown.
const MAX_SHOWN_TEXT_CHARS: usize = 100;

/// Why a text cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InvalidEncoding {
    /// A percent sign without two hexadecimal digits, with what follows it.
    Escape(String),
    /// The bytes are not UTF-8.
    NotUtf8,
}

impl fmt::Display for InvalidEncoding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Escape(found) => {
                write!(
                    formatter,
                    "`{found}` is not a percent-encoded byte: expected two hexadecimal digits after `%`; a percent sign is `%25`"
                )
            }
            Self::NotUtf8 => formatter.write_str("expected UTF-8, percent-encoded"),
        }
    }
}

/// Decodes percent-encoded text.
pub(crate) fn decode(text: &str) -> Result<Cow<'_, str>, InvalidEncoding> {
    for (start, _) in text.match_indices('%') {
        let escape: String = text.get(start..).unwrap_or_default().chars().take(3).collect();
        if escape.len() != 3 || !escape.bytes().skip(1).all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidEncoding::Escape(escape));
        }
    }
    percent_decode_str(text).decode_utf8().map_err(|_| InvalidEncoding::NotUtf8)
}

/// Decodes a name or a value of a query string, in which `+` is a space.
pub(crate) fn decode_form(text: &str) -> Result<Cow<'_, str>, InvalidEncoding> {
    if !text.contains('+') {
        return decode(text);
    }
    decode(&text.replace('+', " ")).map(|decoded| Cow::Owned(decoded.into_owned()))
}

/// The beginning of a text, for a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN_TEXT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_decoded() {
        for (text, decoded) in [
            ("", ""),
            ("a+b", "a b"),
            ("%2B%25", "+%"),
            ("caf%C3%A9", "café"),
            ("caf%c3%a9+é", "café é"),
            ("%00", "\0"),
        ] {
            assert_eq!(decode_form(text).unwrap(), decoded, "{text}");
        }
        assert_eq!(decode("a+b").unwrap(), "a+b");
    }

    #[test]
    fn invalid_encodings_are_refused() {
        for text in ["caf%E9", "%C3", "%ed%a0%80", "%f8%88%80%80%80", "%c0%80"] {
            assert_eq!(decode(text), Err(InvalidEncoding::NotUtf8), "{text}");
        }
        for (text, found) in [("100%", "%"), ("%zz", "%zz"), ("a%4", "%4"), ("%%41", "%%4"), ("%é1", "%é1")] {
            assert_eq!(decode(text), Err(InvalidEncoding::Escape(found.to_owned())), "{text}");
        }
    }
}
