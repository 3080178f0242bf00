//! The notation of PostgreSQL for days outside the years 1 to 9999, and for infinity. A type is never chosen because of
//! it; a column that has the type already holds such values.

use super::{MINUTES_PER_DAY, Timestamp, days_of_month, two_digits};

/// The last year of a date.
const LAST_DATE_YEAR: u32 = 5_874_897;

/// The last year of a timestamp.
const LAST_TIMESTAMP_YEAR: u32 = 294_276;

/// The first day of PostgreSQL's types, in years before Christ.
const FIRST_DAY: (u32, u32, u32) = (4714, 11, 24);

/// A day that exists, with its era.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Date {
    year: u32,
    month: u32,
    day: u32,
    is_bc: bool,
}

/// Whether the bytes are a date of PostgreSQL: `YYYY-MM-DD`, a year of up to 7 digits, ` BC` at the end, or infinity.
pub(in crate::columns) fn is_date(bytes: &[u8]) -> bool {
    let (text, is_bc) = without_era(bytes);
    let is_day = |(day, rest): (Date, &[u8])| rest.is_empty() && day.is_up_to(LAST_DATE_YEAR);
    is_infinity(bytes) || split_day(text, is_bc).is_some_and(is_day)
}

/// Appends a timestamp as PostgreSQL writes it, if the bytes are one, with or without an offset. A day is a timestamp
/// without one. Returns whether they are.
pub(in crate::columns) fn write_timestamp(bytes: &[u8], has_offset: bool, output: &mut Vec<u8>) -> bool {
    if is_infinity(bytes) {
        output.extend_from_slice(bytes);
        return true;
    }
    let (text, is_bc) = without_era(bytes);
    let Some(stamp) = timestamp(text, is_bc).filter(|stamp| stamp.offset.is_some() == has_offset) else {
        return false;
    };
    stamp.write(output);
    if is_bc {
        output.extend_from_slice(b" BC");
    }
    true
}

fn timestamp(text: &[u8], is_bc: bool) -> Option<Timestamp<'_>> {
    let (day, rest) = split_day(text, is_bc)?;
    if !day.is_up_to(LAST_TIMESTAMP_YEAR) {
        return None;
    }
    let written = &text[..text.len() - rest.len()];
    if rest.is_empty() {
        return Some(Timestamp { day: written, clock: b"00:00:00", fraction: b"", offset: None });
    }
    let stamp = super::after_day(written, rest)?;
    let minutes = super::minutes_of_day(stamp.clock) - stamp.offset.unwrap_or(0);
    let is_in_range = match day {
        first if first.is_first() => minutes >= 0,
        Date { year: LAST_TIMESTAMP_YEAR, month: 12, day: 31, is_bc: false } => minutes < MINUTES_PER_DAY,
        _ => true,
    };
    is_in_range.then_some(stamp)
}

fn without_era(bytes: &[u8]) -> (&[u8], bool) {
    bytes.strip_suffix(b" BC").map_or((bytes, false), |text| (text, true))
}

/// Splits a day that exists from what follows it.
fn split_day(bytes: &[u8], is_bc: bool) -> Option<(Date, &[u8])> {
    let digits = crate::columns::numbers::leading_digits(bytes);
    let (year, rest) = bytes.split_at_checked(digits)?;
    let has_form = (4..=7).contains(&digits) && (digits == 4 || year[0] != b'0');
    let (month_and_day, rest) = rest.split_at_checked(6)?;
    if !has_form || month_and_day[0] != b'-' || month_and_day[3] != b'-' {
        return None;
    }
    let year = year.iter().fold(0, |year, digit| year * 10 + u32::from(digit - b'0'));
    let (month, day) = (two_digits(month_and_day, 1), two_digits(month_and_day, 4));
    // 1 BC is a leap year, as 4 AD is.
    let leap_year = if is_bc { year.checked_sub(1)? } else { year };
    let exists = year > 0 && day > 0 && day <= days_of_month(leap_year, month);
    exists.then_some((Date { year, month, day, is_bc }, rest))
}

