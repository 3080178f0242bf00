//! Converts dates and times from PostgreSQL's epoch, 2000-01-01, to that of Arrow, 1970-01-01.

use super::Refusal;

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;

/// Microseconds from 1970-01-01 to 2000-01-01.
const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

const NO_INFINITY: &str = "dates and timestamps of this format have no infinity: replace it in the SQL, such as by NULL, or cast the column to text";

const TOO_LATE: &str = "timestamps of this format end in the year 294246: cast the column to text in the SQL";

const NO_END_OF_DAY: &str = "times of this format end before 24:00:00: cast the column to text in the SQL";

/// Converts a `date` to days since 1970-01-01.
pub(super) fn date(days: i32) -> Result<i32, Refusal> {
    match days {
        i32::MAX | i32::MIN => Err(Refusal::Unrepresentable(NO_INFINITY)),
        _ => days.checked_add(EPOCH_DAYS).ok_or(Refusal::Malformed),
    }
}

/// Converts a timestamp to microseconds since 1970-01-01.
pub(super) fn timestamp(microseconds: i64) -> Result<i64, Refusal> {
    match microseconds {
        i64::MAX | i64::MIN => Err(Refusal::Unrepresentable(NO_INFINITY)),
        _ => microseconds.checked_add(EPOCH_MICROSECONDS).ok_or(Refusal::Unrepresentable(TOO_LATE)),
    }
}

/// Converts the text of a `time`, such as `12:34:56.789`, to microseconds since midnight.
pub(super) fn time(text: &[u8]) -> Result<i64, Refusal> {
    let (clock, fraction) = match text.iter().position(|byte| *byte == b'.') {
        Some(point) => (text.get(..point).unwrap_or_default(), text.get(point + 1..).unwrap_or_default()),
        None => (text, [].as_slice()),
    };
    let &[h1, h0, b':', m1, m0, b':', s1, s0] = clock else { return Err(Refusal::Malformed) };
    if fraction.len() > 6 {
        return Err(Refusal::Malformed);
    }
    let mut micros = [b'0'; 6];
    micros.iter_mut().zip(fraction).for_each(|(digit, found)| *digit = *found);
    let seconds = (number(&[h1, h0])? * 60 + number(&[m1, m0])?) * 60 + number(&[s1, s0])?;
    match seconds * 1_000_000 + number(&micros)? {
        microseconds @ ..86_400_000_000 => Ok(microseconds),
        86_400_000_000 => Err(Refusal::Unrepresentable(NO_END_OF_DAY)),
        _ => Err(Refusal::Malformed),
    }
}

fn number(digits: &[u8]) -> Result<i64, Refusal> {
    digits.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'9' => Ok(number * 10 + i64::from(digit - b'0')),
        _ => Err(Refusal::Malformed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_microseconds_count_from_1970() {
        assert_eq!(date(-EPOCH_DAYS), Ok(0));
        assert_eq!(timestamp(-EPOCH_MICROSECONDS), Ok(0));
        // The first and last values that PostgreSQL has: 4713 BC, and the years 5874897 and 294276.
        assert_eq!((date(-2_451_545), date(2_145_031_948)), (Ok(-2_440_588), Ok(2_145_042_905)));
        assert!(timestamp(-211_813_488_000_000_000).is_ok());
        assert_eq!(timestamp(9_223_371_331_199_999_999), Err(Refusal::Unrepresentable(TOO_LATE)));
        for infinity in [(i32::MAX, i64::MAX), (i32::MIN, i64::MIN)] {
            assert_eq!(date(infinity.0), Err(Refusal::Unrepresentable(NO_INFINITY)));
            assert_eq!(timestamp(infinity.1), Err(Refusal::Unrepresentable(NO_INFINITY)));
        }
    }

    #[test]
    fn times_are_parsed_to_the_microsecond() {
        assert_eq!(time(b"00:00:00"), Ok(0));
        assert_eq!(time(b"23:59:59.999999"), Ok(86_399_999_999));
        assert_eq!(time(b"12:34:56.7"), Ok(45_296_700_000));
        assert_eq!(time(b"24:00:00"), Err(Refusal::Unrepresentable(NO_END_OF_DAY)));
        for malformed in ["", "1:00:00", "00:00:00.1234567", "aa:00:00", "99:00:00", "00:00:00.x"] {
            assert_eq!(time(malformed.as_bytes()), Err(Refusal::Malformed), "{malformed}");
        }
    }
}
