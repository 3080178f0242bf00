//! Dates, timestamps, times and intervals as PostgreSQL writes them.

/// The days from 1970-01-01 to the first day that PostgreSQL has, 4714-11-24 BC.
const FIRST_DAY: i64 = -2_440_588;

/// The days from 1970-01-01 to the day after the last date, 5874897-12-31.
const DATE_END: i64 = 2_147_483_494 - 2_440_588;

/// The days from 1970-01-01 to the day after the last timestamp, 294276-12-31.
const TIMESTAMP_END: i64 = 109_203_528 - 2_440_588;

const DAY_SECONDS: i64 = 86_400;

/// The value is not in the range of its type in PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::read) struct OutOfRange;

/// How a timestamp is written.
#[derive(Debug, Clone, Copy)]
pub(in crate::read) struct TimestampForm {
    /// `T` in JSON, a blank otherwise.
    pub(in crate::read) separator: char,
    /// What follows the time: `+00`, `+00:00` in JSON, or nothing.
    pub(in crate::read) zone: &'static str,
}

/// The year, month and day of the proleptic Gregorian calendar. The year 0 is 1 BC.
///
/// The algorithm is `civil_from_days` of <https://howardhinnant.github.io/date_algorithms.html>.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Appends a number with at least so many digits.
fn push_padded(number: u64, width: usize, text: &mut String) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number);
    text.extend(std::iter::repeat_n('0', width.saturating_sub(digits.len())));
    text.push_str(digits);
}

/// Appends the day without its era. Returns whether it is before Christ.
fn push_day(days: i64, text: &mut String) -> bool {
    let (year, month, day) = civil(days);
    let is_bc = year < 1;
    push_padded(if is_bc { 1 - year } else { year }.unsigned_abs(), 4, text);
    text.push('-');
    push_padded(month.unsigned_abs(), 2, text);
    text.push('-');
    push_padded(day.unsigned_abs(), 2, text);
    is_bc
}

/// Appends a date, which is this number of days after 1970-01-01.
pub(in crate::read) fn write_date(days: i64, text: &mut String) -> Result<(), OutOfRange> {
    if !(FIRST_DAY..DATE_END).contains(&days) {
        return Err(OutOfRange);
    }
    if push_day(days, text) {
        text.push_str(" BC");
    }
    Ok(())
}

/// Appends a timestamp: `count` units after 1970-01-01. A second has `per_second` units.
pub(in crate::read) fn write_timestamp(
    count: i64,
    per_second: i64,
    form: TimestampForm,
    text: &mut String,
) -> Result<(), OutOfRange> {
    let seconds = count.div_euclid(per_second);
    let days = seconds.div_euclid(DAY_SECONDS);
    if !(FIRST_DAY..TIMESTAMP_END).contains(&days) {
        return Err(OutOfRange);
    }
    let is_bc = push_day(days, text);
    text.push(form.separator);
    let fraction = count.rem_euclid(per_second).unsigned_abs();
    push_time(seconds.rem_euclid(DAY_SECONDS).unsigned_abs(), fraction, per_second.unsigned_abs(), text);
    text.push_str(form.zone);
    if is_bc {
        text.push_str(" BC");
    }
    Ok(())
}

/// Appends hours, minutes, seconds and the fraction without trailing zeros. Hours may exceed 23.
fn push_time(seconds: u64, fraction: u64, per_second: u64, text: &mut String) {
    push_padded(seconds / 3_600, 2, text);
    text.push(':');
    push_padded(seconds / 60 % 60, 2, text);
    text.push(':');
    push_padded(seconds % 60, 2, text);
    push_fraction(fraction, per_second, text);
}

/// Appends `.5` for 500 of 1 000.
fn push_fraction(mut fraction: u64, per_second: u64, text: &mut String) {
    if fraction == 0 {
        return;
    }
    let mut width = per_second.ilog10() as usize;
    while fraction.is_multiple_of(10) {
        fraction /= 10;
        width -= 1;
    }
    text.push('.');
    push_padded(fraction, width, text);
}

/// Appends a time of the day, or a duration, which may be negative and longer than a day.
pub(in crate::read) fn write_duration(count: i64, per_second: i64, text: &mut String) {
    if count < 0 {
        text.push('-');
    }
    let (count, per_second) = (count.unsigned_abs(), per_second.unsigned_abs());
    push_time(count / per_second, count % per_second, per_second, text);
}

