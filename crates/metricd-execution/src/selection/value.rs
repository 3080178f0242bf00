//! Validates values of filters by the type of their column, and writes them as PostgreSQL reads them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use metricd_domain::{ParameterType, ScalarType, TimeZone};

use super::grammar::Element;
use crate::arguments::{unknown_label, with_offset};

/// How the text of a value is validated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Format<'a> {
    /// As the value of a declared parameter.
    Parameter(ScalarType),
    /// A `timestamp with time zone`: an instant, or a local time of the request's zone.
    Instant,
    SmallInt,
    Oid,
    Real,
    Double,
    /// `bytea`, in base64 as in results.
    Bytes,
    /// A label of an enum type.
    Label(&'a [String]),
    /// A JSON document, which PostgreSQL may still refuse.
    Json,
    /// Anything: only PostgreSQL can validate it.
    Unvalidated,
}

impl Format<'_> {
    /// Whether PostgreSQL may refuse a value, or take it for something else by its settings or the clock.
    pub(super) fn is_unvalidated(self) -> bool {
        matches!(self, Self::Json | Self::Unvalidated)
    }

    /// Validates a value of a request in this time zone, and returns it as PostgreSQL reads it.
    ///
    /// # Errors
    ///
    /// What is wrong with the value, and what is expected.
    pub(super) fn parse(self, text: &str, zone: &TimeZone) -> Result<String, String> {
        let expected = |what: &str| format!("`{}` is not valid: expected {what}", metricd_domain::shortened(text, 60));
        if text.contains('\0') {
            return Err("expected text without NUL characters".to_owned());
        }
        if self.specials().contains(&text) {
            return Ok(text.to_owned());
        }
        match self {
            Self::Parameter(ScalarType::Timestamp) if !zone.is_utc() && of(ScalarType::Timestamp).has_offset(text) => {
                Err(with_offset(zone))
            }
            Self::Parameter(scalar) => {
                let value = of(scalar).parse_value(text).map_err(|error| error.to_string())?;
                Ok(value.as_str().to_owned())
            }
            Self::Instant => {
                let value = of(ScalarType::Timestamp).parse_instant(text).map_err(|error| error.to_string())?;
                Ok(value.as_str().to_owned())
            }
            Self::SmallInt => {
                let number: Result<i16, _> = text.parse();
                number.map(|number| number.to_string()).map_err(|_| expected("an integer from -32768 to 32767"))
            }
            Self::Oid => {
                let number: Result<u32, _> = text.parse();
                number.map(|number| number.to_string()).map_err(|_| expected("an integer from 0 to 4294967295"))
            }
            Self::Real => float(text, |text| text.parse::<f32>().ok().map(f64::from)).ok_or_else(|| {
                expected("a number such as `0.5` or `1e10`, of the range of `real`, `NaN`, `Infinity` or `-Infinity`")
            }),
            Self::Double => float(text, |text| text.parse().ok()).ok_or_else(|| {
                expected("a number such as `0.5` or `1e10`, of the range of `double precision`, `NaN`, `Infinity` or `-Infinity`")
            }),
            Self::Bytes => {
                let bytes = STANDARD.decode(text).map_err(|_| expected("bytes in base64, as in the result"))?;
                Ok(bytes.iter().fold("\\x".to_owned(), |hex, byte| hex + &format!("{byte:02x}")))
            }
            Self::Label(labels) => unknown_label(labels, text).map_or_else(|| Ok(text.to_owned()), Err),
            Self::Json => {
                let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_str(text);
                parsed.map(|_| text.to_owned()).map_err(|_| expected("a JSON document"))
            }
            Self::Unvalidated => Ok(text.to_owned()),
        }
    }

    /// The values that results have and declared parameters do not accept.
    fn specials(self) -> &'static [&'static str] {
        match self {
            Self::Parameter(ScalarType::Numeric) | Self::Real | Self::Double => &["NaN", "Infinity", "-Infinity"],
            Self::Parameter(ScalarType::Date | ScalarType::Timestamp) | Self::Instant => &["infinity", "-infinity"],
            _ => &[],
        }
    }

    /// Validates the elements, and returns the literal of an array. An unquoted NULL is one if `has_nulls`.
    ///
    /// # Errors
    ///
    /// What is wrong with the first invalid element.
    pub(super) fn array(self, elements: &[Element], has_nulls: bool, zone: &TimeZone) -> Result<String, String> {
        let literal = |element: &Element| {
            if has_nulls && !element.is_quoted && element.text.eq_ignore_ascii_case("null") {
                return Ok("NULL".to_owned());
            }
            let value = self.parse(&element.text, zone)?;
            Ok(format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
        };
        let literals: Vec<_> = elements.iter().map(literal).collect::<Result<_, String>>()?;
        Ok(format!("{{{}}}", literals.join(",")))
    }
}

fn of(scalar: ScalarType) -> ParameterType {
    ParameterType { scalar, is_array: false }
}

