//! Numbers of cells.

/// The number of digits that tell all binary numbers of 64 bits apart.
const DOUBLE_DIGITS: usize = 17;

/// The shortest decimal of a number without an exponent.
///
/// Excel writes binary numbers with up to 17 digits, such as `1.1000000000000001` for 1.1: the shortest text that means
/// the same number is the one that was typed. Whole numbers, and numbers with more digits than that, come from other
/// programs and are kept as they are written.
pub(super) fn plain(number: &str) -> Option<String> {
    let digits = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = !whole.is_empty() && is_digits(whole) && is_digits(fraction);
    let significant = whole.trim_start_matches('0').len() + fraction.len();
    if is_plain && (digits.len() == whole.len() || significant > DOUBLE_DIGITS && !fraction.is_empty()) {
        return Some(without_padding(number.starts_with('-'), whole, fraction));
    }
    let value: f64 = number.parse().ok().filter(|value: &f64| value.is_finite())?;
    let text = value.to_string();
    Some(if text == "-0" { "0".to_owned() } else { text })
}

/// The number without zeros that mean nothing.
fn without_padding(is_negative: bool, whole: &str, fraction: &str) -> String {
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let is_zero = whole.is_empty() && fraction.is_empty();
    let sign = if is_negative && !is_zero { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    [sign, whole, point, fraction].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_shortest_decimal_without_an_exponent() {
        for (written, expected) in [
            ("1", Some("1")),
            ("1.0", Some("1")),
            ("-0", Some("0")),
            ("-0.5", Some("-0.5")),
            ("1.1000000000000001", Some("1.1")),
            ("0.30000000000000004", Some("0.30000000000000004")),
            ("1E-3", Some("0.001")),
            ("1.2345678901234568E+16", Some("12345678901234568")),
            ("1e20", Some("100000000000000000000")),
            ("12345678901234567890", Some("12345678901234567890")),
            ("-1.234567890123456789", Some("-1.234567890123456789")),
            ("007", Some("7")),
            ("", None),
            ("-", None),
            ("1,5", None),
            ("NaN", None),
            ("1e999", None),
            ("inf", None),
        ] {
            assert_eq!(plain(written).as_deref(), expected, "{written}");
        }
    }
}
