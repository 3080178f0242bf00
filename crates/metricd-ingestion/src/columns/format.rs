//! The choices for text, prepared for the values of many cells.

use std::fmt::Write as _;

use chrono::format::{Fixed, Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use metricd_domain::ReadOptions;

/// An instant with different numbers in each field, which shows the fields that a format has.
const SAMPLE: &str = "2001-02-03T14:05:06.789+01:00";

/// Why a format does not describe dates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDateFormat {
    /// The format has an unknown specifier.
    #[error("`{0}` is not a format of dates: expected specifiers of `strftime`, such as `%d/%m/%Y`")]
    Specifier(String),
    /// The format does not identify a day.
    #[error("the format `{0}` does not identify a day: expected a year, a month and a day, such as `%d/%m/%Y`")]
    Incomplete(String),
    /// The format has the name of a time zone, which identifies no offset.
    #[error("the format `{0}` has the name of a time zone, which is ambiguous: expected an offset (`%z`), or none")]
    ZoneName(String),
}

/// The choices for text.
#[derive(Debug, Clone)]
pub(super) struct ValueFormat {
    pub(super) decimal_comma: bool,
    /// Whether dates in ISO 8601 are read. They are not if the declared format would read them as other days.
    pub(super) accepts_iso: bool,
    nulls: Vec<String>,
    dates: Option<DateFormat>,
}

impl ValueFormat {
    pub(super) fn new(format: &ReadOptions) -> Result<Self, InvalidDateFormat> {
        let dates = format.date_format.as_deref().map(DateFormat::new).transpose()?;
        let is_contradicted = |iso: &str| {
            let read = dates.as_ref().and_then(|dates| dates.iso(iso));
            read.is_some_and(|read| !read.starts_with(&iso[..10]))
        };
        let accepts_iso = !["2001-02-03", "2001-02-03 04:05", "2001-02-03 04:05:06", "2001-02-03T04:05:06"]
            .into_iter()
            .any(is_contradicted);
        Ok(Self { decimal_comma: format.decimal_comma, accepts_iso, nulls: format.nulls.clone(), dates })
    }

    /// Whether a format of dates is declared.
    pub(super) fn has_dates(&self) -> bool {
        self.dates.is_some()
    }

    /// A date or timestamp in the declared format, in the notation of ISO 8601. `None` if the text has another format.
    pub(super) fn iso(&self, text: &str) -> Option<String> {
        self.dates.as_ref()?.iso(text)
    }

    /// Whether a trimmed text without a type means no value.
    #[inline]
    pub(super) fn is_null(&self, text: &str) -> bool {
        text.is_empty() || text == "\\N" || !self.nulls.is_empty() && self.nulls.iter().any(|null| null == text)
    }

    /// Whether a text that the file marks as text means no value in a column of another type than text.
    #[inline]
    pub(super) fn is_null_text(&self, text: &str) -> bool {
        let trimmed = trim(text);
        text.is_empty() || !trimmed.is_empty() && self.is_null(trimmed)
    }
}

/// Removes blanks at both ends.
#[inline]
pub(super) fn trim(text: &str) -> &str {
    match text.as_bytes() {
        [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'] => text,
        _ => text.trim(),
    }
}

/// The fields of a format of dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DateFields {
    Date,
    Timestamp,
    Timestamptz,
}

/// A format of dates or timestamps.
#[derive(Debug, Clone)]
struct DateFormat {
    items: Vec<Item<'static>>,
    fields: DateFields,
}

impl DateFormat {
    fn new(format: &str) -> Result<Self, InvalidDateFormat> {
        let invalid = |_| InvalidDateFormat::Specifier(format.to_owned());
        let items = StrftimeItems::new(format).parse_to_owned().map_err(invalid)?;
        if items.iter().any(|item| matches!(item, Item::Fixed(Fixed::TimezoneName))) {
            return Err(InvalidDateFormat::ZoneName(format.to_owned()));
        }
        let incomplete = || InvalidDateFormat::Incomplete(format.to_owned());
        let sample = DateTime::parse_from_rfc3339(SAMPLE).map_err(|_| incomplete())?;
        let mut text = String::new();
        write!(text, "{}", sample.format_with_items(items.iter()))
            .map_err(|_| InvalidDateFormat::Specifier(format.to_owned()))?;
        let mut parsed = Parsed::new();
        parse(&mut parsed, &text, items.iter()).map_err(|_| incomplete())?;
        let fields = if parsed.to_datetime().is_ok() {
            DateFields::Timestamptz
        } else if parsed.to_naive_datetime_with_offset(0).is_ok() {
            DateFields::Timestamp
        } else if parsed.to_naive_date().is_ok() {
            DateFields::Date
        } else {
            return Err(incomplete());
        };
        Ok(Self { items, fields })
    }

