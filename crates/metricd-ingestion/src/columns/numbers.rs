//! The notation of numbers.

use std::borrow::Cow;

use crate::Reason;

/// The maximum number of digits before the point, and after it.
pub(super) const MAX_DIGITS: usize = 38;

/// The greatest exponent that is read. With a greater one, no number but zero has few enough digits.
const MAX_EXPONENT: i32 = 1_000;

/// The longest text that is read as a number, in bytes.
const MAX_TEXT_BYTES: usize = 2_000;

/// Why a text is not a number.
pub(super) type NumberFault = (Reason, &'static str);

const SYNTAX: NumberFault =
    (Reason::NumberInvalid, "expected a number such as `12.50`: digits with a point, no thousands separators");
const AMBIGUOUS: NumberFault = (
    Reason::NumberAmbiguous,
    "the comma may separate thousands or be the decimal sign: write `1234` for thousands, and `1.234` or \
     `--decimal-comma` for a fraction",
);
const COMMA: NumberFault =
    (Reason::NumberInvalid, "expected a point as the decimal sign: pass `--decimal-comma` if the file has commas");
const POINT: NumberFault = (
    Reason::NumberInvalid,
    "expected a comma as the decimal sign, such as `12,50`, and points or blanks only between groups of three digits",
);
const TOO_LONG: NumberFault =
    (Reason::NumberOutOfRange, "expected at most 38 digits before the decimal sign and 38 after it");
const NOT_FINITE: NumberFault =
    (Reason::NumberNotFinite, "`NaN` and infinities are not accepted: expected a finite number, or nothing");
const NOT_WHOLE: NumberFault = (Reason::NumberInvalid, "expected a whole number such as `7`");
const NOT_BIGINT: NumberFault =
    (Reason::NumberOutOfRange, "expected a whole number from -9223372036854775808 to 9223372036854775807");
const NOT_DOUBLE: NumberFault = (
    Reason::NumberOutOfRange,
    "the number is outside the type `double precision`: expected 0, or an absolute value from 5e-324 to 1.7e308",
);

/// The number of digits at the beginning.
#[inline]
pub(super) fn leading_digits(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len())
}

/// Whether the text is a number in PostgreSQL's own notation, so that it can be copied: `-?(0|[1-9]\d*)(\.\d+)?`.
#[inline]
fn is_canonical(bytes: &[u8]) -> bool {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let whole = leading_digits(digits);
    if whole == 0 || whole > MAX_DIGITS || whole > 1 && digits[0] == b'0' {
        return false;
    }
    match digits.get(whole) {
        None => true,
        Some(b'.') => {
            let fraction = &digits[whole + 1..];
            (1..=MAX_DIGITS).contains(&fraction.len()) && leading_digits(fraction) == fraction.len()
        }
        Some(_) => false,
    }
}

/// The number in plain notation, with each digit of its fraction: without a plus sign, leading zeros and an exponent.
///
/// # Errors
///
/// [`NumberFault`] if the text is not a finite number, or has too many digits.
pub(super) fn plain(text: &str) -> Result<Cow<'_, str>, NumberFault> {
    if is_canonical(text.as_bytes()) {
        return Ok(Cow::Borrowed(text));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if ["nan", "inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
        return Err(NOT_FINITE);
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent_of(exponent).ok_or(syntax(text))?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(syntax(text)),
        None => (mantissa, ""),
    };
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
        return Err(syntax(text));
    }
    if text.len() > MAX_TEXT_BYTES || exponent.unsigned_abs() > MAX_EXPONENT.unsigned_abs() {
        return Err(TOO_LONG);
    }
    let mut digits = format!("{whole}{fraction}");
    let point = i32::try_from(whole.len()).map_err(|_| TOO_LONG)? + exponent;
    if point < 0 {
        digits.insert_str(0, &"0".repeat(point.unsigned_abs() as usize));
    }
    let point = usize::try_from(point).unwrap_or(0);
    if point > digits.len() {
        digits.push_str(&"0".repeat(point - digits.len()));
    }
    let (whole, fraction) = digits.split_at(point);
    let whole = whole.trim_start_matches('0');
    if whole.len() > MAX_DIGITS || fraction.len() > MAX_DIGITS {
        return Err(TOO_LONG);
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Ok(Cow::Owned(format!("{sign}{whole}{point}{fraction}")))
}

