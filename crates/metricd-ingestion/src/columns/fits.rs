//! The types that a value fits, and the notations that it looks like, as a set of bits.

use super::format::ValueFormat;
use super::{documents, looks, numbers, times};
use crate::CellKind;

/// Types that a column may have.
pub(super) const BOOLEAN: u32 = 1;
pub(super) const BIGINT: u32 = 1 << 1;
pub(super) const NUMERIC: u32 = 1 << 2;
pub(super) const DATE: u32 = 1 << 3;
pub(super) const TIMESTAMP: u32 = 1 << 4;
pub(super) const TIMESTAMPTZ: u32 = 1 << 5;
pub(super) const UUID: u32 = 1 << 6;
pub(super) const JSONB: u32 = 1 << 7;

/// Every type but text, which any value fits.
pub(super) const TYPES: u32 = 0xff;

/// The types of values that say when.
pub(super) const TIMES: u32 = DATE | TIMESTAMP | TIMESTAMPTZ;

/// Notations that are not guessed: they only lead to a hint.
pub(super) const DMY_SLASH: u32 = 1 << 8;
pub(super) const DMY_DOT: u32 = 1 << 9;
pub(super) const DMY_DASH: u32 = 1 << 10;
pub(super) const MDY_SLASH: u32 = 1 << 11;
pub(super) const MDY_DASH: u32 = 1 << 12;
pub(super) const YMD_SLASH: u32 = 1 << 13;
pub(super) const YMD_DOT: u32 = 1 << 14;
pub(super) const TIME_NONE: u32 = 1 << 15;
pub(super) const TIME_MINUTES: u32 = 1 << 16;
pub(super) const TIME_SECONDS: u32 = 1 << 17;
pub(super) const YEAR_LONG: u32 = 1 << 18;
pub(super) const YEAR_SHORT: u32 = 1 << 19;
pub(super) const DECIMAL_COMMA: u32 = 1 << 20;
pub(super) const THOUSANDS: u32 = 1 << 21;
pub(super) const CURRENCY: u32 = 1 << 22;
pub(super) const PERCENT: u32 = 1 << 23;
pub(super) const YES_NO: u32 = 1 << 24;
pub(super) const TRAILING_MINUS: u32 = 1 << 25;

pub(super) const TIME_MINUTES_12: u32 = 1 << 26;
pub(super) const TIME_SECONDS_12: u32 = 1 << 27;
/// A date with the name of a month.
pub(super) const MONTH_NAME: u32 = 1 << 28;

/// Every notation.
pub(super) const LOOKS: u32 = ALL & !TYPES;

/// Every type and every notation.
pub(super) const ALL: u32 = (1 << 29) - 1;

/// The orders of day, month and year, with their separators.
pub(super) const DATE_ORDERS: u32 = DMY_SLASH | DMY_DOT | DMY_DASH | MDY_SLASH | MDY_DASH | YMD_SLASH | YMD_DOT;

/// The parts of a notation of dates. A column of dates has one of each.
pub(super) const DATE_GROUPS: [u32; 3] = [DATE_ORDERS, CLOCKS, YEAR_LONG | YEAR_SHORT];

/// The notations of the time of a day.
const CLOCKS: u32 = TIME_NONE | TIME_MINUTES | TIME_SECONDS | TIME_MINUTES_12 | TIME_SECONDS_12;

/// Every bit about the notation of dates.
pub(super) const DATE_NOTATION: u32 = DATE_GROUPS[0] | DATE_GROUPS[1] | DATE_GROUPS[2];

/// The notations that plain numbers may be mixed with.
const BESIDE_INTEGERS: u32 = DECIMAL_COMMA | THOUSANDS | CURRENCY | PERCENT | TRAILING_MINUS;
const BESIDE_DECIMALS: u32 = THOUSANDS | CURRENCY | PERCENT | TRAILING_MINUS;

/// The number of digits from which a whole number is text, because a program in JavaScript would lose digits.
pub(super) const IDENTIFIER_DIGITS: usize = 17;

/// The types that a value fits, and the notations that it looks like. Only those in `wanted` are looked for. Text of
/// the kind [`CellKind::Untyped`] is trimmed, and not empty.
pub(super) fn of(kind: CellKind, text: &str, wanted: u32, format: &ValueFormat) -> u32 {
    match kind {
        CellKind::Null | CellKind::Typed => 0,
        CellKind::Boolean => BOOLEAN,
        CellKind::Number => of_number(text),
        CellKind::Json => json(text, wanted),
        CellKind::String => of_string(text, wanted, format),
        CellKind::Untyped => of_untyped(text, wanted, format),
    }
}

