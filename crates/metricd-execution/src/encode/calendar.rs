//! Writes dates and timestamps in their whole range, as PostgreSQL's `to_json` does.
//!
//! PostgreSQL counts from 2000-01-01 in the proleptic Gregorian calendar: days in `date`, microseconds in `timestamp`.
//! The years range from 4713 BC to 5 874 897, which exceeds the date types of the common crates.

use super::digits::{four_digits, two_digits, write_integer};

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;

/// Microseconds in a day.
const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// Converts days since 1970-01-01 to the year (0 is 1 BC), month and day.
///
/// The algorithm is `civil_from_days` of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn civil_from_days(days: i64) -> (i64, u16, u16) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    // Division of 32-bit numbers takes half the time.
    let day_of_era = u32::try_from(days.rem_euclid(146_097)).unwrap_or_default();
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = i64::from(year_of_era) + era * 400 + i64::from(month <= 2);
    (year, small(month), small(day))
}

/// Converts a small number that is not negative.
fn small(number: impl TryInto<u16>) -> u16 {
    number.try_into().unwrap_or_default()
}

/// Writes a day, and returns whether it is before the year 1. If it is, the suffix ` BC` follows the time.
fn write_day(days: i64, out: &mut Vec<u8>) -> bool {
    let (year, month, day) = civil_from_days(days + EPOCH_DAYS);
    let before_christ = year <= 0;
    let shown_year = if before_christ { 1 - year } else { year };
    if shown_year < 10_000 {
        out.extend_from_slice(&four_digits(small(shown_year)));
    } else {
        write_integer(shown_year, out);
    }
    for part in [month, day] {
        let [tens, ones] = two_digits(part);
        out.extend_from_slice(&[b'-', tens, ones]);
    }
    before_christ
}

/// Writes a `date` as a JSON string, such as `2025-06-01`, `0044-03-15 BC` or `infinity`.
pub(super) fn write_date(days: i32, out: &mut Vec<u8>) {
    out.push(b'"');
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            if write_day(i64::from(days), out) {
                out.extend_from_slice(b" BC");
            }
        }
    }
    out.push(b'"');
}

/// Writes a `timestamp` as a JSON string, such as `2025-06-01T12:34:56.789`. A `timestamptz` is in UTC and ends in `Z`.
pub(super) fn write_timestamp(microseconds: i64, is_instant: bool, out: &mut Vec<u8>) {
    out.push(b'"');
    match microseconds {
        i64::MAX => out.extend_from_slice(b"infinity"),
        i64::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            let before_christ = write_day(microseconds.div_euclid(MICROSECONDS_PER_DAY), out);
            write_time(microseconds.rem_euclid(MICROSECONDS_PER_DAY), out);
            if is_instant {
                out.push(b'Z');
            }
            if before_christ {
                out.extend_from_slice(b" BC");
            }
        }
    }
    out.push(b'"');
}

fn write_time(microseconds: i64, out: &mut Vec<u8>) {
    let seconds = microseconds / 1_000_000;
    for (separator, part) in [(b'T', seconds / 3_600), (b':', seconds / 60 % 60), (b':', seconds % 60)] {
        let [tens, ones] = two_digits(small(part));
        out.extend_from_slice(&[separator, tens, ones]);
    }
    let fraction = microseconds % 1_000_000;
    if fraction != 0 {
        out.push(b'.');
        out.extend_from_slice(&two_digits(small(fraction / 10_000)));
        out.extend_from_slice(&four_digits(small(fraction % 10_000)));
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date(days: i32) -> String {
        let mut out = Vec::new();
        write_date(days, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn timestamp(microseconds: i64, is_instant: bool) -> String {
        let mut out = Vec::new();
        write_timestamp(microseconds, is_instant, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn prints_days_of_the_whole_range() {
        assert_eq!(date(0), "\"2000-01-01\"");
        assert_eq!(date(-1), "\"1999-12-31\"");
        assert_eq!(date(59), "\"2000-02-29\"");
        assert_eq!(date(-730_119), "\"0001-01-01\"");
        assert_eq!(date(-730_120), "\"0001-12-31 BC\"");
        assert_eq!(date(2_921_940), "\"10000-01-01\"");
        assert_eq!(date(i32::MAX), "\"infinity\"");
        assert_eq!(date(i32::MIN), "\"-infinity\"");
    }

    #[test]
    fn prints_instants_to_the_microsecond() {
        assert_eq!(timestamp(0, false), "\"2000-01-01T00:00:00\"");
        assert_eq!(timestamp(-1, true), "\"1999-12-31T23:59:59.999999Z\"");
        assert_eq!(timestamp(1_500_000, true), "\"2000-01-01T00:00:01.5Z\"");
        assert_eq!(timestamp(i64::MAX, true), "\"infinity\"");
        assert_eq!(timestamp(i64::MIN, false), "\"-infinity\"");
    }

    proptest! {
        #[test]
        fn agrees_with_chrono(days in -730_000_i32..2_900_000) {
            let day = chrono::NaiveDate::from_ymd_opt(2000, 1, 1).unwrap() + chrono::TimeDelta::days(i64::from(days));
            prop_assert_eq!(date(days), format!("\"{day}\""));
        }

        #[test]
        fn never_panics(days: i32, microseconds: i64) {
            date(days);
            timestamp(microseconds, true);
        }
    }
}
