//! How files are read into a table, where their content does not decide it.

use serde::{Deserialize, Serialize};

/// The choices that the content of a file cannot show. By default, nothing is guessed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadOptions {
    /// The encoding of a text file, by its name in the WHATWG Encoding Standard, such as `windows-1252`. `None` for
    /// UTF-8, or UTF-16 with a byte order mark.
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
    /// The sheet of a workbook. `None` for the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// Whether the first row of a text file has values instead of names. The columns have no names then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_header: bool,
}

impl ReadOptions {
    /// Whether nothing is chosen.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// These choices, and those of `other` about what these leave open.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let nulls = if self.nulls.is_empty() { &other.nulls } else { &self.nulls };
        Self {
            encoding: self.encoding.clone().or_else(|| other.encoding.clone()),
            delimiter: self.delimiter.or(other.delimiter),
            decimal_comma: self.decimal_comma || other.decimal_comma,
            date_format: self.date_format.clone().or_else(|| other.date_format.clone()),
            nulls: nulls.clone(),
            sheet: self.sheet.clone().or_else(|| other.sheet.clone()),
            no_header: self.no_header || other.no_header,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_choices_are_those_of_the_others() {
        let text = |text: &str| Some(text.to_owned());
        let first = ReadOptions { encoding: text("utf-16le"), no_header: true, ..ReadOptions::default() };
        let others = ReadOptions {
            encoding: text("windows-1252"),
            delimiter: Some(';'),
            decimal_comma: true,
            date_format: text("%d.%m.%Y"),
            nulls: vec!["NA".to_owned()],
            sheet: text("B"),
            no_header: false,
        };
        assert_eq!(first.or(&others), ReadOptions { encoding: text("utf-16le"), no_header: true, ..others.clone() });
        assert_eq!(others.or(&first), ReadOptions { no_header: true, ..others.clone() });
        assert_eq!(first.or(&ReadOptions::default()), first);
    }
}
