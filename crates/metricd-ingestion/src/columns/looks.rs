//! Notations of values that are not guessed, because they are ambiguous or need a person's consent.

use super::fits::{
    CURRENCY, DECIMAL_COMMA, DMY_DASH, DMY_DOT, DMY_SLASH, MDY_DASH, MDY_SLASH, MONTH_NAME, PERCENT, THOUSANDS,
    TIME_MINUTES, TIME_MINUTES_12, TIME_NONE, TIME_SECONDS, TIME_SECONDS_12, TRAILING_MINUS, YEAR_LONG, YEAR_SHORT,
    YES_NO, YMD_DOT, YMD_SLASH,
};
use super::format::ValueFormat;
use super::numbers::{leading_digits, with_point};

/// Texts that tools write for no value, in lower case.
const NULL_SPELLINGS: [&str; 7] = ["null", "na", "n/a", "#n/a", "none", "nan", "-"];

const BOOLEANS: [&str; 8] = ["yes", "no", "y", "n", "t", "f", "on", "off"];

const CURRENCIES: [&str; 9] = ["€", "$", "£", "¥", "EUR", "USD", "GBP", "CHF", "JPY"];

/// The days that `MySQL` writes for no value.
const ZERO_DATES: [&str; 2] = ["0000-00-00", "0000-00-00 00:00:00"];

/// Whether tools write the text for no value.
pub(super) fn is_null_spelling(text: &str) -> bool {
    ZERO_DATES.contains(&text)
        || text.len() <= 4 && NULL_SPELLINGS.iter().any(|spelling| text.eq_ignore_ascii_case(spelling))
}

/// Whether the spelling of no value is one in a column of text too, where a dash or `none` may be meant.
pub(super) fn is_null_word(spelling: &str) -> bool {
    !matches!(spelling.to_ascii_lowercase().as_str(), "-" | "none")
}

/// Whether the text is a boolean in a declared column only, such as `yes`.
pub(super) fn is_yes_or_no(text: &str) -> bool {
    text.len() <= 3 && BOOLEANS.iter().any(|spelling| text.eq_ignore_ascii_case(spelling))
}

/// The notations that the text may have.
pub(super) fn of(text: &str, format: &ValueFormat) -> u32 {
    let dates = of_dates(text);
    if dates != 0 {
        return dates;
    }
    if is_yes_or_no(text) {
        return YES_NO;
    }
    if let Some(number) = text.strip_suffix('%') {
        return if is_any_number(number.trim_end()) { PERCENT } else { 0 };
    }
    if let Some(number) = text.strip_suffix('-') {
        return if is_any_number(number) { TRAILING_MINUS } else { 0 };
    }
    if is_amount(text) {
        return CURRENCY;
    }
    let comma = if !format.decimal_comma && is_comma_number(text) { DECIMAL_COMMA } else { 0 };
    let thousands = if is_thousands(text) { THOUSANDS } else { 0 };
    // Programs that write the minus sign at the end write other numbers without one.
    let positive = if comma | thousands == 0 { 0 } else { TRAILING_MINUS };
    comma | thousands | positive
}

fn is_amount(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    CURRENCIES.iter().any(|currency| {
        let number = unsigned.strip_prefix(currency).or_else(|| unsigned.strip_suffix(currency));
        number.is_some_and(|number| is_any_number(number.trim()))
    })
}

/// Whether the text is a number with digits, points, commas and a sign.
fn is_any_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','))
}

/// Whether the text is a number such as `1.234,56` or `12,5`.
fn is_comma_number(text: &str) -> bool {
    text.contains([',', '.', '\u{a0}', '\u{202f}'])
        && with_point(text).is_some_and(|number| super::numbers::plain(&number).is_ok())
}

/// Whether the text is a number such as `1,234.56`.
fn is_thousands(text: &str) -> bool {
    let swapped = |character| match character {
        ',' => '.',
        '.' => ',',
        other => other,
    };
    text.contains(',') && is_any_number(text) && is_comma_number(&text.chars().map(swapped).collect::<String>())
}