    /// The value in the notation of ISO 8601. `None` if the text has another format, or is finer than microseconds.
    fn iso(&self, text: &str) -> Option<String> {
        match self.fields {
            DateFields::Date => match self.day(text) {
                Some(day) => Some(day.format("%Y-%m-%d").to_string()),
                None => Some(timestamp(self.day_and_clock(text)?)),
            },
            DateFields::Timestamp => {
                self.parsed(text)?.to_naive_datetime_with_offset(0).ok().filter(is_exact).map(timestamp)
            }
            DateFields::Timestamptz => {
                let time: DateTime<FixedOffset> = self.parsed(text)?.to_datetime().ok()?;
                is_exact(&time.naive_local()).then(|| time.format("%Y-%m-%d %H:%M:%S%.6f%:z").to_string())
            }
        }
    }
}

impl DateFormat {
    fn parsed(&self, text: &str) -> Option<Parsed> {
        let mut parsed = Parsed::new();
        parse(&mut parsed, text, self.items.iter()).ok()?;
        Some(parsed)
    }

    fn day(&self, text: &str) -> Option<NaiveDate> {
        self.parsed(text)?.to_naive_date().ok().filter(|day| (1..=9_999).contains(&day.year()))
    }

    /// A day in this format, and the time of the day after a blank or `T`. With the order of day and month known, the
    /// time is unambiguous.
    fn day_and_clock(&self, text: &str) -> Option<NaiveDateTime> {
        text.match_indices([' ', 'T']).find_map(|(at, _)| {
            let (day, clock) = (self.day(&text[..at])?, &text[at + 1..]);
            let clock = CLOCKS.iter().find_map(|format| NaiveTime::parse_from_str(clock, format).ok())?;
            Some(day.and_time(clock)).filter(is_exact)
        })
    }
}

/// The notations of the time of a day, from minutes to microseconds.
const CLOCKS: [&str; 4] = ["%H:%M", "%H:%M:%S%.f", "%I:%M %p", "%I:%M:%S %p"];

fn timestamp(time: NaiveDateTime) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

/// Whether a time has a year from 1 to 9999, no leap second and at most microseconds.
fn is_exact(time: &NaiveDateTime) -> bool {
    (1..=9_999).contains(&time.year()) && time.nanosecond() < 1_000_000_000 && time.nanosecond().is_multiple_of(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(date_format: &str) -> Result<ValueFormat, InvalidDateFormat> {
        ValueFormat::new(&ReadOptions { date_format: Some(date_format.to_owned()), ..ReadOptions::default() })
    }

    #[test]
    fn a_format_of_dates_decides_the_fields() {
        for (date_format, text, expected) in [
            ("%d/%m/%Y", "01/02/2025", Some("2025-02-01")),
            ("%d.%m.%Y", "1.2.2025", Some("2025-02-01")),
            ("%m/%d/%y", "12/31/99", Some("1999-12-31")),
            ("%d/%m/%Y", "31/02/2025", None),
            ("%d/%m/%Y", "01/02/2025 9:30", Some("2025-02-01 09:30:00.000000")),
            ("%m/%d/%Y", "1/31/2025 12:05:30 AM", Some("2025-01-31 00:05:30.000000")),
            ("%d %b %Y", "1 Feb 2025 23:59:59.5", Some("2025-02-01 23:59:59.500000")),
            ("%d/%m/%Y", "01/02/2025 24:00", None),
            ("%d/%m/%Y", "01/02/2025 23:59:60", None),
            ("%d/%m/%Y", "01/02/2025 10:00 CET", None),
            ("%d/%m/%Y", "01/02/2025 10", None),
            ("%d/%m/%Y", "01/02/2025 ", None),
            ("%d/%m/%Y", "01/02/0000", None),
            ("%d.%m.%Y %H:%M", "01.02.2025 09:30", Some("2025-02-01 09:30:00.000000")),
            ("%m/%d/%Y %I:%M:%S %p", "01/02/2025 01:00:05 PM", Some("2025-01-02 13:00:05.000000")),
            ("%d/%m/%Y %H:%M:%S%z", "01/02/2025 10:00:00+0200", Some("2025-02-01 10:00:00.000000+02:00")),
            ("%s", "86400", Some("1970-01-02 00:00:00.000000+00:00")),
            ("%d/%m/%Y %H:%M:%S", "01/02/2025 23:59:60", None),
            ("%d/%m/%Y %H:%M:%S%.f", "01/02/2025 23:59:59.1234567", None),
        ] {
            assert_eq!(format(date_format).unwrap().iso(text).as_deref(), expected, "{date_format} {text}");
        }
    }

    #[test]
    fn a_format_that_identifies_no_day_is_refused() {
        assert!(matches!(format("%Q"), Err(InvalidDateFormat::Specifier(_))));
        for incomplete in ["", "%Y", "%d/%m", "%H:%M", "DD/MM/YYYY"] {
            assert!(matches!(format(incomplete), Err(InvalidDateFormat::Incomplete(_))), "{incomplete}");
        }
        assert!(matches!(format("%d/%m/%Y %H:%M %Z"), Err(InvalidDateFormat::ZoneName(_))));
    }

    #[test]
    fn iso_dates_are_read_unless_the_format_contradicts_them() {
        assert!(format("%d/%m/%Y").unwrap().accepts_iso);
        assert!(format("%Y-%m-%d").unwrap().accepts_iso);
        assert!(!format("%Y-%d-%m").unwrap().accepts_iso);
        assert!(!format("%Y-%d-%m %H:%M").unwrap().accepts_iso);
    }
}
