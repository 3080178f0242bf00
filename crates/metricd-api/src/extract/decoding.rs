//! Percent-encoded text of a target, read strictly: what is not UTF-8 is refused, not repaired. A repaired value would be
//! another one, as a filter for instance, and nobody would see it.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;

/// How much of a text that cannot be read is shown.
const MAX_SHOWN_CHARS: usize = 100;

/// Why a text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InvalidEncoding {
    /// A percent sign is not followed by two hexadecimal digits; what stands there.
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
                    "`{found}` is no byte: expected two hexadecimal digits after `%`, which itself is `%25`"
                )
            }
            Self::NotUtf8 => formatter.write_str("expected UTF-8, percent-encoded"),
        }
    }
}

/// Decodes the text.
pub(crate) fn decode(text: &str) -> Result<Cow<'_, str>, InvalidEncoding> {
    for (start, _) in text.match_indices('%') {
        let escape: String = text.get(start..).unwrap_or_default().chars().take(3).collect();
        if escape.len() != 3 || !escape.bytes().skip(1).all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidEncoding::Escape(escape));
        }
    }
    percent_decode_str(text).decode_utf8().map_err(|_| InvalidEncoding::NotUtf8)
}

/// Decodes a name or a value of a query string, in which `+` is a blank.
pub(crate) fn decode_form(text: &str) -> Result<Cow<'_, str>, InvalidEncoding> {
    if !text.contains('+') {
        return decode(text);
    }
    decode(&text.replace('+', " ")).map(|decoded| Cow::Owned(decoded.into_owned()))
}

/// As much of a text as a message shows.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
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
    fn what_cannot_be_read_is_refused() {
        for text in ["caf%E9", "%C3", "%ed%a0%80", "%f8%88%80%80%80", "%c0%80"] {
            assert_eq!(decode(text), Err(InvalidEncoding::NotUtf8), "{text}");
        }
        for (text, found) in [("100%", "%"), ("%zz", "%zz"), ("a%4", "%4"), ("%%41", "%%4"), ("%é1", "%é1")] {
            assert_eq!(decode(text), Err(InvalidEncoding::Escape(found.to_owned())), "{text}");
        }
    }
}
