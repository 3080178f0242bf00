//! Times as people read them.

use std::fmt::Write as _;

use crate::calendar::{DAY, Day, HOUR, MINUTE, SECOND, weekday};
use crate::locale::Locale;

/// A day without its year, such as `3 Mar`.
pub(crate) fn day_of_month(time: i64, locale: Locale) -> String {
    let day = Day::of(time);
    let convention = locale.convention();
    let month = month(time, locale);
    if convention.month_first {
        format!("{month} {}", day.day)
    } else {
        format!("{}{} {month}", day.day, convention.after_day)
    }
}

/// The short name of a month.
pub(crate) fn month(time: i64, locale: Locale) -> &'static str {
    let index = usize::try_from(Day::of(time).month - 1).unwrap_or(0);
    locale.convention().months.get(index).copied().unwrap_or("")
}

/// The short name of a day of the week.
pub(crate) fn day_of_week(time: i64, locale: Locale) -> &'static str {
    weekday_name(weekday(time), locale)
}

/// The short name of a day of the week; 0 is Monday.
pub(crate) fn weekday_name(weekday: i64, locale: Locale) -> &'static str {
    let index = usize::try_from(weekday.rem_euclid(7)).unwrap_or(0);
    locale.convention().weekdays.get(index).copied().unwrap_or("")
}

/// A year. Those before the year 1 are counted backwards.
pub(crate) fn year(time: i64) -> String {
    let year = Day::of(time).year;
    if year > 0 { year.to_string() } else { format!("{} BC", 1 - year) }
}

/// A month with its year.
pub(crate) fn month_of_year(time: i64, locale: Locale) -> String {
    format!("{} {}", month(time, locale), year(time))
}

/// A day with its year.
pub(crate) fn day(time: i64, locale: Locale) -> String {
    let separator = if locale.convention().month_first { ", " } else { " " };
    format!("{}{separator}{}", day_of_month(time, locale), year(time))
}

/// A time of day with as many parts as it needs.
pub(crate) fn clock(time: i64) -> String {
    let rest = time.rem_euclid(DAY);
    let (hour, minute) = (rest / HOUR, rest % HOUR / MINUTE);
    let (second, micros) = (rest % MINUTE / SECOND, rest % SECOND);
    let mut text = format!("{hour:02}:{minute:02}");
    if second != 0 || micros != 0 {
        let _ = write!(text, ":{second:02}");
    }
    if micros != 0 {
        text.push_str(format!(".{micros:06}").trim_end_matches('0'));
    }
    text
}

/// How precise times are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Precision {
    Day,
    Minute,
    Second,
    Micros,
}

impl Precision {
    /// The least precision that shows a time.
    pub(crate) fn of(time: i64) -> Self {
        match time.rem_euclid(DAY) {
            0 => Self::Day,
            rest if rest % MINUTE == 0 => Self::Minute,
            rest if rest % SECOND == 0 => Self::Second,
            _ => Self::Micros,
        }
    }
}

/// A whole time with this precision, as others of its column have it.
pub(crate) fn precise(time: i64, precision: Precision, locale: Locale) -> String {
    let rest = time.rem_euclid(DAY);
    let clock = format!("{:02}:{:02}", rest / HOUR, rest % HOUR / MINUTE);
    let (second, micros) = (rest % MINUTE / SECOND, rest % SECOND);
    let day = day(time, locale);
    match precision {
        Precision::Day => day,
        Precision::Minute => format!("{day}, {clock}"),
        Precision::Second => format!("{day}, {clock}:{second:02}"),
        Precision::Micros => format!("{day}, {clock}:{second:02}.{micros:06}"),
    }
}

/// A whole time for a sentence; only the day if the column has no time of day.
pub(crate) fn full(time: i64, is_day: bool, locale: Locale) -> String {
    if is_day { day(time, locale) } else { format!("{}, {}", day(time, locale), clock(time)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_by_the_rules_of_a_locale() {
        let time = Day { year: 2026, month: 3, day: 3 }.midnight() + 14 * HOUR + 5 * MINUTE;
        assert_eq!(full(time, false, Locale::default()), "3 Mar 2026, 14:05");
        assert_eq!(full(time, true, Locale::of("en-US").unwrap()), "Mar 3, 2026");
        assert_eq!(full(time, true, Locale::of("de").unwrap()), "3. März 2026");
        assert_eq!(day_of_week(time, Locale::default()), "Tue");
        assert_eq!(clock(time + SECOND / 2), "14:05:00.5");
        assert_eq!(year(Day { year: -43, month: 3, day: 15 }.midnight()), "44 BC");
        assert_eq!(year(Day { year: 12_026, month: 3, day: 15 }.midnight()), "12026");
    }
}
