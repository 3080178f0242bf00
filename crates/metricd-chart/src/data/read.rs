//! Reads values from the texts of CSV results.

use super::Number;
use crate::calendar::{DAY, Day, HOUR, MINUTE, SECOND};

/// A number in plain notation or with an exponent, `NaN` or `Infinity`.
pub(super) fn number(text: &str) -> Option<Number> {
    let value = match text {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        _ if text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) => text.parse().ok()?,
        _ => return None,
    };
    Some(Number { value, text: text.to_owned() })
}

/// A date or a time such as `2025-06-01`, `2025-06-01T12:34:56.789Z`, `2025-06-01 12:34:56+02` or `0044-03-15 BC`.
pub(super) fn time(text: &str) -> Option<i64> {
    let (text, is_before_christ) = match text.strip_suffix(" BC") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (date, clock) = match text.find(['T', ' ']) {
        Some(split) => (&text[..split], Some(&text[split + 1..])),
        None => (text, None),
    };
    let mut parts = date.split('-').map(|part| digits(part, 7));
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let date = Day { year: if is_before_christ { 1 - year } else { year }, month, day };
    if Day::of_days(date.days()) != date {
        return None;
    }
    date.days().checked_mul(DAY)?.checked_add(clock.map_or(Some(0), time_of_day)?)
}

/// Microseconds since midnight in UTC.
fn time_of_day(text: &str) -> Option<i64> {
    let split = text.find(['Z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(split);
    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let (second, fraction) = match parts.next() {
        Some(seconds) => seconds.split_once('.').unwrap_or((seconds, "")),
        None => ("0", ""),
    };
    let second = digits(second, 2)?;
    if parts.next().is_some() || hour > 24 || minute > 59 || second > 60 || fraction.len() > 6 {
        return None;
    }
    let micros = digits(&format!("{fraction:0<6}"), 6)?;
    Some(hour * HOUR + minute * MINUTE + second * SECOND + micros - offset(zone)?)
}

fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z") {
        return Some(0);
    }
    let (sign, rest) = zone.split_at(1);
    let mut total = 0;
    for (part, unit) in rest.split(':').zip([HOUR, MINUTE, SECOND]) {
        total += digits(part, 2)? * unit;
    }
    Some(if sign == "-" { -total } else { total })
}

fn digits(text: &str, most: usize) -> Option<i64> {
    let is_plain = !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_every_year_are_read() {
        assert_eq!(time("1970-01-01"), Some(0));
        assert_eq!(time("1970-01-01T00:00:01.5Z"), Some(1_500_000));
        assert_eq!(time("1970-01-01 02:00:00+02"), Some(0));
        assert_eq!(time("1969-12-31T23:59:59.999999"), Some(-1));
        assert_eq!(time("0001-12-31 BC"), Some((Day { year: 0, month: 12, day: 31 }).midnight()));
        assert_eq!(
            time("0044-03-15T12:00:00Z BC"),
            Some((Day { year: -43, month: 3, day: 15 }).midnight() + 12 * HOUR)
        );
        assert_eq!(time("294247-01-10T04:00:54.775807Z"), Some(i64::MAX));
        assert_eq!(time("294276-12-31T23:59:59Z"), None, "microseconds since 1970 end before");
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in
            ["", "infinity", "-infinity", "2026-02-30", "2026-13-01", "2026-01", "2026-01-01T25:00", "5874897-12-31"]
        {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        assert!(number("1e308").unwrap().value.total_cmp(&1e308).is_eq());
        assert_eq!(number("12.50").unwrap().text, "12.50");
        assert!(number("NaN").unwrap().value.is_nan());
        for text in ["", "inf", "twelve", "0x1F", "1,000"] {
            assert!(number(text).is_none(), "{text}");
        }
    }
}
