//! Numbers as text: exact, and as short as possible.

use half::f16;

/// Appends an integer.
pub(super) fn write_integer(value: impl itoa::Integer, text: &mut String) {
    text.push_str(itoa::Buffer::new().format(value));
}

/// Appends the shortest text that is read back as the same number.
pub(super) fn write_double(value: f64, text: &mut String) {
    if value.is_finite() {
        push_without_zero_fraction(ryu::Buffer::new().format_finite(value), text);
    } else {
        write_not_finite(value.is_nan(), value.is_sign_negative(), text);
    }
}

/// Appends the shortest text that is read back as the same number of 32 bits.
pub(super) fn write_float(value: f32, text: &mut String) {
    if value.is_finite() {
        push_without_zero_fraction(ryu::Buffer::new().format_finite(value), text);
    } else {
        write_not_finite(value.is_nan(), value.is_sign_negative(), text);
    }
}

/// Appends the shortest text that is read back as the same number of 16 bits.
pub(super) fn write_half(value: f16, text: &mut String) {
    // Five digits tell all numbers of 16 bits apart. The last attempt is exact in any case.
    let wide = f32::from(value);
    let shortest = (0..5).find_map(|digits| {
        let short: f64 = format!("{wide:.digits$e}").parse().ok()?;
        is_nearest(short, value).then_some(short)
    });
    match shortest {
        Some(short) => write_double(short, text),
        None => write_float(wide, text),
    }
}

/// Whether a number is nearer to the number of 16 bits than to its neighbours.
fn is_nearest(number: f64, value: f16) -> bool {
    let exact = f64::from(value);
    let distance = (number - exact).abs();
    let neighbours = [value.to_bits().checked_sub(1), value.to_bits().checked_add(1)];
    let neighbours = neighbours.into_iter().flatten().map(|bits| f64::from(f16::from_bits(bits)));
    // The number after the largest one would be 65536.
    let mut neighbours = neighbours.map(|neighbour| neighbour.clamp(-65_536.0, 65_536.0));
    value.is_finite() && neighbours.all(|neighbour| neighbour.is_nan() || distance < (number - neighbour).abs())
}

fn write_not_finite(is_nan: bool, is_negative: bool, text: &mut String) {
    text.push_str(match (is_nan, is_negative) {
        (true, _) => "NaN",
        (false, true) => "-Infinity",
        (false, false) => "Infinity",
    });
}

fn push_without_zero_fraction(number: &str, text: &mut String) {
    text.push_str(number.strip_suffix(".0").unwrap_or(number));
}

/// Appends the number `digits / 10^scale` with all its digits. `digits` may begin with a minus sign.
pub(super) fn write_decimal(digits: &str, scale: i8, text: &mut String) {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    text.push_str(sign);
    if scale <= 0 {
        text.push_str(digits);
        if digits != "0" {
            text.extend(std::iter::repeat_n('0', usize::from(scale.unsigned_abs())));
        }
        return;
    }
    let scale = usize::from(scale.unsigned_abs());
    if let Some(whole) = digits.len().checked_sub(scale).filter(|whole| *whole > 0) {
        let (whole, fraction) = digits.split_at(whole);
        text.push_str(whole);
        text.push('.');
        text.push_str(fraction);
    } else {
        text.push_str("0.");
        text.extend(std::iter::repeat_n('0', scale - digits.len()));
        text.push_str(digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut text = String::new();
        write(&mut text);
        text
    }

    #[test]
    fn a_float_has_the_shortest_text_that_is_read_back_as_itself() {
        for (value, expected) in [
            (0.1, "0.1"),
            (1.0, "1"),
            (-0.0, "-0"),
            (1e300, "1e300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(written(|text| write_double(value, text)), expected);
        }
        assert_eq!(written(|text| write_float(0.1, text)), "0.1");
        assert_eq!(written(|text| write_float(f32::MAX, text)), "3.4028235e38");
        assert_eq!(written(|text| write_float(f32::NEG_INFINITY, text)), "-Infinity");
    }

    #[test]
    fn every_number_of_16_bits_is_read_back_as_itself() {
        assert_eq!(written(|text| write_half(f16::from_f32(0.1), text)), "0.1");
        assert_eq!(written(|text| write_half(f16::MAX, text)), "65500");
        for bits in 0..=u16::MAX {
            let value = f16::from_bits(bits);
            let text = written(|text| write_half(value, text));
            let read: f64 = text.parse().unwrap();
            let is_equal = is_nearest(read, value) || f64::from(value).total_cmp(&read).is_eq();
            assert!(is_equal || read.is_nan() && value.is_nan(), "{text}");
        }
    }

    #[test]
    fn a_decimal_keeps_its_scale() {
        for (digits, scale, expected) in [
            ("1250", 2, "12.50"),
            ("-5", 3, "-0.005"),
            ("0", 2, "0.00"),
            ("123", 3, "0.123"),
            ("-123", 0, "-123"),
            ("12", -3, "12000"),
            ("0", -3, "0"),
        ] {
            assert_eq!(written(|text| write_decimal(digits, scale, text)), expected);
        }
    }
}
