//! The notation of days and timestamps in ISO 8601.

pub(super) mod extended;

/// A timestamp, as positions and values of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timestamp<'a> {
    /// The day, as `YYYY-MM-DD`. A year after 9999 has more digits.
    pub(super) day: &'a [u8],
    /// The time, as `HH:MM` or `HH:MM:SS`.
    pub(super) clock: &'a [u8],
    /// The digits of the fraction of a second, without zeros at the end: at most 6.
    pub(super) fraction: &'a [u8],
    /// The offset in minutes. `None` if the timestamp has none.
    pub(super) offset: Option<i32>,
}

/// The greatest offset that PostgreSQL accepts, in minutes.
const MAX_OFFSET_MINUTES: i32 = 15 * 60 + 59;

const MINUTES_PER_DAY: i32 = 24 * 60;

/// Reads two digits. A number of 100 or more means that they are none.
#[inline]
fn two_digits(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..at + 2) {
        Some([tens @ b'0'..=b'9', ones @ b'0'..=b'9']) => u32::from(tens - b'0') * 10 + u32::from(ones - b'0'),
        _ => 100,
    }
}

/// Whether the bytes are `YYYY-MM-DD`, whatever the digits.
pub(super) fn is_written_as_day(bytes: &[u8]) -> bool {
    let is_digit = |index: usize| bytes[index].is_ascii_digit();
    bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-' && [0, 1, 2, 3, 5, 6, 8, 9].into_iter().all(is_digit)
}

/// Whether the bytes are a day that exists, in the years 1 to 9999, written as `YYYY-MM-DD`.
#[inline]
pub(super) fn is_day(bytes: &[u8]) -> bool {
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return false;
    }
    let (century, year_of_century) = (two_digits(bytes, 0), two_digits(bytes, 2));
    let (month, day) = (two_digits(bytes, 5), two_digits(bytes, 8));
    let year = century * 100 + year_of_century;
    century < 100 && year_of_century < 100 && year > 0 && day > 0 && day <= days_of_month(year, month)
}

/// The number of days of a month. 0 if there is no such month.
pub(super) fn days_of_month(year: u32, month: u32) -> u32 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 0,
    }
}

/// Reads `YYYY-MM-DD[T ]HH:MM(:SS(.f+)?)?`, with or without an offset. `None` if the text has another form, if such a
/// time does not exist, or if it is finer than microseconds.
pub(super) fn timestamp(bytes: &[u8]) -> Option<Timestamp<'_>> {
    let (day, rest) = bytes.split_at_checked(10)?;
    let stamp = if is_day(day) { after_day(day, rest) } else { None };
    stamp.filter(|stamp| stamp.offset.is_none_or(|minutes| stays_in_range(day, stamp.clock, minutes)))
}

/// Reads what follows the day of a timestamp.
#[inline]
fn after_day<'a>(day: &'a [u8], rest: &'a [u8]) -> Option<Timestamp<'a>> {
    let (separator, rest) = rest.split_first()?;
    let is_minute = rest.get(2) == Some(&b':') && two_digits(rest, 0) < 24 && two_digits(rest, 3) < 60;
    if !matches!(separator, b'T' | b' ') || !is_minute {
        return None;
    }
    let (clock, mut rest) = match rest.get(5) {
        Some(b':') if two_digits(rest, 6) < 60 => rest.split_at(8),
        Some(b':') => return None,
        _ => rest.split_at(5),
    };
    let mut fraction: &[u8] = b"";
    if clock.len() == 8
        && let Some(digits) = rest.strip_prefix(b".")
    {
        let count = super::numbers::leading_digits(digits);
        if count == 0 {
            return None;
        }
        (fraction, rest) = digits.split_at(count);
        let significant = fraction.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        fraction = &fraction[..significant];
        if fraction.len() > 6 {
            return None;
        }
    }
    Some(Timestamp { day, clock, fraction, offset: offset(rest)? })
}