/// The notations of a date that the text may have, such as `01/02/2025` or `1.2.25 10:30`. 0 if it is not a date.
pub(super) fn of_dates(text: &str) -> u32 {
    date(text.as_bytes()).unwrap_or(if names_month(text) { MONTH_NAME } else { 0 })
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Other words in dates that have the name of a month.
const DATE_WORDS: [&str; 18] =
    ["am", "pm", "utc", "gmt", "z", "t", "at", "st", "nd", "rd", "th", "mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The size of the longest date that is recognised, in bytes.
const MAX_DATE_BYTES: usize = 40;

/// Whether the text is a day with the English name of a month, such as `15/Jan/25 9:30 AM`.
fn names_month(text: &str) -> bool {
    if text.len() > MAX_DATE_BYTES || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let is_month = |word: &str| MONTHS.iter().any(|month| word == *month || word == &month[..3]);
    let lower = text.to_ascii_lowercase();
    let words = lower.split(|character: char| !character.is_alphabetic()).filter(|word| !word.is_empty());
    let (months, others): (Vec<_>, Vec<_>) = words.partition(|word| is_month(word));
    let numbers = text.split(|character: char| !character.is_ascii_digit()).filter(|digits| !digits.is_empty()).count();
    months.len() == 1 && numbers >= 2 && others.iter().all(|word| DATE_WORDS.contains(word))
}

fn date(bytes: &[u8]) -> Option<u32> {
    let (first, rest) = number(bytes)?;
    let (separator, rest) = rest.split_first()?;
    let (second, rest) = number(rest)?;
    let (other, rest) = rest.split_first()?;
    let (third, rest) = number(rest)?;
    if separator != other {
        return None;
    }
    let is_day = |part: Part| part.digits <= 2 && (1..=31).contains(&part.value);
    let is_month = |part: Part| part.digits <= 2 && (1..=12).contains(&part.value);
    let orders = [
        (b'/', DMY_SLASH, first, second, third),
        (b'.', DMY_DOT, first, second, third),
        (b'-', DMY_DASH, first, second, third),
        (b'/', MDY_SLASH, second, first, third),
        (b'-', MDY_DASH, second, first, third),
        (b'/', YMD_SLASH, third, second, first),
        (b'.', YMD_DOT, third, second, first),
    ];
    let mut found = 0;
    for (expected, order, day, month, year) in orders {
        let is_year = year.digits == 4 && year.value > 0 || year.digits == 2 && order & (YMD_SLASH | YMD_DOT) == 0;
        if *separator == expected && is_day(day) && is_month(month) && is_year {
            found |= order | if year.digits == 4 { YEAR_LONG } else { YEAR_SHORT };
        }
    }
    (found != 0).then_some(found | time(rest)?)
}

fn time(bytes: &[u8]) -> Option<u32> {
    let Some(rest) = bytes.strip_prefix(b" ") else { return bytes.is_empty().then_some(TIME_NONE) };
    let (_, rest) = number(rest).filter(|(hour, _)| hour.digits <= 2 && hour.value < 24)?;
    let is_sixtieth = |part: &Part| part.digits == 2 && part.value < 60;
    let (_, rest) = number(rest.strip_prefix(b":")?).filter(|(minute, _)| is_sixtieth(minute))?;
    let is_half_day = |rest: &[u8]| rest.eq_ignore_ascii_case(b" AM") || rest.eq_ignore_ascii_case(b" PM");
    let of = |rest: &[u8], plain, half_day| match rest {
        b"" => Some(plain),
        rest => is_half_day(rest).then_some(half_day),
    };
    let Some(rest) = rest.strip_prefix(b":") else { return of(rest, TIME_MINUTES, TIME_MINUTES_12) };
    let (_, rest) = number(rest).filter(|(second, _)| is_sixtieth(second))?;
    of(rest, TIME_SECONDS, TIME_SECONDS_12)
}

/// A whole number in a date.
#[derive(Debug, Clone, Copy)]
struct Part {
    digits: usize,
    value: u32,
}

/// Reads a number of 1 to 4 digits.
fn number(bytes: &[u8]) -> Option<(Part, &[u8])> {
    let digits = leading_digits(bytes);
    let (number, rest) = bytes.split_at(digits);
    let value = number.iter().take(4).fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    (1..=4).contains(&digits).then_some((Part { digits, value }, rest))
}

#[cfg(test)]
mod tests {
    use metricd_domain::ReadOptions;

    use super::*;

    #[test]
    fn ambiguous_notations_are_recognised() {
        let format = ValueFormat::new(&ReadOptions::default()).unwrap();
        let long = YEAR_LONG | TIME_NONE;
        for (text, expected) in [
            ("01/02/2025", DMY_SLASH | MDY_SLASH | long),
            ("31/12/2025", DMY_SLASH | long),
            ("12/31/25", MDY_SLASH | YEAR_SHORT | TIME_NONE),
            ("1.2.2025", DMY_DOT | long),
            ("01-02-2025", DMY_DASH | MDY_DASH | long),
            ("2025/02/01", YMD_SLASH | long),
            ("1.2.2025 9:30", DMY_DOT | YEAR_LONG | TIME_MINUTES),
            ("1/13/2025 9:30 AM", MDY_SLASH | YEAR_LONG | TIME_MINUTES_12),
            ("1/13/2025 9:30:00 pm", MDY_SLASH | YEAR_LONG | TIME_SECONDS_12),
            ("15/Jan/25 9:30 AM", MONTH_NAME),
            ("January 15, 2025", MONTH_NAME),
            ("Wed, 15 Jan 2025 09:30:00 GMT", MONTH_NAME),
            ("1\u{a0}200", DECIMAL_COMMA | TRAILING_MINUS),
            ("1 234,56", DECIMAL_COMMA | TRAILING_MINUS),
            ("01/13/2025 09:30:59", MDY_SLASH | YEAR_LONG | TIME_SECONDS),
            ("1.234,56", DECIMAL_COMMA | TRAILING_MINUS),
            ("1.234.567", DECIMAL_COMMA | TRAILING_MINUS),
            ("12,5", DECIMAL_COMMA | TRAILING_MINUS),
            ("1,234", DECIMAL_COMMA | THOUSANDS | TRAILING_MINUS),
            ("1,234.56", THOUSANDS | TRAILING_MINUS),
            ("€ 12", CURRENCY),
            ("-$1,200.00", CURRENCY),
            ("12,50 €", CURRENCY),
            ("12 %", PERCENT),
            ("12.5%", PERCENT),
            ("1.234,56-", TRAILING_MINUS),
            ("Yes", YES_NO),
            ("t", YES_NO),
        ] {
            assert_eq!(of(text, &format), expected, "{text}");
        }
        for text in [
            "",
            "32/13/2025",
            "1/2/20255",
            "1/2.2025",
            "1.2.3",
            "a",
            "%",
            "-",
            "€",
            "1,2,3",
            "12/2025",
            "1/1/2025 25:00",
            "may 12",
            "1 200",
            "2 jan 3 feb",
            "from 1 may 2025",
        ] {
            assert_eq!(of(text, &format), 0, "{text}");
        }
    }
}
