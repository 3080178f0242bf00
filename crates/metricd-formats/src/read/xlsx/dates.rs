//! Dates and times of cells, which are numbers of days.

use metricd_ingestion::Reason;

use super::cells::{CellFault, Value};
use super::styles::NumberFormat;
use crate::read::values::{OutOfRange, TimestampForm, write_date, write_duration, write_timestamp};

const SECOND_MICROS: i64 = 1_000_000;
const DAY_MICROS: i64 = 86_400 * SECOND_MICROS;
const DAY_MICROS_FLOAT: f64 = 86_400e6;

/// The days from the day 0 of a calendar to 1970-01-01.
const EPOCH_1900: i64 = 25_569;
const EPOCH_1904: i64 = 24_107;

/// The day that Excel has and the calendar does not: 1900 was not a leap year.
const FALSE_LEAP_DAY: i64 = 60;

/// 9999-12-31, the last day of Excel, from 1970-01-01.
const LAST_DAY: i64 = 2_932_896;

/// Numbers with so many decimals are precise to some microseconds only.
const ROUNDED_DECIMALS: std::ops::RangeInclusive<usize> = 8..=10;

/// A day, or a day and a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    days: i64,
    micros: i64,
}

impl Moment {
    /// Whether the time is not midnight.
    pub(super) fn has_time(self) -> bool {
        self.micros != 0
    }

    /// Appends the date, with the time if `with_time` says so.
    pub(super) fn write(self, with_time: bool, text: &mut String) -> Result<(), OutOfRange> {
        if !with_time {
            return write_date(self.days, text);
        }
        let form = TimestampForm { separator: ' ', zone: "" };
        write_timestamp(self.days * DAY_MICROS + self.micros, SECOND_MICROS, form, text)
    }
}

/// The value of a number whose format shows a date, a time or a duration.
pub(super) fn value_of(number: &str, format: NumberFormat, is_1904: bool) -> Value {
    let invalid = |message: &str| {
        let value = Some(number.to_owned());
        Value::Fault(CellFault { reason: Reason::DateInvalid, message: message.to_owned(), value })
    };
    let Some(serial) = number.parse::<f64>().ok().filter(|serial| serial.abs() < 1e7) else {
        return invalid("the number is too large for a date");
    };
    let decimals = number.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let day = serial.floor();
    let mut micros = whole((serial - day) * DAY_MICROS_FLOAT);
    if ROUNDED_DECIMALS.contains(&decimals) {
        micros = (micros + 500) / 1_000 * 1_000;
    }
    let total = whole(day) * DAY_MICROS + micros;
    let (mut days, micros) = (total.div_euclid(DAY_MICROS), total.rem_euclid(DAY_MICROS));
    if format == NumberFormat::Duration || format == NumberFormat::Time && days == 0 {
        let mut text = String::new();
        write_duration(total, SECOND_MICROS, &mut text);
        return Value::Text(text);
    }
    if days < 0 {
        return invalid("the date is a negative number");
    }
    if is_1904 {
        days -= EPOCH_1904;
    } else {
        match days {
            0 => return invalid("the date is 0, which is no day: 1 is 1900-01-01"),
            FALSE_LEAP_DAY => return invalid("1900-02-29 does not exist, although spreadsheets have it"),
            // Days before the false leap day have numbers that are greater by one less.
            1..FALSE_LEAP_DAY => days -= EPOCH_1900 - 1,
            _ => days -= EPOCH_1900,
        }
    }
    if days > LAST_DAY {
        return invalid("the date is after 9999-12-31");
    }
    Value::Date(Moment { days, micros })
}

/// The whole number nearest to a number that is less than 2^53.
#[expect(clippy::cast_possible_truncation, reason = "the caller has checked the range")]
fn whole(number: f64) -> i64 {
    number.round() as i64
}

/// The value of a cell that has a date of ISO 8601 as text.
pub(super) fn of_iso(text: &str) -> Value {
    parse_iso(text).map_or_else(
        || {
            let message = "the date is not written as YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS".to_owned();
            Value::Fault(CellFault { reason: Reason::DateInvalid, message, value: Some(text.to_owned()) })
        },
        Value::Date,
    )
}

