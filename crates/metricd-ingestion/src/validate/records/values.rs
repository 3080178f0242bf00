//! Parses the values of a record from their trimmed texts.

use std::num::IntErrorKind;

use chrono::NaiveDate;
use metricd_domain::{Decimal, InvalidDecimal, InvalidLabel, Label, RecordDate};

use crate::Reason;

pub(super) fn decimal(text: &str) -> Result<Decimal, (Reason, String)> {
    Decimal::parse(text).map_err(|error| {
        let reason = match error {
            InvalidDecimal::NotFinite => Reason::NumberNotFinite,
            InvalidDecimal::Syntax => Reason::NumberInvalid,
            InvalidDecimal::TooLong => Reason::NumberOutOfRange,
        };
        (reason, error.to_string())
    })
}

/// Parses an integer. It accepts a fraction of zeros, because tools write `3.0` if a column of integers has gaps.
pub(super) fn integer(text: &str) -> Result<i64, (Reason, String)> {
    let is_zero = |fraction: &str| !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    let integer = text.split_once('.').filter(|(_, fraction)| is_zero(fraction)).map_or(text, |(integer, _)| integer);
    integer.parse::<i64>().map_err(|error| match (error.kind(), Decimal::parse(text)) {
        (_, Err(error @ InvalidDecimal::NotFinite)) => (Reason::NumberNotFinite, error.to_string()),
        (IntErrorKind::PosOverflow | IntErrorKind::NegOverflow, _) => {
            (Reason::NumberOutOfRange, format!("expected a whole number from {} to {}", i64::MIN, i64::MAX))
        }
        _ => (Reason::NumberInvalid, "expected a whole number such as `7`".to_owned()),
    })
}

pub(super) fn label(text: &str) -> Result<Label, (Reason, String)> {
    Label::parse(text).map_err(|error| {
        let reason = match error {
            InvalidLabel::Empty | InvalidLabel::TooLong { .. } => Reason::TextTooLong,
            InvalidLabel::Nul => Reason::TextNul,
        };
        (reason, error.to_string())
    })
}

/// Parses a day. It is written as YYYY-MM-DD, in the years 1 to 9999, or as a timestamp at midnight in UTC.
pub(super) fn date(text: &str) -> Result<RecordDate, (Reason, String)> {
    let written_as_day = |text: &str| {
        let bytes = text.as_bytes();
        let digits = |range: std::ops::Range<usize>| bytes[range].iter().all(u8::is_ascii_digit);
        bytes.len() == 10 && digits(0..4) && bytes[4] == b'-' && digits(5..7) && bytes[7] == b'-' && digits(8..10)
    };
    let Some(day) = text.get(..10).filter(|day| written_as_day(day)) else {
        return Err((Reason::DateInvalid, "expected a day written as YYYY-MM-DD".to_owned()));
    };
    match &text[10..] {
        "" => {}
        time if is_midnight(time) => {}
        time if time.starts_with(['T', 't', ' ']) => {
            let message =
                format!("expected a day such as `{day}`, found a timestamp; only midnight in UTC counts as a day");
            return Err((Reason::DateTimestamp, message));
        }
        _ => return Err((Reason::DateInvalid, "expected a day written as YYYY-MM-DD".to_owned())),
    }
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok().and_then(|day| RecordDate::new(day).ok());
    day.ok_or_else(|| (Reason::DateInvalid, "the day does not exist in the calendar".to_owned()))
}

/// Whether the text after a day is midnight with an offset of zero: ` 00:00:00`, `T00:00:00.000Z`, ` 00:00:00+00`.
fn is_midnight(text: &str) -> bool {
    let Some(time) = text.strip_prefix(['T', 't', ' ']) else { return false };
    let offset_at = time.find(['Z', 'z', '+', '-', ' ']).unwrap_or(time.len());
    let (time, offset) = time.split_at(offset_at);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let is_zero = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    ["00:00", "00:00:00"].contains(&clock)
        && is_zero
        && ["", "Z", "z", " UTC", "+00", "+0000", "+00:00", "-00", "-0000", "-00:00"].contains(&offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_days_and_nothing_else() {
        let day = RecordDate::new(NaiveDate::from_ymd_opt(2024, 2, 29).unwrap()).unwrap();
        assert_eq!(date("2024-02-29").unwrap(), day);
        for midnight in [
            " 00:00:00",
            "T00:00:00",
            " 00:00",
            "T00:00Z",
            "T00:00:00.000Z",
            " 00:00:00.000000",
            " 00:00:00+00",
            " 00:00:00+00:00",
            "T00:00:00-00:00",
            " 00:00:00+0000",
            " 00:00:00 UTC",
        ] {
            assert_eq!(date(&format!("2024-02-29{midnight}")).ok(), Some(day), "{midnight:?}");
        }
        let reason = |text: &str| date(text).unwrap_err().0;
        for text in [
            "2025-02-29",
            "0000-01-01",
            "2025-13-01",
            "2025-00-10",
            "01/06/2025",
            "2025-6-1",
            "",
            "2025-06-01x",
            "é25-06-01",
            "2025-02-29 00:00:00",
            "2025-06-0100:00:00",
        ] {
            assert_eq!(reason(text), Reason::DateInvalid, "{text:?}");
        }
        for text in [
            "2025-06-01T00:00:01",
            "2025-06-01 12:30",
            "2025-06-01T00:00:00.001",
            "2025-06-01 00:00:00+02",
            "2025-06-01T00:00:00-05:00",
            "2025-06-01T24:00:00",
            "2025-06-01 00:00:00.",
            "2025-06-01 ",
            "2025-06-01T0:00",
        ] {
            assert_eq!(reason(text), Reason::DateTimestamp, "{text:?}");
        }
    }

    #[test]
    fn reads_integers_also_with_a_fraction_of_zeros() {
        for (text, number) in
            [("3", 3), ("3.0", 3), ("3.00", 3), ("-3.0", -3), ("+7", 7), ("9223372036854775807.0", i64::MAX)]
        {
            assert_eq!(integer(text).ok(), Some(number), "{text}");
        }
        let reason = |text: &str| integer(text).unwrap_err().0;
        for text in ["3.1", "3.", ".0", "3.0.0", "1e0", "3,0", "x"] {
            assert_eq!(reason(text), Reason::NumberInvalid, "{text}");
        }
        assert_eq!(reason("9223372036854775808.0"), Reason::NumberOutOfRange);
        assert_eq!(reason("NaN"), Reason::NumberNotFinite);
    }
}
