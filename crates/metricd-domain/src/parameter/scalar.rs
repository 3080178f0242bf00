//! Scalar types, and the text form of their values in requests.

use std::cmp::Ordering;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SubsecRound, TimeDelta, Timelike};
use uuid::Uuid;

use super::value::{InvalidParameterValue, shown};
use crate::Decimal;

/// A scalar type, named as in PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScalarType {
    /// `text`
    Text,
    /// `integer`: -2147483648 to 2147483647.
    Integer,
    /// `bigint`: -9223372036854775808 to 9223372036854775807.
    Bigint,
    /// `numeric`, in plain notation.
    Numeric,
    /// `boolean`: `true` or `false`.
    Boolean,
    /// `date`: `YYYY-MM-DD`, of the years 1 to 9999.
    Date,
    /// `timestamp`: `YYYY-MM-DDTHH:MM:SS`, of the years 1 to 9999 in UTC. A value with an offset is converted to UTC.
    Timestamp,
    /// `uuid`
    Uuid,
}

impl ScalarType {
    /// Every scalar type.
    pub const ALL: [Self; 8] = [
        Self::Text,
        Self::Integer,
        Self::Bigint,
        Self::Numeric,
        Self::Boolean,
        Self::Date,
        Self::Timestamp,
        Self::Uuid,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Bigint => "bigint",
            Self::Numeric => "numeric",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Uuid => "uuid",
        }
    }

    pub(super) fn parse_value(self, text: &str) -> Result<String, InvalidParameterValue> {
        let invalid = |expected| InvalidParameterValue::Syntax { value: shown(text), expected };
        match self {
            Self::Text if text.contains('\0') => Err(invalid("text without NUL characters")),
            Self::Text => Ok(text.to_owned()),
            Self::Integer => {
                let number: Result<i32, _> = text.parse();
                number
                    .map(|number| number.to_string())
                    .map_err(|_| invalid("an integer from -2147483648 to 2147483647"))
            }
            Self::Bigint => {
                let number: Result<i64, _> = text.parse();
                number
                    .map(|number| number.to_string())
                    .map_err(|_| invalid("an integer from -9223372036854775808 to 9223372036854775807"))
            }
            Self::Numeric => Decimal::parse(text)
                .map(|number| number.to_string())
                .map_err(|_| invalid("a number in plain notation such as `12.50`")),
            Self::Boolean if ["true", "false"].contains(&text) => Ok(text.to_owned()),
            Self::Boolean => Err(invalid("`true` or `false`")),
            Self::Date => {
                parse_date(text).map(|date| date.to_string()).ok_or(invalid("a date that exists, as YYYY-MM-DD"))
            }
            Self::Timestamp => {
                parse_timestamp(text).map(|instant| instant.format("%Y-%m-%dT%H:%M:%S%.f").to_string()).ok_or(invalid(
                    "an instant such as `2025-06-01T12:00:00` or `2025-06-01T12:00:00Z`, in UTC of the years 1 to 9999",
                ))
            }
            Self::Uuid => {
                let uuid = Uuid::try_parse(text);
                uuid.map(|uuid| uuid.to_string()).map_err(|_| invalid("a UUID"))
            }
        }
    }

    /// Compares two values. `None` for `text`, `boolean` and `uuid`, which have no range.
    pub(super) fn compare(self, left: &str, right: &str) -> Option<Ordering> {
        match self {
            Self::Text | Self::Boolean | Self::Uuid => None,
            Self::Integer | Self::Bigint => Some(left.parse::<i64>().ok()?.cmp(&right.parse().ok()?)),
            Self::Numeric => Some(Decimal::parse(left).ok()?.compare(&Decimal::parse(right).ok()?)),
            Self::Date => Some(parse_date(left)?.cmp(&parse_date(right)?)),
            Self::Timestamp => Some(parse_timestamp(left)?.cmp(&parse_timestamp(right)?)),
        }
    }
}

/// Whether the text is a timestamp with an offset from UTC.
pub(super) fn has_offset(text: &str) -> bool {
    DateTime::parse_from_rfc3339(text).is_ok()
}

/// Parses exactly `YYYY-MM-DD`, of the years 1 to 9999.
fn parse_date(text: &str) -> Option<NaiveDate> {
    let is_shaped = text.len() == 10
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !is_shaped || text.starts_with("0000") {
        return None;
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

/// Parses an instant, and converts it to UTC and to microseconds, as PostgreSQL stores it. The year is checked after
/// the conversion, because an offset, a leap second or rounding can move an instant into another year.
fn parse_timestamp(text: &str) -> Option<NaiveDateTime> {
    let read = read_timestamp(text)?;
    let second_overflow = TimeDelta::seconds(i64::from(read.nanosecond() / 1_000_000_000));
    let instant = read.with_nanosecond(read.nanosecond() % 1_000_000_000)? + second_overflow;
    let rounded = instant.round_subsecs(6);
    (1..=9999).contains(&rounded.year()).then_some(rounded)
}

fn read_timestamp(text: &str) -> Option<NaiveDateTime> {
    let has_date = text.get(..10).is_some_and(|date| parse_date(date).is_some());
    if !has_date {
        return None;
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.naive_utc());
    }
    let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let parsed = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    parsed.or_else(|| (text.len() == 10).then(|| parse_date(text)?.and_hms_opt(0, 0, 0)).flatten())
}
