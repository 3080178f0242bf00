//! Parsers of option values. Their errors state what is expected.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds};
use std::str::FromStr;
use std::time::Duration;

/// Returns a parser of whole numbers in the range. Its error states the bounds, if the lower one is included.
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

/// Parses the value of an environment variable that sets a flag. Any other text is an error: it must neither enable nor
/// disable anything silently.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("expected `1` or `true` to set the flag, `0` or `false` not to set it".to_owned()),
    }
}

/// Parses a duration, such as `30d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected numbers with units, such as `15m`, `12h` or `30d`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_wrong_number_states_the_range() {
        let within = whole_number::<u32>(1..=50);
        assert_eq!(within("50"), Ok(50));
        for wrong in ["0", "51", "-1", "5s", "", "99999999999"] {
            assert_eq!(within(wrong), Err("expected a whole number from 1 to 50".to_owned()), "{wrong}");
        }
        assert_eq!(whole_number::<u64>(1..)("0"), Err("expected a whole number of at least 1".to_owned()));
    }

    #[test]
    fn the_variable_of_a_flag_is_true_or_false() {
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
    fn the_error_of_a_wrong_duration_states_the_form() {
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["x", "30", "", "5 parsecs"] {
            assert!(duration(wrong).is_err_and(|message| message.starts_with("expected")), "{wrong}");
        }
    }
}
