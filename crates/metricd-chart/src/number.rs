//! Numbers as people read them: grouped, rounded to what a chart needs, with units.

mod digits;

use self::digits::Digits;
use crate::data::Number;
use crate::locale::Locale;

/// U+2212, which is as wide as `+`.
pub(crate) const MINUS: char = '\u{2212}';

/// Numbers next to marks are written with an exponent from here on.
const MAX_PLAIN: f64 = 1e15;

/// The most decimals next to marks.
const MAX_DECIMALS: usize = 9;

/// A number with so many decimals, from its exact text.
pub(crate) fn exact(number: &Number, decimals: usize, locale: Locale) -> String {
    match Digits::read(&number.text) {
        Some(digits) if digits.whole.trim_start_matches('0').len() <= 38 => digits.round(decimals).write(locale),
        _ => float(number.value, decimals, locale),
    }
}

/// A number next to a mark: exact, but with an exponent if it is very long.
pub(crate) fn label(number: &Number, decimals: usize, locale: Locale) -> String {
    if number.value.abs() < MAX_PLAIN && !rounds_to_zero(number.value, decimals) {
        exact(number, decimals, locale)
    } else {
        float(number.value, decimals, locale)
    }
}

/// A float with so many decimals; with more if it would be rounded to zero, and with an exponent if it would be long.
pub(crate) fn float(value: f64, decimals: usize, locale: Locale) -> String {
    if !value.is_finite() {
        return not_finite(value).to_owned();
    }
    let needed =
        if rounds_to_zero(value, decimals) { usize::try_from(-exponent_of(value)).unwrap_or(0) } else { decimals };
    match Digits::read(&format!("{value:.needed$}")) {
        Some(digits) if value.abs() < MAX_PLAIN && needed <= MAX_DECIMALS => digits.round(needed).write(locale),
        _ => scientific(value, locale),
    }
}

fn rounds_to_zero(value: f64, decimals: usize) -> bool {
    value != 0.0 && Digits::read(&format!("{value:.decimals$}")).is_some_and(|digits| digits.are_zero())
}

/// Such as `1.25e308`.
pub(crate) fn scientific(value: f64, locale: Locale) -> String {
    let text = format!("{value:.2e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    with_exponent(mantissa, exponent, locale)
}

fn with_exponent(mantissa: &str, exponent: &str, locale: Locale) -> String {
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    let signed = |part: &str| part.replace('-', &MINUS.to_string());
    format!("{}e{}", signed(mantissa).replace('.', locale.convention().point), signed(exponent))
}

/// What PostgreSQL calls a number that is not finite.
pub(crate) fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// A whole number.
pub(crate) fn count(count: usize, locale: Locale) -> String {
    Digits { is_negative: false, whole: count.to_string(), fraction: String::new() }.write(locale)
}

/// A number of units of ten to the power of an exponent, such as 15 and -1 for `1.5`.
pub(crate) fn scaled(units: i64, exponent: i32, locale: Locale) -> String {
    let digits = units.unsigned_abs().to_string();
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    if units != 0 && (length.saturating_add(exponent) > 15 || exponent < -9) {
        let sign = if units < 0 { "-" } else { "" };
        let (first, rest) = digits.split_at(1);
        return with_exponent(&format!("{sign}{first}.{rest}"), &(length - 1 + exponent).to_string(), locale);
    }
    let (whole, fraction) = if exponent >= 0 {
        let zeros = usize::try_from(exponent).unwrap_or(0);
        (if units == 0 { digits } else { digits + &"0".repeat(zeros) }, String::new())
    } else {
        let decimals = usize::try_from(exponent.unsigned_abs()).unwrap_or(0);
        let padded = format!("{digits:0>width$}", width = decimals + 1);
        let (whole, fraction) = padded.split_at(padded.len() - decimals);
        (whole.to_owned(), fraction.to_owned())
    };
    Digits { is_negative: units < 0, whole, fraction }.write(locale)
}

/// How many decimals tell numbers of a chart apart: three significant digits of the largest, and no more than they have.
pub(crate) fn decimals_for<'n>(numbers: impl IntoIterator<Item = &'n Number>) -> usize {
    let (mut largest, mut most) = (0.0_f64, 0);
    for number in numbers {
        if number.value.is_finite() {
            largest = largest.max(number.value.abs());
            most = most.max(decimals_of(&number.text));
        }
    }
    let wanted = match largest {
        large if large >= 1_000.0 => 0,
        large if large >= 100.0 => 1,
        large if large >= 1.0 || large == 0.0 => 2,
        small => usize::try_from(-exponent_of(small)).unwrap_or(0) + 2,
    };
    wanted.min(most).min(MAX_DECIMALS)
}