fn is_infinity(bytes: &[u8]) -> bool {
    bytes.strip_prefix(b"-").unwrap_or(bytes) == b"infinity"
}

impl Date {
    /// Whether PostgreSQL has the day in a type that ends with this year.
    fn is_up_to(self, last_year: u32) -> bool {
        let Self { year, month, day, is_bc } = self;
        if is_bc {
            year < FIRST_DAY.0 || self.is_first() || (year == FIRST_DAY.0 && (month, day) > (11, 24))
        } else {
            year <= last_year
        }
    }

    fn is_first(self) -> bool {
        self.is_bc && (self.year, self.month, self.day) == FIRST_DAY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_reach_from_the_first_to_the_last_day_of_postgresql() {
        for text in [
            "4714-11-24 BC",
            "4714-12-01 BC",
            "0001-12-31 BC",
            "0001-02-29 BC",
            "0005-02-29 BC",
            "0001-01-01",
            "10000-01-01",
            "5874897-12-31",
            "infinity",
            "-infinity",
        ] {
            assert!(is_date(text.as_bytes()), "{text}");
        }
        for text in [
            "4714-11-23 BC",
            "4715-01-01 BC",
            "0002-02-29 BC",
            "0000-01-01",
            "0000-01-01 BC",
            "5874898-01-01",
            "010000-01-01",
            "12345678-01-01",
            "999-01-01",
            "-4713-11-24",
            "10000-1-1",
            "10000-01-32",
            "10000-01-01 AD",
            "10000-01-01BC",
            "10000-01-01 00:00:00",
            "infinity BC",
            "inf",
            "",
            " BC",
            "-",
        ] {
            assert!(!is_date(text.as_bytes()), "{text}");
        }
    }

    fn written(text: &str, has_offset: bool) -> Option<String> {
        let mut output = Vec::new();
        let is_written = write_timestamp(text.as_bytes(), has_offset, &mut output);
        is_written.then(|| String::from_utf8(output).unwrap())
    }

    #[test]
    fn timestamps_reach_from_the_first_to_the_last_microsecond_of_postgresql() {
        for (text, expected) in [
            ("4714-11-24 00:00:00 BC", "4714-11-24 00:00:00 BC"),
            ("4714-11-24 BC", "4714-11-24 00:00:00 BC"),
            ("294276-12-31 23:59:59.999999", "294276-12-31 23:59:59.999999"),
            ("10000-01-01T12:00", "10000-01-01 12:00:00"),
            ("infinity", "infinity"),
        ] {
            assert_eq!(written(text, false).as_deref(), Some(expected), "{text}");
            assert_eq!(written(text, true).is_some(), text == "infinity", "{text}");
        }
        for text in [
            "4714-11-23 23:59:59 BC",
            "294277-01-01 00:00:00",
            "10000-01-01 24:00",
            "10000-01-01 12:00:00.1234567",
            "10000-01-01 BC 12:00",
        ] {
            assert_eq!(written(text, false), None, "{text}");
        }
    }

    #[test]
    fn the_offset_counts_for_the_range() {
        for (text, expected) in [
            ("4714-11-24 00:00:00+00 BC", "4714-11-24 00:00:00+00 BC"),
            ("4714-11-24 05:00:00+05 BC", "4714-11-24 05:00:00+05 BC"),
            ("294276-12-31 23:59:59.999999Z", "294276-12-31 23:59:59.999999+00"),
            ("294276-12-31 18:59:59 -0500", "294276-12-31 18:59:59-05"),
            ("0001-12-31T23:00:00 UTC BC", "0001-12-31 23:00:00+00 BC"),
            ("0001-01-01 04:59+05", "0001-01-01 04:59:00+05"),
            ("-infinity", "-infinity"),
        ] {
            assert_eq!(written(text, true).as_deref(), Some(expected), "{text}");
        }
        for text in ["4714-11-24 04:59:59+05 BC", "294276-12-31 19:00:00-05", "10000-01-01 00:00:00+16"] {
            assert_eq!(written(text, true), None, "{text}");
        }
    }
}