fn exponent_of(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || leading_digits(digits.as_bytes()) < digits.len() {
        return None;
    }
    // A longer exponent does not fit the type, and is out of range as well.
    Some(text.parse().unwrap_or(MAX_EXPONENT + 1))
}

/// The fault of a text that is not a number: its comma is explained if it has one.
fn syntax(text: &str) -> NumberFault {
    match comma(text) {
        Comma::None => SYNTAX,
        Comma::Ambiguous => AMBIGUOUS,
        Comma::Decimal => COMMA,
    }
}

/// Appends a decimal number to a row.
pub(super) fn write_numeric(text: &str, output: &mut Vec<u8>) -> Result<(), NumberFault> {
    if is_canonical(text.as_bytes()) {
        output.extend_from_slice(text.as_bytes());
        return Ok(());
    }
    output.extend_from_slice(plain(text)?.as_bytes());
    Ok(())
}

/// Appends a whole number to a row. It accepts a fraction of zeros, because tools write `3.0` if a column of integers
/// has gaps.
pub(super) fn write_bigint(text: &str, output: &mut Vec<u8>) -> Result<(), NumberFault> {
    let bytes = text.as_bytes();
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    // Every number of 18 digits fits.
    let is_short = (1..=18).contains(&digits.len()) && (digits[0] != b'0' || bytes.len() == 1);
    if is_short && leading_digits(digits) == digits.len() {
        output.extend_from_slice(bytes);
        return Ok(());
    }
    let number = plain(text)?;
    let whole = match number.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
        Some(_) => return Err(NOT_WHOLE),
        None => &number,
    };
    let number: i64 = whole.parse().map_err(|_| NOT_BIGINT)?;
    output.extend_from_slice(number.to_string().as_bytes());
    Ok(())
}

/// Appends a binary floating-point number to a row, with the fewest digits that identify it.
pub(super) fn write_double(text: &str, output: &mut Vec<u8>) -> Result<(), NumberFault> {
    let number: f64 = text.parse().map_err(|_| syntax(text))?;
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    if number == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
        return Err(NOT_DOUBLE);
    }
    if number.is_finite() {
        output.extend_from_slice(ryu::Buffer::new().format_finite(number).as_bytes());
    } else if text.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err(NOT_DOUBLE);
    } else {
        let name: &[u8] = match number {
            number if number.is_nan() => b"NaN",
            number if number > 0.0 => b"Infinity",
            _ => b"-Infinity",
        };
        output.extend_from_slice(name);
    }
    Ok(())
}

/// The characters that separate groups of three digits if a comma is the decimal sign: a point, or a blank, which French
/// programs write as one that does not break the line.
const GROUP_SEPARATORS: [char; 4] = ['.', ' ', '\u{a0}', '\u{202f}'];

/// A number whose decimal sign is a comma, with a point instead. Points or blanks in it separate groups of three digits.
/// `None` if it has another form. A text without any of them is returned as it is.
pub(super) fn with_point(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b',' | b'.' | b' ') || !byte.is_ascii()) {
        return Some(Cow::Borrowed(text));
    }
    let (sign, unsigned) = text.split_at(usize::from(text.starts_with(['-', '+'])));
    let (whole, fraction) = match unsigned.split_once(',') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    if fraction.is_some_and(|fraction| fraction.contains(',') || fraction.contains(GROUP_SEPARATORS)) {
        return None;
    }
    let separator = whole.chars().find(|character| GROUP_SEPARATORS.contains(character)).unwrap_or('.');
    let mut groups = whole.split(separator);
    let first = groups.next().unwrap_or_default();
    let is_grouped = whole.len() > first.len();
    let is_group = |group: &str| group.len() == 3 && leading_digits(group.as_bytes()) == 3;
    if is_grouped && (first.is_empty() || first.len() > 3 || first.starts_with('0') || !groups.all(is_group)) {
        return None;
    }
    let whole = whole.replace(separator, "");
    Some(Cow::Owned(match fraction {
        Some(fraction) => format!("{sign}{whole}.{fraction}"),
        None => format!("{sign}{whole}"),
    }))
}

