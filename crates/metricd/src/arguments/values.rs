//! Values of options, with messages that say what is expected.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds};
use std::str::FromStr;
use std::time::Duration;

/// Reads a whole number within these bounds, of which the first is included.
pub(super) fn whole_number<T: FromStr + PartialOrd + Display>(
    range: impl RangeBounds<T> + Clone,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| match (range.start_bound(), range.end_bound()) {
            (Bound::Included(from), Bound::Included(to)) => format!("expected a whole number from {from} to {to}"),
            (Bound::Included(from), Bound::Unbounded) => format!("expected a whole number of at least {from}"),
            _ => "expected a whole number".to_owned(),
        })
    }
}

/// Reads the value of an environment variable that stands for a flag. Any other text is an error: it must neither enable nor
/// disable anything silently.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("expected `1` or `true` to set it, `0` or `false` otherwise".to_owned()),
    }
}

/// Reads a duration, such as `30d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected numbers with units, such as `15m`, `12h` or `30d`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_number_is_told_what_is_expected() {
        let within = whole_number::<u32>(1..=50);
        assert_eq!(within("50"), Ok(50));
        for wrong in ["0", "51", "-1", "5s", "", "99999999999"] {
            assert_eq!(within(wrong), Err("expected a whole number from 1 to 50".to_owned()), "{wrong}");
        }
        assert_eq!(whole_number::<u64>(1..)("0"), Err("expected a whole number of at least 1".to_owned()));
    }

    #[test]
    fn a_flags_variable_is_true_or_false() {
        for (text, expected) in
            [("1", true), ("TRUE", true), ("on", true), ("0", false), ("false", false), ("No", false)]
        {
            assert_eq!(boolean(text), Ok(expected), "{text}");
        }
        for wrong in ["", "maybe", "2", " 1"] {
            assert!(boolean(wrong).is_err_and(|message| message.starts_with("expected")), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_duration_is_told_what_is_expected() {
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["x", "30", "", "5 parsecs"] {
            assert!(duration(wrong).is_err_and(|message| message.starts_with("expected")), "{wrong}");
        }
    }
}
