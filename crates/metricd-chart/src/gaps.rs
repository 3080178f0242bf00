//! Finds the step of a series of times, and with it the times that are missing.

use std::collections::BTreeMap;

use crate::calendar::{DAY, Day, weekday};
use crate::math::{between, clamped};
use crate::zone::Zone;

/// The distance between the times of a regular series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Times have no common step: nothing is known to be missing.
    Irregular,
    Micros(i64),
    Days(i64),
    /// Mondays to Fridays.
    Weekdays,
    Months(i64),
}

impl Step {
    /// The step of times, which are sorted and different. It is the most frequent distance, if at least half the distances
    /// are equal to it and all others are multiples of it.
    pub(crate) fn of(times: &[i64], zone: &Zone) -> Self {
        if times.len() < 3 {
            return Self::Irregular;
        }
        let walls: Vec<i64> = times.iter().map(|time| zone.wall(*time)).collect();
        if walls.iter().all(|wall| wall.rem_euclid(DAY) == 0) {
            let days: Vec<i64> = walls.iter().map(|wall| wall.div_euclid(DAY)).collect();
            return Self::of_days(&days);
        }
        common(times.windows(2).map(|pair| clamped(between(pair[0], pair[1])))).map_or(Self::Irregular, Self::Micros)
    }

    fn of_days(days: &[i64]) -> Self {
        let months = |offset: i64| {
            let months: Vec<_> = days.iter().map(|day| Day::of_days(day + offset)).collect();
            let all_first = months.iter().all(|day| day.day == 1);
            all_first.then(|| common(months.windows(2).map(|pair| pair[1].months() - pair[0].months()))).flatten()
        };
        // The first or the last day of each month.
        if let Some(step) = months(0).or_else(|| months(1)) {
            return Self::Months(step);
        }
        match common(days.windows(2).map(|pair| pair[1] - pair[0])) {
            Some(1) if days.len() >= 10 && days.iter().all(|day| weekday(day.saturating_mul(DAY)) < 5) => {
                Self::Weekdays
            }
            Some(step) => Self::Days(step),
            None => Self::Irregular,
        }
    }

    /// How many times are missing between two that follow each other.
    pub(crate) fn missing(self, from: i64, to: i64, zone: &Zone) -> i64 {
        let days = |time| zone.wall(time).div_euclid(DAY);
        let steps = match self {
            Self::Irregular => 1,
            // Half a step more is an inexact clock, or one that was put forward.
            Self::Micros(step) => clamped((between(from, to) + i128::from(step) / 2) / i128::from(step.max(1))),
            Self::Days(step) => (days(to) - days(from)) / step.max(1),
            Self::Weekdays => weekdays_until(days(to)) - weekdays_until(days(from)),
            Self::Months(step) => {
                let months = |time| Day::of_days(days(time) + 1).months();
                (months(to) - months(from)) / step.max(1)
            }
        };
        (steps - 1).max(0)
    }
}

/// How many Mondays to Fridays are before a day, counted from a Monday.
fn weekdays_until(days: i64) -> i64 {
    let from_monday = days + 3;
    from_monday.div_euclid(7) * 5 + from_monday.rem_euclid(7).min(5)
}

fn common(distances: impl Iterator<Item = i64>) -> Option<i64> {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    let mut total = 0;
    for distance in distances {
        *counts.entry(distance).or_default() += 1;
        total += 1;
    }
    let (&step, &count) = counts.iter().max_by(|left, right| left.1.cmp(right.1).then_with(|| right.0.cmp(left.0)))?;
    (step > 0 && count * 2 >= total && counts.keys().all(|distance| distance % step == 0)).then_some(step)
}

#[cfg(test)]
mod tests {
    use metricd_domain::TimeZone;

    use super::*;
    use crate::calendar::HOUR;

    fn at(month: i64, day: i64) -> i64 {
        Day { year: 2026, month, day }.midnight()
    }

    #[test]
    fn a_daily_series_misses_days() {
        let days = [at(3, 1), at(3, 2), at(3, 3), at(3, 6), at(3, 7)];
        let step = Step::of(&days, &Zone::UTC);
        assert_eq!(step, Step::Days(1));
        assert_eq!(step.missing(at(3, 3), at(3, 6), &Zone::UTC), 2);
        assert_eq!(step.missing(at(3, 1), at(3, 2), &Zone::UTC), 0);
    }

    #[test]
    fn weekends_are_not_missing_from_working_days() {
        let days: Vec<_> = (0..28).map(|index| at(3, 2) + index * DAY).filter(|day| weekday(*day) < 5).collect();
        let step = Step::of(&days, &Zone::UTC);
        assert_eq!(step, Step::Weekdays);
        assert_eq!(step.missing(at(3, 6), at(3, 9), &Zone::UTC), 0);
        assert_eq!(step.missing(at(3, 5), at(3, 10), &Zone::UTC), 2);
    }

    #[test]
    fn months_are_regular_though_their_lengths_differ() {
        let firsts: Vec<_> = [1, 2, 3, 6].map(|month| at(month, 1)).to_vec();
        assert_eq!(Step::of(&firsts, &Zone::UTC), Step::Months(1));
        assert_eq!(Step::Months(1).missing(at(3, 1), at(6, 1), &Zone::UTC), 2);
        let lasts: Vec<_> = [2, 3, 4, 5].map(|month| at(month, 1) - DAY).to_vec();
        assert_eq!(Step::of(&lasts, &Zone::UTC), Step::Months(1));
        assert_eq!(Step::Months(1).missing(lasts[0], lasts[1], &Zone::UTC), 0);
        assert_eq!(Step::Months(1).missing(lasts[0], lasts[3], &Zone::UTC), 2);
    }

    #[test]
    fn days_of_a_zone_and_hours_survive_daylight_saving_time() {
        let berlin = Zone::named(&TimeZone::parse("Europe/Berlin").unwrap()).unwrap();
        let days: Vec<_> = (26..=31).map(|day| berlin.instant(at(3, day))).collect();
        assert_eq!(Step::of(&days, &berlin), Step::Days(1));
        assert!(days.windows(2).all(|pair| Step::Days(1).missing(pair[0], pair[1], &berlin) == 0));
        let hours: Vec<_> = (0..48).map(|hour| at(3, 28) + hour * HOUR).collect();
        assert_eq!(Step::of(&hours, &berlin), Step::Micros(HOUR));
    }

    #[test]
    fn events_have_no_step() {
        assert_eq!(Step::of(&[0, 5, 17, 30], &Zone::UTC), Step::Irregular);
        assert_eq!(Step::of(&[0, DAY], &Zone::UTC), Step::Irregular);
        assert_eq!(Step::Irregular.missing(0, i64::MAX, &Zone::UTC), 0);
    }
}