/// How many digits a text has after its point; all that a float may have if the text has an exponent.
pub(crate) fn decimals_of(text: &str) -> usize {
    match Digits::read(text) {
        Some(digits) => digits.fraction.len(),
        None => 17,
    }
}

/// The power of ten of the first digit.
pub(crate) fn exponent_of(value: f64) -> i32 {
    let text = format!("{value:e}");
    text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
}

/// Ten to the power of an exponent, correctly rounded.
pub(crate) fn power_of_ten(exponent: i32) -> f64 {
    format!("1e{exponent}").parse().unwrap_or(f64::MAX)
}

/// A number with its unit. A percent sign follows as the locale has it.
pub(crate) fn with_unit(number: &str, unit: Option<&str>, locale: Locale) -> String {
    match unit {
        Some("%") => format!("{number}{}%", locale.convention().before_percent),
        Some(unit) => format!("{number}\u{a0}{unit}"),
        None => number.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number { value: text.parse().unwrap(), text: text.to_owned() }
    }

    fn shown(text: &str, decimals: usize, tag: &str) -> String {
        exact(&number(text), decimals, Locale::of(tag).unwrap_or_default())
    }

    #[test]
    fn numbers_are_written_by_the_rules_of_a_locale() {
        assert_eq!(shown("1234567.891", 2, ""), "1\u{202f}234\u{202f}567.89");
        assert_eq!(shown("1234567.891", 2, "en"), "1,234,567.89");
        assert_eq!(shown("1234567.895", 2, "de"), "1.234.567,90");
        assert_eq!(shown("1234567.895", 0, "de-CH"), "1’234’568");
        assert_eq!(shown("1234", 0, "es"), "1234");
        assert_eq!(shown("12345", 0, "es"), "12.345");
        assert_eq!(with_unit("12", Some("%"), Locale::of("fr").unwrap()), "12\u{202f}%");
        assert_eq!(with_unit("12", Some("%"), Locale::of("en").unwrap()), "12%");
    }

    #[test]
    fn rounding_uses_the_exact_digits() {
        assert_eq!(shown("0.5", 0, ""), "1");
        assert_eq!(shown("-0.4", 0, ""), "0", "no minus before a zero");
        assert_eq!(shown("-999.995", 2, "en"), "−1,000.00");
        assert_eq!(shown("12345678901234567890.12", 1, "en"), "12,345,678,901,234,567,890.1");
        assert_eq!(shown("1.005", 2, ""), "1.01", "a float would be 1.00");
    }

    #[test]
    fn extreme_numbers_are_short() {
        let neutral = Locale::default();
        assert_eq!(float(1e308, 2, neutral), "1e308");
        assert_eq!(float(-1.25e308, 2, neutral), "−1.25e308");
        assert_eq!(float(5e-324, 12, neutral), "4.94e−324");
        assert_eq!(float(0.0003, 0, neutral), "0.0003", "not 0");
        assert_eq!(float(0.0, 2, neutral), "0.00");
        assert_eq!(float(f64::NAN, 2, neutral), "NaN");
        assert_eq!(shown(&"9".repeat(200), 0, ""), "1e200");
    }

    #[test]
    fn units_of_a_power_of_ten_are_exact() {
        let neutral = Locale::default();
        assert_eq!(scaled(15, -1, neutral), "1.5");
        assert_eq!(scaled(-5, -3, neutral), "−0.005");
        assert_eq!(scaled(2, 3, neutral), "2\u{202f}000");
        assert_eq!(scaled(0, 5, neutral), "0");
        assert_eq!(scaled(-15, 290, neutral), "−1.5e291");
        assert_eq!(scaled(20, -130, neutral), "2e−129");
    }

    #[test]
    fn a_chart_has_three_digits_and_no_more_than_its_numbers() {
        let of = |texts: &[&str]| decimals_for(&texts.iter().map(|text| number(text)).collect::<Vec<_>>());
        assert_eq!(of(&["1", "20"]), 0);
        assert_eq!(of(&["1.256", "20.5"]), 2);
        assert_eq!(of(&["1.5", "2000"]), 0);
        assert_eq!(of(&["0.00012345"]), 6);
        assert_eq!(of(&[]), 0);
    }
}
