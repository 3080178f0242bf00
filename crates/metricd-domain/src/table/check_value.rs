//! Values as checks compare them: exactly, and in PostgreSQL's order.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::ColumnType;
use crate::decimal::{compare_plain, is_plain};

const MICROSECONDS_PER_SECOND: i128 = 1_000_000;

const SECONDS_PER_DAY: i128 = 24 * 60 * 60;

/// A value of a column, in the form in which it is compared.
#[derive(Debug, Clone)]
pub(super) enum CheckValue<'a> {
    Text(Cow<'a, str>),
    Whole(i64),
    /// A decimal number in plain notation.
    Decimal(Cow<'a, str>),
    Double(f64),
    /// The microseconds since 1970-01-01, or an extreme for infinity.
    Time(i128),
}

impl<'a> CheckValue<'a> {
    /// Reads a value as PostgreSQL writes it with the settings of ISO 8601. `None` if it is none of the type, or if values
    /// of the type have no checks.
    pub(super) fn parse(data_type: ColumnType, text: impl Into<Cow<'a, str>>) -> Option<Self> {
        let text = text.into();
        match data_type {
            ColumnType::Text => Some(Self::Text(text)),
            ColumnType::Bigint => text.parse().ok().map(Self::Whole),
            ColumnType::Numeric => is_plain(&text).then_some(Self::Decimal(text)),
            ColumnType::Double => text.parse().ok().map(Self::Double),
            ColumnType::Date | ColumnType::Timestamp | ColumnType::Timestamptz => {
                time(data_type, &text).map(Self::Time)
            }
            ColumnType::Boolean | ColumnType::Uuid | ColumnType::Jsonb | ColumnType::Bytea => None,
        }
    }

    /// Whether it is neither infinite nor `NaN`.
    pub(super) fn is_finite(&self) -> bool {
        match self {
            Self::Double(number) => number.is_finite(),
            Self::Time(time) => !matches!(*time, i128::MIN | i128::MAX),
            Self::Text(_) | Self::Whole(_) | Self::Decimal(_) => true,
        }
    }

    /// The order of two values of one type. `None` for different types.
    pub(super) fn compare(&self, other: &CheckValue<'_>) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Text(one), CheckValue::Text(other)) => one.cmp(other),
            (Self::Whole(one), CheckValue::Whole(other)) => one.cmp(other),
            (Self::Decimal(one), CheckValue::Decimal(other)) => compare_plain(one, other),
            // In PostgreSQL, NaN equals itself and is greater than every other number.
            (Self::Double(one), CheckValue::Double(other)) => {
                one.partial_cmp(other).unwrap_or_else(|| one.is_nan().cmp(&other.is_nan()))
            }
            (Self::Time(one), CheckValue::Time(other)) => one.cmp(other),
            _ => return None,
        })
    }
}

/// Reads `YYYY-MM-DD`, for timestamps followed by ` HH:MM:SS(.f+)?` and for instants by `[+-]HH(:MM)?`. A year may have
/// more digits, and ` BC` may follow.
fn time(data_type: ColumnType, text: &str) -> Option<i128> {
    match text {
        "infinity" => return Some(i128::MAX),
        "-infinity" => return Some(i128::MIN),
        _ => {}
    }
    let (text, is_bc) = text.strip_suffix(" BC").map_or((text, false), |text| (text, true));
    let (day, clock) = text.split_once(' ').map_or((text, None), |(day, clock)| (day, Some(clock)));
    let seconds = i128::from(day_number(day, is_bc)?) * SECONDS_PER_DAY;
    let microseconds = match (data_type, clock) {
        (ColumnType::Date, None) => 0,
        (ColumnType::Timestamp, Some(clock)) => microseconds_of_day(clock)?,
        (ColumnType::Timestamptz, Some(clock)) => {
            let (clock, offset) = clock.split_at(clock.find(['+', '-'])?);
            microseconds_of_day(clock)? - offset_seconds(offset)? * MICROSECONDS_PER_SECOND
        }
        _ => return None,
    };
    Some(seconds * MICROSECONDS_PER_SECOND + microseconds)
}

/// The days since 1970-01-01 in the Gregorian calendar, as `days_from_civil` of Howard Hinnant's "chrono-Compatible
/// Low-Level Date Algorithms" counts them.
fn day_number(text: &str, is_bc: bool) -> Option<i64> {
    let mut parts = text.split('-').map(|part| number(part, 7));
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || year == 0 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if is_bc { 1 - year } else { year };
    // Years begin in March, so that the leap day is the last one.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

fn microseconds_of_day(clock: &str) -> Option<i128> {
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, part)| (clock, Some(part)));
    let mut parts = clock.split(':').map(|part| number(part, 2));
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let fraction = match fraction {
        None => 0,
        Some(digits) => number(digits, 6)? * 10_i64.pow(6 - u32::try_from(digits.len()).ok()?),
    };
    let seconds = i128::from((hours * 60 + minutes) * 60 + seconds);
    parts.next().is_none().then_some(seconds * MICROSECONDS_PER_SECOND + i128::from(fraction))
}