fn parse_iso(text: &str) -> Option<Moment> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00"));
    let mut parts = date.splitn(3, '-').map(|part| digits(part, 4));
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1..=9_999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (time, fraction) = time.strip_suffix('Z').unwrap_or(time).split_once('.').unwrap_or((time, "0"));
    let mut parts = time.strip_suffix('Z').unwrap_or(time).splitn(3, ':').map(|part| digits(part, 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction = digits(&format!("{fraction:0<6}"), 6)?;
    let days = days_of(year, month, day);
    let moment = Moment { days, micros: ((hour * 60 + minute) * 60 + second) * SECOND_MICROS + fraction };
    // A day that the month does not have would be written as one of the next month.
    let mut written = String::new();
    moment.write(false, &mut written).ok()?;
    written.ends_with(&format!("-{month:02}-{day:02}")).then_some(moment)
}

fn digits(text: &str, most: usize) -> Option<i64> {
    let is_number = !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// The days from 1970-01-01, by `days_from_civil` of <https://howardhinnant.github.io/date_algorithms.html>.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Value, with_time: bool) -> Result<String, String> {
        let mut text = String::new();
        match value {
            Value::Date(moment) => moment.write(with_time, &mut text).unwrap(),
            Value::Text(time) => text.push_str(time),
            Value::Fault(fault) => return Err(fault.message.clone()),
            other => panic!("{other:?}"),
        }
        Ok(text)
    }

    fn date(number: &str, is_1904: bool) -> Result<String, String> {
        written(&value_of(number, NumberFormat::Date, is_1904), false)
    }

    #[test]
    fn both_calendars_are_read_with_the_false_leap_day() {
        for (number, expected) in [
            ("1", "1900-01-01"),
            ("59", "1900-02-28"),
            ("61", "1900-03-01"),
            ("45809", "2025-06-01"),
            ("2958465", "9999-12-31"),
        ] {
            assert_eq!(date(number, false).as_deref(), Ok(expected));
        }
        for (number, expected) in [("0", "1904-01-01"), ("44347", "2025-06-01"), ("2957003", "9999-12-31")] {
            assert_eq!(date(number, true).as_deref(), Ok(expected));
        }
        for number in ["0", "60", "-1", "2958466", "1e300"] {
            date(number, false).unwrap_err();
        }
        date("-1", true).unwrap_err();
    }

    #[test]
    fn a_time_is_exact_as_far_as_its_number_is() {
        for (number, expected) in [
            ("45809.5", "2025-06-01 12:00:00"),
            ("45809.0", "2025-06-01 00:00:00"),
            ("45809.395833333336", "2025-06-01 09:30:00"),
            ("45809.3958333333", "2025-06-01 09:30:00"),
            ("45809.99999999", "2025-06-01 23:59:59.999"),
            ("45809.999999999999", "2025-06-02 00:00:00"),
            ("45809.52101909722", "2025-06-01 12:30:16.05"),
            ("45809.000001423606", "2025-06-01 00:00:00.123"),
        ] {
            let value = value_of(number, NumberFormat::Date, false);
            assert_eq!(written(&value, true).as_deref(), Ok(expected), "{number}");
        }
    }

    #[test]
    fn a_time_of_a_day_and_a_duration_are_texts() {
        for (number, format, expected) in [
            ("0.5", NumberFormat::Time, "12:00:00"),
            ("0", NumberFormat::Time, "00:00:00"),
            ("0.99999999999999", NumberFormat::Duration, "24:00:00"),
            ("1.25", NumberFormat::Duration, "30:00:00"),
            ("-0.5", NumberFormat::Duration, "-12:00:00"),
        ] {
            assert_eq!(value_of(number, format, false), Value::Text(expected.to_owned()));
        }
        let value = value_of("45809.25", NumberFormat::Time, false);
        assert_eq!(written(&value, true).as_deref(), Ok("2025-06-01 06:00:00"));
    }

    #[test]
    fn dates_as_text_are_validated() {
        for (text, expected) in [
            ("2024-02-29", "2024-02-29 00:00:00"),
            ("2025-06-01T12:00:00", "2025-06-01 12:00:00"),
            ("2025-06-01T12:00:00.25Z", "2025-06-01 12:00:00.25"),
            ("0001-01-01T23:59:59Z", "0001-01-01 23:59:59"),
        ] {
            assert_eq!(written(&of_iso(text), true).as_deref(), Ok(expected));
        }
        for text in ["", "2025-02-29", "2025-13-01", "2025-06-01T24:00:00", "2025-06-01T12", "01.06.2025"] {
            written(&of_iso(text), true).unwrap_err();
        }
    }
}
