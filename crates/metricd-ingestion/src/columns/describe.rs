//! Describes single values, for people.

use super::fits::{self, ALL, BIGINT, BOOLEAN, DATE, IDENTIFIER_DIGITS, JSONB, NUMERIC, TIMESTAMP, TIMESTAMPTZ, UUID};
use super::format::ValueFormat;
use super::numbers::{MAX_DIGITS, leading_digits, plain};
use super::{documents, looks, times};
use crate::CellKind;

/// What a value is, after a comma: `a number with leading zeros`. `None` if it is just a text.
pub(super) fn describe(kind: CellKind, value: &str, format: &ValueFormat) -> Option<String> {
    let found = fits::of(kind, value, ALL, format);
    let known = match found {
        found if found & BOOLEAN != 0 => Some("a boolean"),
        found if found & BIGINT != 0 => Some("a whole number"),
        found if found & NUMERIC != 0 => Some("a decimal number"),
        found if found & DATE != 0 => Some("a date"),
        found if found & TIMESTAMP != 0 => Some("a timestamp without an offset"),
        found if found & TIMESTAMPTZ != 0 => Some("a timestamp with an offset"),
        found if found & UUID != 0 => Some("a UUID"),
        found if found & JSONB != 0 => Some("a JSON object or array"),
        _ => None,
    };
    match (known, kind) {
        (Some(known), _) => Some(known.to_owned()),
        (None, CellKind::String) => describe_time(value).or(Some("a text")).map(str::to_owned),
        (None, CellKind::Number) => Some("a number that cannot be stored exactly".to_owned()),
        (None, CellKind::Json) => documents::validate(value).err().map(|message| format!("invalid JSON: {message}")),
        (None, _) => describe_text(value),
    }
}

fn describe_text(value: &str) -> Option<String> {
    if looks::is_null_spelling(value) {
        return Some("which often means no value".to_owned());
    }
    if value.starts_with(['{', '[']) {
        return documents::validate(value).err().map(|message| format!("invalid JSON: {message}"));
    }
    describe_number(value).or_else(|| describe_time(value).map(str::to_owned))
}

fn describe_number(value: &str) -> Option<String> {
    let unsigned = value.strip_prefix(['-', '+']).unwrap_or(value);
    let digits = leading_digits(unsigned.as_bytes());
    if ["nan", "inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
        return Some("not a finite number".to_owned());
    }
    if digits > 0 && digits == unsigned.len() && digits >= IDENTIFIER_DIGITS {
        let reason = "more likely an identifier, and JavaScript would lose digits";
        return Some(format!("a whole number of {digits} digits: {reason}"));
    }
    let is_number = |text: &str| plain(text).is_ok();
    let description = if !is_number(value) {
        let is_long = digits > MAX_DIGITS || unsigned.len() > digits + 1 + MAX_DIGITS;
        let is_plain = unsigned.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if is_long && is_plain { "a number with more than 38 digits" } else { return None }
    } else if value.starts_with('+') {
        "a number with a plus sign"
    } else if value.contains(['e', 'E']) {
        "a number with an exponent"
    } else if digits > 1 && unsigned.starts_with('0') {
        "a number with leading zeros"
    } else {
        return None;
    };
    Some(description.to_owned())
}

/// Explains a text that is nearly a date or a timestamp.
fn describe_time(value: &str) -> Option<&'static str> {
    let bytes = value.as_bytes();
    let day = bytes.get(..10).filter(|day| times::is_written_as_day(day))?;
    if !times::is_day(day) {
        return Some("a day that does not exist");
    }
    let fraction = value.rsplit_once('.').map_or(0, |(_, fraction)| leading_digits(fraction.as_bytes()));
    Some(if fraction > 6 { "a timestamp finer than microseconds" } else { "not a timestamp in ISO 8601" })
}