/// The text, if it is a number in decimal digits that `parse` finds to be in the range of its type: neither an infinity,
/// nor so small that it would be zero.
fn float(text: &str, parse: impl Fn(&str) -> Option<f64>) -> Option<String> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number = parse(text).filter(|number| is_decimal && number.is_finite())?;
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let is_underflow = number == 0.0 && mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    (!is_underflow).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::grammar::elements;

    fn zone(name: &str) -> TimeZone {
        TimeZone::parse(name).unwrap()
    }

    #[test]
    fn values_are_parsed_by_the_type_of_the_column() {
        let labels = ["sad".to_owned(), "it's, \"ok\"".to_owned()];
        for (format, text, read) in [
            (Format::Parameter(ScalarType::Text), "'; DROP TABLE x --", "'; DROP TABLE x --"),
            (Format::Parameter(ScalarType::Text), "", ""),
            (Format::Parameter(ScalarType::Integer), "-07", "-7"),
            (Format::Parameter(ScalarType::Numeric), "12.50", "12.50"),
            (Format::Parameter(ScalarType::Numeric), "NaN", "NaN"),
            (Format::Parameter(ScalarType::Numeric), "-Infinity", "-Infinity"),
            (Format::Parameter(ScalarType::Date), "infinity", "infinity"),
            (Format::Parameter(ScalarType::Timestamp), "2025-06-01T12:00:00Z", "2025-06-01T12:00:00"),
            (Format::Instant, "2025-06-01T12:00:00+02:00", "2025-06-01T10:00:00Z"),
            (Format::Instant, "2025-06-01", "2025-06-01T00:00:00"),
            (Format::Instant, "-infinity", "-infinity"),
            (Format::SmallInt, "-32768", "-32768"),
            (Format::Oid, "4294967295", "4294967295"),
            (Format::Real, "3.4e38", "3.4e38"),
            (Format::Double, "1.7976931348623157e308", "1.7976931348623157e308"),
            (Format::Double, "0e-999", "0e-999"),
            (Format::Double, "Infinity", "Infinity"),
            (Format::Bytes, "AP8=", "\\x00ff"),
            (Format::Bytes, "", "\\x"),
            (Format::Label(&labels), "it's, \"ok\"", "it's, \"ok\""),
            (Format::Json, "{\"a\": [1, null]}", "{\"a\": [1, null]}"),
            (Format::Unvalidated, "anything", "anything"),
        ] {
            assert_eq!(format.parse(text, &TimeZone::default()).as_deref(), Ok(read), "{format:?} {text}");
        }
    }

    #[test]
    fn refuses_values_of_other_types_and_words_for_the_clock() {
        let labels = ["sad".to_owned()];
        for (format, text, expected) in [
            (Format::Parameter(ScalarType::Text), "a\0b", "NUL"),
            (Format::Unvalidated, "a\0b", "NUL"),
            (Format::Parameter(ScalarType::Integer), "1.0", "an integer"),
            (Format::Parameter(ScalarType::Integer), "null", "an integer"),
            (Format::Parameter(ScalarType::Integer), "1 OR 1=1", "an integer"),
            (Format::Parameter(ScalarType::Bigint), "9223372036854775808", "an integer"),
            (Format::Parameter(ScalarType::Numeric), "1e5", "plain notation"),
            (Format::Parameter(ScalarType::Numeric), "nan", "plain notation"),
            (Format::Parameter(ScalarType::Boolean), "yes", "`true` or `false`"),
            (Format::Parameter(ScalarType::Date), "today", "a date"),
            (Format::Parameter(ScalarType::Date), "Infinity", "a date"),
            (Format::Parameter(ScalarType::Timestamp), "now", "an instant"),
            (Format::Instant, "tomorrow", "an instant"),
            (Format::Parameter(ScalarType::Uuid), "1", "a UUID"),
            (Format::SmallInt, "32768", "-32768 to 32767"),
            (Format::Oid, "-1", "0 to 4294967295"),
            (Format::Real, "1e39", "the range of `real`"),
            (Format::Real, "1e-60", "the range of `real`"),
            (Format::Double, "1e400", "the range of `double precision`"),
            (Format::Double, "-1e-400", "the range of `double precision`"),
            (Format::Double, "inf", "a number"),
            (Format::Double, "0x10", "a number"),
            (Format::Double, "", "a number"),
            (Format::Bytes, "\\x00", "base64"),
            (Format::Label(&labels), "glad", "one of `sad`"),
            (Format::Json, "{a}", "a JSON document"),
            (Format::Json, "", "a JSON document"),
        ] {
            let message = format.parse(text, &TimeZone::default()).unwrap_err();
            assert!(message.contains(expected), "{format:?} {text}: {message}");
        }
        let timestamp = Format::Parameter(ScalarType::Timestamp);
        assert!(
            timestamp.parse("2025-06-01T12:00:00Z", &zone("Europe/Berlin")).unwrap_err().contains("without an offset")
        );
        assert!(timestamp.parse("2025-06-01T12:00:00", &zone("Europe/Berlin")).is_ok());
        assert!(Format::Instant.parse("2025-06-01T12:00:00Z", &zone("Europe/Berlin")).is_ok());
        let message = Format::Json.parse(&"x".repeat(100_000), &TimeZone::default()).unwrap_err();
        assert!(message.len() < 200, "{message}");
    }

    #[test]
    fn elements_become_an_array_literal() {
        let array = |format: Format<'_>, text: &str, has_nulls| {
            format.array(&elements(text, ('{', '}'), 10).unwrap(), has_nulls, &TimeZone::default())
        };
        let text = Format::Parameter(ScalarType::Text);
        assert_eq!(array(text, "{}", true).as_deref(), Ok("{}"));
        assert_eq!(array(text, r#"{a,"b\"\\,c",null,"NULL"}"#, true).as_deref(), Ok(r#"{"a","b\"\\,c",NULL,"NULL"}"#));
        assert_eq!(array(text, "{null}", false).as_deref(), Ok(r#"{"null"}"#));
        assert_eq!(array(Format::SmallInt, "{1, 02}", true).as_deref(), Ok(r#"{"1","2"}"#));
        assert!(array(Format::SmallInt, "{1,x}", true).unwrap_err().contains("`x` is not valid"));
    }
}