/// Appends an interval in the notation of ISO 8601, such as `P1Y2M3DT4.5S`, which PostgreSQL reads.
pub(in crate::read) fn write_interval(months: i64, days: i64, nanoseconds: i64, text: &mut String) {
    let start = text.len();
    let push = |number: i64, unit: char, text: &mut String| {
        if number != 0 {
            text.push_str(itoa::Buffer::new().format(number));
            text.push(unit);
        }
    };
    text.push('P');
    push(months / 12, 'Y', text);
    push(months % 12, 'M', text);
    push(days, 'D', text);
    if nanoseconds != 0 || text.len() == start + 1 {
        text.push('T');
        if nanoseconds < 0 {
            text.push('-');
        }
        text.push_str(itoa::Buffer::new().format(nanoseconds.unsigned_abs() / 1_000_000_000));
        push_fraction(nanoseconds.unsigned_abs() % 1_000_000_000, 1_000_000_000, text);
        text.push('S');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: TimestampForm = TimestampForm { separator: ' ', zone: "" };
    const MICROS: i64 = 1_000_000;

    fn date(days: i64) -> Result<String, OutOfRange> {
        let mut text = String::new();
        write_date(days, &mut text).map(|()| text)
    }

    fn timestamp(count: i64, per_second: i64) -> Result<String, OutOfRange> {
        let mut text = String::new();
        write_timestamp(count, per_second, PLAIN, &mut text).map(|()| text)
    }

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut text = String::new();
        write(&mut text);
        text
    }

    #[test]
    fn a_date_is_written_in_the_whole_range_of_postgresql() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "10000-01-01"),
            (-719_162, "0001-01-01"),
            (-719_163, "0001-12-31 BC"),
            (-735_161, "0044-03-14 BC"),
            (FIRST_DAY, "4714-11-24 BC"),
            (DATE_END - 1, "5874897-12-31"),
        ] {
            assert_eq!(date(days).as_deref(), Ok(expected));
        }
        assert_eq!(date(FIRST_DAY - 1), Err(OutOfRange));
        assert_eq!(date(DATE_END), Err(OutOfRange));
    }

    #[test]
    fn a_timestamp_keeps_every_microsecond() {
        for (count, per_second, expected) in [
            (0, 1, "1970-01-01 00:00:00"),
            (-1, MICROS, "1969-12-31 23:59:59.999999"),
            (1_748_779_200_000_001, MICROS, "2025-06-01 12:00:00.000001"),
            (1_748_779_200_500, 1_000, "2025-06-01 12:00:00.5"),
            (i64::MAX, 1_000_000_000, "2262-04-11 23:47:16.854775807"),
            (i64::MIN, 1_000_000_000, "1677-09-21 00:12:43.145224192"),
            (-62_135_596_800_000_001, MICROS, "0001-12-31 23:59:59.999999 BC"),
            (TIMESTAMP_END * DAY_SECONDS - 1, 1, "294276-12-31 23:59:59"),
        ] {
            assert_eq!(timestamp(count, per_second).as_deref(), Ok(expected));
        }
        assert_eq!(timestamp(TIMESTAMP_END * DAY_SECONDS, 1), Err(OutOfRange));
        assert_eq!(timestamp(i64::MAX, 1), Err(OutOfRange));
        assert_eq!(timestamp(i64::MIN, 1), Err(OutOfRange));
    }

    #[test]
    fn a_duration_has_hours_minutes_and_seconds() {
        for (count, per_second, expected) in [
            (0, 1, "00:00:00"),
            (86_399_999_999, MICROS, "23:59:59.999999"),
            (-90_000, 1, "-25:00:00"),
            (i64::MIN, 1_000_000_000, "-2562047:47:16.854775808"),
        ] {
            assert_eq!(written(|text| write_duration(count, per_second, text)), expected);
        }
    }

    #[test]
    fn an_interval_keeps_months_days_and_nanoseconds_apart() {
        for (months, days, nanoseconds, expected) in [
            (0, 0, 0, "PT0S"),
            (14, 3, 4_500_000_000, "P1Y2M3DT4.5S"),
            (-1, 0, -1, "P-1MT-0.000000001S"),
            (0, -3, 0, "P-3D"),
        ] {
            assert_eq!(written(|text| write_interval(months, days, nanoseconds, text)), expected);
        }
    }
}
