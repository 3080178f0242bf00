//! How text files are read into a table, where their content does not decide it.

use serde::{Deserialize, Serialize};

/// The choices that the content of a text file cannot show. By default, nothing is guessed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextFormat {
    /// The encoding, by its name in the WHATWG Encoding Standard, such as `windows-1252`. `None` for UTF-8, or UTF-16
    /// with a byte order mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// The character between fields. `None` to detect a comma, a semicolon, a tab or a vertical bar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Whether a comma is the decimal sign of numbers, and a point may separate thousands.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub decimal_comma: bool,
    /// The format of dates and timestamps, with the specifiers of `strftime`, such as `%d/%m/%Y`. `None` for ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_format: Option<String>,
    /// Unquoted texts that mean no value, in addition to an empty field and `\N`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nulls: Vec<String>,
}

impl TextFormat {
    /// Whether nothing is chosen.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