/// Reads an offset. The inner `None` is for no offset.
#[expect(clippy::option_option, reason = "the outer one is for a text that is no offset")]
fn offset(text: &[u8]) -> Option<Option<i32>> {
    // Many programs write a blank before the offset.
    let (sign, digits) = match text.strip_prefix(b" ").unwrap_or(text) {
        b"" if text.is_empty() => return Some(None),
        b"Z" => return Some(Some(0)),
        b"UTC" if text.len() == 4 => return Some(Some(0)),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let minutes = match digits {
        [_, _] => 0,
        [_, _, b':', _, _] => two_digits(digits, 3),
        [_, _, _, _] => two_digits(digits, 2),
        _ => return None,
    };
    let hours = two_digits(digits, 0);
    if hours >= 100 || minutes >= 60 {
        return None;
    }
    let total = i32::try_from(hours * 60 + minutes).ok().filter(|total| *total <= MAX_OFFSET_MINUTES)?;
    Some(Some(sign * total))
}

/// Whether a timestamp is in the years 1 to 9999 in UTC as well.
fn stays_in_range(day: &[u8], clock: &[u8], offset: i32) -> bool {
    let minutes = minutes_of_day(clock) - offset;
    match day {
        b"0001-01-01" => minutes >= 0,
        b"9999-12-31" => minutes < MINUTES_PER_DAY,
        _ => true,
    }
}

fn minutes_of_day(clock: &[u8]) -> i32 {
    i32::try_from(two_digits(clock, 0) * 60 + two_digits(clock, 3)).unwrap_or(0)
}

impl Timestamp<'_> {
    /// Whether it is midnight, in UTC if it has an offset.
    pub(super) fn is_midnight(&self) -> bool {
        self.clock.iter().all(|byte| matches!(byte, b'0' | b':'))
            && self.fraction.is_empty()
            && self.offset.unwrap_or(0) == 0
    }

    /// Appends it as PostgreSQL writes it: `2025-06-01 12:00:00.5+02:00`.
    pub(super) fn write(&self, output: &mut Vec<u8>) {
        output.extend_from_slice(self.day);
        output.push(b' ');
        output.extend_from_slice(self.clock);
        if self.clock.len() == 5 {
            output.extend_from_slice(b":00");
        }
        if !self.fraction.is_empty() {
            output.push(b'.');
            output.extend_from_slice(self.fraction);
        }
        if let Some(offset) = self.offset {
            write_offset(offset, output);
        }
    }
}

fn write_offset(offset: i32, output: &mut Vec<u8>) {
    let (hours, minutes) = (offset.unsigned_abs() / 60, offset.unsigned_abs() % 60);
    let digits =
        |number: u32| [b'0' + u8::try_from(number / 10).unwrap_or(0), b'0' + u8::try_from(number % 10).unwrap_or(0)];
    output.push(if offset < 0 { b'-' } else { b'+' });
    output.extend_from_slice(&digits(hours));
    if minutes > 0 {
        output.push(b':');
        output.extend_from_slice(&digits(minutes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<String> {
        let mut output = Vec::new();
        timestamp(text.as_bytes())?.write(&mut output);
        Some(String::from_utf8(output).unwrap())
    }

    #[test]
    fn reads_days_that_exist() {
        for day in ["2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"] {
            assert!(is_day(day.as_bytes()), "{day}");
        }
        for text in [
            "2025-02-29",
            "1900-02-29",
            "0000-01-01",
            "2025-13-01",
            "2025-00-10",
            "2025-01-00",
            "2025-04-31",
            "01/06/2025",
            "2025-6-1",
            "",
            "2025-06-01x",
            "é25-06-01",
            "2025-1a-01",
            "+025-01-01",
        ] {
            assert!(!is_day(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn reads_timestamps_and_writes_them_as_postgresql_does() {
        for (text, expected) in [
            ("2025-06-01T12:30", "2025-06-01 12:30:00"),
            ("2025-06-01 23:59:59.999999", "2025-06-01 23:59:59.999999"),
            ("2025-06-01 00:00:00.500000000", "2025-06-01 00:00:00.5"),
            ("2025-06-01 00:00:00.000", "2025-06-01 00:00:00"),
            ("2025-06-01T12:00:00Z", "2025-06-01 12:00:00+00"),
            ("2025-06-01 12:00 UTC", "2025-06-01 12:00:00+00"),
            ("2025-06-01 12:00:00+02", "2025-06-01 12:00:00+02"),
            ("2025-06-01 12:00:00-0530", "2025-06-01 12:00:00-05:30"),
            ("2025-06-01T12:00:00.25+05:45", "2025-06-01 12:00:00.25+05:45"),
            ("2025-06-01 12:00:00 +0200", "2025-06-01 12:00:00+02"),
            ("2025-06-01 12:00:00.250 Z", "2025-06-01 12:00:00.25+00"),
            ("2025-06-01 12:00-00:30", "2025-06-01 12:00:00-00:30"),
            ("0001-01-01 05:00+05", "0001-01-01 05:00:00+05"),
        ] {
            assert_eq!(written(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn no_timestamp_is_rounded_or_guessed() {
        for text in [
            "2025-06-01T24:00:00",
            "2025-06-01T23:59:60",
            "2025-06-01T23:60",
            "2025-06-01 12:00:00.1234567",
            "2025-06-01 12:00:00.",
            "2025-06-01 12:00.5",
            "2025-06-01 ",
            "2025-06-01T",
            "2025-06-01T0:00",
            "2025-06-01t12:00",
            "2025-06-01 12:00:00 CET",
            "2025-06-01 12:00:00UTC",
            "2025-06-01 12:00:00  +02",
            "2025-06-01 12:00:00 ",
            "2025-06-01 12:00:00z",
            "2025-06-01 12:00:00+2",
            "2025-06-01 12:00:00+16",
            "2025-06-01 12:00:00+02:60",
            "2025-06-01 12:00:00+02:00:00",
            "2025-02-30 12:00",
            "0001-01-01 04:59+05",
            "9999-12-31 20:00-05",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
    }
}
