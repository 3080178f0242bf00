//! Writes numbers with every digit that PostgreSQL stores.

use super::digits::{four_digits, write_short};
use super::field::{Malformed, Reader};

/// Writes a float as the shortest JSON number that parses to the same value. NaN and the infinities are strings.
pub(super) fn write_float<F: ryu::Float + Into<f64> + Copy>(value: F, out: &mut Vec<u8>) {
    let wide: f64 = value.into();
    if wide.is_finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else if wide.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else {
        out.extend_from_slice(if wide > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    }
}

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// PostgreSQL's limit on the scale of a `numeric` (`NUMERIC_DSCALE_MAX`). A greater one is malformed.
const MAX_SCALE: u16 = 0x3FFF;

/// Writes a `numeric` as a JSON number, with as many digits after the point as PostgreSQL stores.
///
/// The binary format is that of `numeric_send` in PostgreSQL's `numeric.c`: the number of digits, the weight of the
/// first digit, the sign, the number of decimals to show, and the digits, each from 0 to 9999. The value is the sum of
/// `digit[i] * 10000 ^ (weight - i)`.
pub(super) fn write_numeric(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut reader = Reader(bytes);
    let count = usize::from(reader.u16()?);
    let weight = i32::from(reader.i16()?);
    let sign = reader.u16()?;
    let scale = reader.u16()?;
    match sign {
        POSITIVE | NEGATIVE => {}
        NAN => return write_word("NaN", out),
        INFINITY => return write_word("Infinity", out),
        NEGATIVE_INFINITY => return write_word("-Infinity", out),
        _ => return Err(Malformed),
    }
    let (digits, rest) = reader.0.as_chunks();
    let value = |digit: &[u8; 2]| u16::from_be_bytes(*digit);
    if digits.len() != count
        || !rest.is_empty()
        || scale > MAX_SCALE
        || !digits.iter().all(|digit| value(digit) < 10_000)
    {
        return Err(Malformed);
    }
    let digit = |position: i32| {
        let index = usize::try_from(weight - position).ok();
        index.and_then(|index| digits.get(index)).map(value).unwrap_or_default()
    };
    if sign == NEGATIVE {
        out.push(b'-');
    }
    write_short(digit(weight.max(0)), out);
    for position in (0..weight).rev() {
        out.extend_from_slice(&four_digits(digit(position)));
    }
    if scale > 0 {
        out.push(b'.');
        let end = out.len() + usize::from(scale);
        let mut position = -1;
        while out.len() < end {
            out.extend_from_slice(&four_digits(digit(position)));
            position -= 1;
        }
        out.truncate(end);
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "reads as the last step of writing a numeric")]
fn write_word(word: &str, out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.push(b'"');
    out.extend_from_slice(word.as_bytes());
    out.push(b'"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numeric(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Option<String> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&u16::try_from(digits.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&weight.to_be_bytes());
        bytes.extend_from_slice(&sign.to_be_bytes());
        bytes.extend_from_slice(&scale.to_be_bytes());
        bytes.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
        let mut out = Vec::new();
        write_numeric(&bytes, &mut out).ok()?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn prints_every_digit_of_a_numeric() {
        let print = |weight, sign, scale, digits: &[u16]| numeric(weight, sign, scale, digits).unwrap();
        assert_eq!(print(0, POSITIVE, 0, &[]), "0");
        assert_eq!(print(0, POSITIVE, 3, &[]), "0.000");
        assert_eq!(print(0, POSITIVE, 2, &[123, 4500]), "123.45");
        assert_eq!(print(1, NEGATIVE, 0, &[1, 0]), "-10000");
        assert_eq!(print(1, POSITIVE, 0, &[1]), "10000");
        assert_eq!(print(-1, POSITIVE, 4, &[1]), "0.0001");
        assert_eq!(print(-2, POSITIVE, 7, &[10]), "0.0000001");
        assert_eq!(print(0, POSITIVE, 5, &[1, 5]), "1.00050");
        assert_eq!(print(0, NAN, 0, &[]), "\"NaN\"");
        assert_eq!(print(0, INFINITY, 0, &[]), "\"Infinity\"");
        assert_eq!(print(0, NEGATIVE_INFINITY, 0, &[]), "\"-Infinity\"");
    }

    #[test]
    fn refuses_malformed_numerics() {
        assert_eq!(numeric(0, 0x1234, 0, &[]), None);
        assert_eq!(numeric(0, POSITIVE, 0, &[10_000]), None);
        assert_eq!(numeric(0, POSITIVE, MAX_SCALE + 1, &[]), None);
        assert!(write_numeric(&[0, 1, 0, 0], &mut Vec::new()).is_err());
    }

    #[test]
    fn floats_are_short_and_exact() {
        let print = |value: f64| {
            let mut out = Vec::new();
            write_float(value, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(print(0.1), "0.1");
        assert_eq!(print(1e300), "1e300");
        assert_eq!(print(f64::NAN), "\"NaN\"");
        assert_eq!(print(f64::NEG_INFINITY), "\"-Infinity\"");
        let mut out = Vec::new();
        write_float(0.1_f32, &mut out);
        assert_eq!(out, b"0.1");
    }

    /// Splits a number in plain notation into groups of four digits, as PostgreSQL stores them, and returns the weight
    /// of the first group.
    fn groups(whole: &str, fraction: &str) -> (i16, Vec<u16>) {
        let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
        let fraction = format!("{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
        let digits = format!("{whole}{fraction}");
        let mut weight = i16::try_from(whole.len() / 4).unwrap() - 1;
        let mut groups: Vec<u16> =
            digits.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).unwrap().parse().unwrap()).collect();
        // PostgreSQL stores no zeros at either end.
        while groups.first() == Some(&0) {
            groups.remove(0);
            weight -= 1;
        }
        while groups.last() == Some(&0) {
            groups.pop();
        }
        (weight, groups)
    }

    proptest! {
        #[test]
        fn numerics_round_trip(
            is_negative: bool,
            whole in "0|[1-9][0-9]{0,40}|[1-9]0{1,20}",
            fraction in "[0-9]{0,40}|0{1,20}[1-9]",
        ) {
            let (weight, groups) = groups(&whole, &fraction);
            let is_negative = is_negative && !groups.is_empty();
            let (minus, sign) = if is_negative { ("-", NEGATIVE) } else { ("", POSITIVE) };
            let point = if fraction.is_empty() { "" } else { "." };
            let scale = u16::try_from(fraction.len()).unwrap();
            let printed = numeric(weight, sign, scale, &groups);
            prop_assert_eq!(printed, Some(format!("{minus}{whole}{point}{fraction}")));
        }

        #[test]
        fn floats_round_trip(value: f64, small: f32) {
            let mut out = Vec::new();
            write_float(value, &mut out);
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
            let mut out = Vec::new();
            write_float(small, &mut out);
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(text.parse::<f32>().unwrap().to_bits(), small.to_bits());
        }
    }
}