fn of_untyped(text: &str, wanted: u32, format: &ValueFormat) -> u32 {
    if format.has_dates() {
        let found = of_dates(text, format);
        if found != 0 {
            return found;
        }
    }
    let bytes = text.as_bytes();
    let mut found = match bytes.first() {
        Some(b'0'..=b'9' | b'-' | b'.') if format.decimal_comma => of_digits(bytes) & TIMES | of_comma_number(text),
        Some(b'0'..=b'9' | b'-' | b'.') => of_digits(bytes),
        Some(b't' | b'T' | b'f' | b'F') if is_boolean(bytes) => BOOLEAN | YES_NO,
        Some(b'{' | b'[') => json(text, wanted),
        _ => 0,
    };
    if found & TIMES != 0 && !format.accepts_iso {
        found = 0;
    }
    if found == 0 && is_uuid(bytes) {
        found = UUID;
    }
    if found == 0 && wanted & LOOKS != 0 { looks::of(text, format) } else { found }
}

fn of_string(text: &str, wanted: u32, format: &ValueFormat) -> u32 {
    if format.has_dates() {
        let found = of_dates(text, format);
        if found != 0 {
            return found;
        }
    }
    let bytes = text.as_bytes();
    if is_uuid(bytes) {
        return UUID;
    }
    let found = if format.accepts_iso { of_digits(bytes) & TIMES } else { 0 };
    if found == 0 && wanted & (DATE_ORDERS | MONTH_NAME) != 0 { looks::of_dates(text) } else { found }
}

/// The type of a text in the declared notation of dates.
fn of_dates(text: &str, format: &ValueFormat) -> u32 {
    format.iso(text).map_or(0, |iso| of_digits(iso.as_bytes()) & TIMES)
}

fn of_comma_number(text: &str) -> u32 {
    let found = numbers::with_point(text).map_or(0, |number| of_digits(number.as_bytes()));
    // A whole number may be mixed with those that have a comma.
    found & (BIGINT | NUMERIC | BESIDE_INTEGERS)
}

fn of_digits(bytes: &[u8]) -> u32 {
    let is_negative = bytes.first() == Some(&b'-');
    let digits = &bytes[usize::from(is_negative)..];
    let whole = numbers::leading_digits(digits);
    let has_leading_zero = whole > 1 && digits[0] == b'0';
    match digits.get(whole) {
        None if whole == 0 || whole >= IDENTIFIER_DIGITS || has_leading_zero => 0,
        None => BIGINT | NUMERIC | BESIDE_INTEGERS,
        Some(b'.') => {
            let fraction = &digits[whole + 1..];
            let is_fraction = !fraction.is_empty() && numbers::leading_digits(fraction) == fraction.len();
            let is_short = whole <= numbers::MAX_DIGITS && fraction.len() <= numbers::MAX_DIGITS;
            // `1.234` is a whole number if a comma is the decimal sign.
            let is_group = fraction.len() == 3 && whole <= 3 && digits[0] != b'0';
            let comma = if is_group { DECIMAL_COMMA } else { 0 };
            if is_fraction && is_short && !has_leading_zero { NUMERIC | BESIDE_DECIMALS | comma } else { 0 }
        }
        Some(b'-') if whole == 4 && !is_negative => match bytes.len() {
            10 if times::is_day(bytes) => DATE,
            10 => 0,
            _ => match times::timestamp(bytes) {
                Some(stamp) if stamp.offset.is_some() => TIMESTAMPTZ,
                Some(_) => TIMESTAMP,
                None => 0,
            },
        },
        Some(_) => 0,
    }
}

fn of_number(text: &str) -> u32 {
    let bytes = text.as_bytes();
    let digits = &bytes[usize::from(bytes.first() == Some(&b'-'))..];
    if !digits.is_empty() && numbers::leading_digits(digits) == digits.len() && text.parse::<i64>().is_ok() {
        return BIGINT | NUMERIC;
    }
    if numbers::plain(text).is_ok() { NUMERIC } else { 0 }
}

fn json(text: &str, wanted: u32) -> u32 {
    if wanted & JSONB != 0 && text.trim_start().starts_with(['{', '[']) && documents::validate(text).is_ok() {
        JSONB
    } else {
        0
    }
}

fn is_boolean(bytes: &[u8]) -> bool {
    bytes.eq_ignore_ascii_case(b"true") || bytes.eq_ignore_ascii_case(b"false")
}

/// Whether the text has the form 8-4-4-4-12 of hexadecimal digits.
pub(super) fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Whether the text looks like a value of a type other than text, or like no value, and not like the name of a column.
pub(crate) fn is_data(text: &str) -> bool {
    let Ok(format) = ValueFormat::new(&metricd_domain::ReadOptions::default()) else { return false };
    let text = super::format::trim(text);
    text.is_empty() || of(CellKind::Untyped, text, ALL, &format) & !(YES_NO | MONTH_NAME) != 0
}