fn offset_seconds(offset: &str) -> Option<i128> {
    let (sign, digits) = match offset.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, offset.strip_prefix('+')?),
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "00"));
    Some(sign * i128::from((number(hours, 2)? * 60 + number(minutes, 2)?) * 60))
}

/// A number of 1 to `max_digits` digits.
fn number(digits: &str, max_digits: usize) -> Option<i64> {
    let is_number = (1..=max_digits).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_of_each_type_are_ordered_as_postgresql_orders_them() {
        let long = "1".repeat(38);
        let just_above = format!("{long}.{}1", "0".repeat(37));
        for (data_type, ascending) in [
            (ColumnType::Bigint, &["-9223372036854775808", "-1", "0", "9223372036854775807"][..]),
            (ColumnType::Numeric, &["-2", "-0.5", "0", "0.30000000000000000001", "0.5", "10", &long, &just_above]),
            (ColumnType::Double, &["-Infinity", "-1.5", "0.0", "5e-324", "1e22", "Infinity", "NaN"]),
            (
                ColumnType::Date,
                &[
                    "-infinity",
                    "4714-11-24 BC",
                    "0001-12-31 BC",
                    "0001-01-01",
                    "2025-06-01",
                    "5874897-12-31",
                    "infinity",
                ],
            ),
            (
                ColumnType::Timestamp,
                &[
                    "-infinity",
                    "0001-12-31 23:59:59 BC",
                    "2025-06-01 00:00:00",
                    "2025-06-01 00:00:00.000001",
                    "infinity",
                ],
            ),
            (
                ColumnType::Timestamptz,
                &["2025-06-01 12:00:00+02", "2025-06-01 10:00:00.5+00", "2025-06-01 05:30:01-05:30", "infinity"],
            ),
        ] {
            let values: Vec<_> = ascending.iter().map(|text| CheckValue::parse(data_type, *text).unwrap()).collect();
            for (i, one) in values.iter().enumerate() {
                for (j, other) in values.iter().enumerate() {
                    assert_eq!(one.compare(other), Some(i.cmp(&j)), "{data_type} {} {}", ascending[i], ascending[j]);
                }
            }
        }
        for (data_type, one, other) in [
            (ColumnType::Numeric, "1.50", "1.5"),
            (ColumnType::Numeric, "-0", "0.00"),
            (ColumnType::Double, "-0.0", "0.0"),
            (ColumnType::Timestamptz, "2025-06-01 00:30:00+02", "2025-05-31 22:30:00+00"),
            (ColumnType::Timestamptz, "0001-01-01 00:30:00+01", "0001-12-31 23:30:00+00 BC"),
        ] {
            let parse = |text| CheckValue::parse(data_type, text).unwrap();
            assert_eq!(parse(one).compare(&parse(other)), Some(Ordering::Equal), "{one} {other}");
        }
    }

    #[test]
    fn other_notations_are_no_values() {
        for (data_type, texts) in [
            (ColumnType::Bigint, &["", "1.0", "9223372036854775808", "one"][..]),
            (ColumnType::Numeric, &["", "NaN", "1e3", "1.", ".5", "1,5", "--1"]),
            (ColumnType::Double, &["", "x"]),
            (ColumnType::Date, &["", "2025-6-", "2025-13-01", "0000-01-01", "2025-01-01 00:00:00", "1-1-1-1"]),
            (ColumnType::Timestamp, &["2025-06-01", "2025-06-01 12", "2025-06-01 12:00:00.1234567"]),
            (ColumnType::Timestamptz, &["2025-06-01 12:00:00", "2025-06-01 12:00:00+2:", "2025-06-01 12:00:00Z"]),
            (ColumnType::Boolean, &["true"]),
        ] {
            for text in texts {
                assert!(CheckValue::parse(data_type, *text).is_none(), "{data_type} {text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn days_are_counted_as_chrono_counts_them(days in -700_000_i64..2_900_000) {
            let date = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + chrono::Duration::days(days);
            let text = date.format("%Y-%m-%d").to_string();
            prop_assert_eq!(day_number(&text, false), Some(days));
        }
    }
}
