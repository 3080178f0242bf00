//! Days, months and years of the proleptic Gregorian calendar, for every time that PostgreSQL has.
//!
//! Times are microseconds since 1970-01-01, as a clock on the wall shows them.

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// A day. The year 0 is 1 BC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the day of a month has no other name")]
pub(crate) struct Day {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
}

impl Day {
    /// The day of a time.
    pub(crate) fn of(time: i64) -> Self {
        Self::of_days(time.div_euclid(DAY))
    }

    /// The day that is so many days after 1970-01-01. After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    pub(crate) fn of_days(days: i64) -> Self {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
    }

    /// Days since 1970-01-01.
    pub(crate) fn days(self) -> i64 {
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = (self.month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// The first day of a month, counted from January of the year 0.
    pub(crate) fn of_month(months: i64) -> Self {
        Self { year: months.div_euclid(12), month: months.rem_euclid(12) + 1, day: 1 }
    }

    /// Months since January of the year 0.
    pub(crate) fn months(self) -> i64 {
        self.year * 12 + self.month - 1
    }

    /// Midnight; the nearest time if it is out of range.
    pub(crate) fn midnight(self) -> i64 {
        self.days().saturating_mul(DAY)
    }
}

/// The day of the week of a time: 0 is Monday.
pub(crate) fn weekday(time: i64) -> i64 {
    (time.div_euclid(DAY) + 3).rem_euclid(7)
}

/// The time that is so many months later, on the same day of the month or its last one.
pub(crate) fn add_months(time: i64, months: i64) -> i64 {
    let day = Day::of(time);
    let target = Day::of_month(day.months().saturating_add(months));
    let length = Day::of_month(target.months() + 1).days() - target.days();
    let moved = Day { day: day.day.min(length), ..target };
    moved.midnight().saturating_add(time.rem_euclid(DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_has_one_name() {
        for days in (-2_500_000..110_000_000).step_by(9_973) {
            assert_eq!(Day::of_days(days).days(), days);
        }
        assert_eq!(Day::of(0), Day { year: 1970, month: 1, day: 1 });
        assert_eq!(Day::of(-1), Day { year: 1969, month: 12, day: 31 });
        assert_eq!(Day { year: 0, month: 12, day: 31 }.days(), -719_163);
        assert_eq!(weekday(0), 3, "1970-01-01 was a Thursday");
        assert_eq!(weekday(-4 * DAY), 6);
    }

    #[test]
    fn a_month_later_is_at_most_the_last_day_of_the_month() {
        let at = |year, month, day| Day { year, month, day }.midnight() + HOUR;
        assert_eq!(add_months(at(2026, 1, 31), 1), at(2026, 2, 28));
        assert_eq!(add_months(at(2024, 2, 29), -12), at(2023, 2, 28));
        assert_eq!(add_months(at(2026, 3, 15), 12), at(2027, 3, 15));
    }
}
