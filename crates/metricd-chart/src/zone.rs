//! Offsets of time zones, from data that is compiled in.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{TimeZone as Rules, TimeZoneDatabase};
use metricd_domain::TimeZone;

use crate::calendar::{DAY, SECOND};

/// The Gregorian calendar repeats after 400 years, and the rule for the future of a zone with it.
const CYCLE: i64 = 146_097 * DAY;

/// The bundled data alone: that of a machine may be older or newer.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// How instants and wall clocks of a zone relate.
#[derive(Debug, Clone)]
pub(crate) struct Zone(Option<Rules>);

impl Zone {
    /// No offset: for dates and wall clocks.
    pub(crate) const UTC: Self = Self(None);

    /// The zone of this name, if its rules are known.
    pub(crate) fn named(name: &TimeZone) -> Option<Self> {
        if name.is_utc() {
            return Some(Self::UTC);
        }
        ZONES.get(name.as_str()).ok().map(|rules| Self(Some(rules)))
    }

    /// What the wall clock shows at an instant, as microseconds since 1970.
    pub(crate) fn wall(&self, instant: i64) -> i64 {
        instant.saturating_add(self.offset(instant))
    }

    /// The instant at which the wall clock shows this. If it shows it twice, the first; if it skips it, as much later as the
    /// clock is put forward.
    pub(crate) fn instant(&self, wall: i64) -> i64 {
        let before = self.offset(wall.saturating_sub(DAY));
        let after = self.offset(wall.saturating_add(DAY));
        let with = |offset: i64| wall.saturating_sub(offset);
        if self.offset(with(before)) != before && self.offset(with(after)) == after {
            with(after)
        } else {
            with(before)
        }
    }

    fn offset(&self, instant: i64) -> i64 {
        let Some(rules) = &self.0 else { return 0 };
        let (oldest, latest) = (Timestamp::MIN.as_microsecond() + CYCLE, Timestamp::MAX.as_microsecond() - CYCLE);
        let known =
            if instant > latest { latest - CYCLE + (instant - latest).rem_euclid(CYCLE) } else { instant.max(oldest) };
        Timestamp::from_microsecond(known).map_or(0, |time| i64::from(rules.to_offset(time).seconds()) * SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{Day, HOUR, MINUTE};

    fn berlin() -> Zone {
        Zone::named(&TimeZone::parse("Europe/Berlin").unwrap()).unwrap()
    }

    fn at(year: i64, month: i64, day: i64, hour: i64) -> i64 {
        Day { year, month, day }.midnight() + hour * HOUR
    }

    #[test]
    fn the_wall_clock_follows_daylight_saving_time() {
        assert_eq!(berlin().wall(at(2026, 1, 1, 0)), at(2026, 1, 1, 1));
        assert_eq!(berlin().wall(at(2026, 7, 1, 0)), at(2026, 7, 1, 2));
        assert_eq!(berlin().instant(at(2026, 3, 29, 1)), at(2026, 3, 29, 0));
        assert_eq!(berlin().instant(at(2026, 3, 29, 2)), at(2026, 3, 29, 1), "2:00 is skipped, and 3:00 comes instead");
        assert_eq!(berlin().instant(at(2026, 3, 29, 3)), at(2026, 3, 29, 1));
        assert_eq!(berlin().instant(at(2026, 10, 25, 2)), at(2026, 10, 25, 0), "2:00 comes twice");
    }

    #[test]
    fn every_year_of_postgresql_has_an_offset() {
        assert_eq!(berlin().wall(at(294_000, 7, 1, 0)), at(294_000, 7, 1, 2));
        assert_eq!(berlin().wall(at(12_026, 1, 1, 0)), at(12_026, 1, 1, 1));
        let local_mean_time = 53 * MINUTE + 28 * SECOND;
        assert_eq!(berlin().wall(at(-4_700, 7, 1, 0)), at(-4_700, 7, 1, 0) + local_mean_time);
        for extreme in [i64::MIN, i64::MAX] {
            let _ = berlin().instant(berlin().wall(extreme));
        }
    }

    #[test]
    fn an_unknown_zone_has_no_rules() {
        assert!(Zone::named(&TimeZone::parse("Mars/Base").unwrap()).is_none());
        assert_eq!(Zone::named(&TimeZone::default()).unwrap().wall(5), 5);
    }
}