/// A number whose decimal sign is a comma, with a point instead.
///
/// # Errors
///
/// [`NumberFault`] if its points do not separate thousands.
pub(super) fn require_point(text: &str) -> Result<Cow<'_, str>, NumberFault> {
    with_point(text).ok_or(POINT)
}

/// What a comma in a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comma {
    /// The text is not a number with commas.
    None,
    /// The comma may separate thousands, as in `1,234`.
    Ambiguous,
    /// The comma is the decimal sign, as in `12,5`.
    Decimal,
}

/// What the comma of a number shows, which has no point.
pub(super) fn comma(number: &str) -> Comma {
    let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
    match digits.split_once(',') {
        Some(_) if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b',') => Comma::None,
        // A number cannot have two decimal signs.
        Some((_, rest)) if rest.contains(',') => Comma::Ambiguous,
        Some((first, rest)) if (1..=3).contains(&first.len()) && !first.starts_with('0') && rest.len() == 3 => {
            Comma::Ambiguous
        }
        Some(_) => Comma::Decimal,
        None => Comma::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_after_a_comma_may_be_thousands() {
        for ambiguous in ["1,234", "-12,000", "999,999,999", "12,34,567"] {
            assert_eq!(comma(ambiguous), Comma::Ambiguous, "{ambiguous}");
        }
        for decimal in ["12,5", "1234,567", "-0,50", ",125", "1,2345", "1,", "0,125"] {
            assert_eq!(comma(decimal), Comma::Decimal, "{decimal}");
        }
        for other in ["", "7", "1.5", "1.234,50", "a,b", "1,234.50"] {
            assert_eq!(comma(other), Comma::None, "{other}");
        }
    }

    #[test]
    fn a_number_is_written_plainly_with_its_scale() {
        for (text, expected) in [
            ("0", "0"),
            ("-0.50", "-0.50"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            ("+007.10", "7.10"),
            ("1e5", "100000"),
            ("1.50E+1", "15.0"),
            ("125e-3", "0.125"),
            ("-1.2e-3", "-0.0012"),
            ("0e9", "0"),
            ("1e37", &format!("1{}", "0".repeat(37))),
            (&"9".repeat(38), &"9".repeat(38)),
        ] {
            assert_eq!(plain(text).as_deref(), Ok(expected), "{text}");
        }
        let reason = |text: &str| plain(text).unwrap_err().0;
        for text in ["", "-", ".", "5.", "1e", "1e+", "1e1.5", "0x10", "1_000", "1 000", "--1", "e5", "½", "٣"] {
            assert_eq!(reason(text), Reason::NumberInvalid, "{text:?}");
        }
        for text in ["1e38", "1e-39", "1e99999999999999999999", "1e-2147483648", &"9".repeat(39), &"1".repeat(3_000)] {
            assert_eq!(reason(text), Reason::NumberOutOfRange, "{text:?}");
        }
        for text in ["NaN", "-inf", "Infinity"] {
            assert_eq!(reason(text), Reason::NumberNotFinite, "{text:?}");
        }
        assert_eq!(reason("1,234"), Reason::NumberAmbiguous);
        assert!(plain("12,5").unwrap_err().1.contains("--decimal-comma"));
    }

    #[test]
    fn a_decimal_comma_becomes_a_point() {
        for (text, expected) in [
            ("1.234,56", "1234.56"),
            ("1234,5", "1234.5"),
            ("-1.234.567", "-1234567"),
            ("12", "12"),
            (",5", ".5"),
            ("0,125", "0.125"),
            ("1 234,56", "1234.56"),
            ("-12\u{202f}000,00", "-12000.00"),
            ("1\u{a0}200", "1200"),
        ] {
            assert_eq!(with_point(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "1.5",
            "1.23,4",
            "0.123",
            ".123",
            "1234.567",
            "1,2,3",
            "1,234.56",
            "1..234",
            "1.2345",
            "1 23",
            "1.234 567",
            "1 ,5",
        ] {
            assert_eq!(with_point(text), None, "{text}");
        }
    }
}
