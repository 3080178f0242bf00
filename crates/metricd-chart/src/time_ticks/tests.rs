use metricd_domain::TimeZone;

use super::*;

fn at(year: i64, month: i64, day: i64) -> i64 {
    Day { year, month, day }.midnight()
}

fn shown(low: i64, high: i64, pixels: f64, zone: &Zone, is_day: bool) -> Vec<String> {
    let style = TimeStyle { zone, locale: Locale::default(), first_weekday: 0, is_day, step: 0 };
    let scale = TimeScale::new(low, high, 0.0, pixels);
    let text = |tick: TimeTick| match tick.context {
        Some(context) => format!("{}/{context}", tick.label),
        None => tick.label,
    };
    time_ticks(&scale, &style).into_iter().map(text).collect()
}

#[test]
fn ticks_are_days_mondays_months_quarters_and_years() {
    let days = |low, high, pixels| shown(low, high, pixels, &Zone::UTC, true);
    assert_eq!(days(at(2026, 2, 26), at(2026, 3, 3), 400.0), ["26/Feb 2026", "27", "28", "1/Mar", "2", "3"]);
    assert_eq!(
        days(at(2026, 3, 1), at(2026, 4, 20), 500.0),
        ["2/Mar 2026", "9", "16", "23", "30", "6/Apr", "13", "20"]
    );
    assert_eq!(days(at(2025, 11, 3), at(2026, 3, 20), 300.0), ["Dec/2025", "Jan/2026", "Feb", "Mar"]);
    assert_eq!(days(at(2024, 1, 1), at(2026, 1, 1), 400.0)[..5], ["Jan/2024", "Apr", "Jul", "Oct", "Jan/2025"]);
    assert_eq!(days(at(2000, 1, 1), at(2026, 1, 1), 300.0), ["2000", "2005", "2010", "2015", "2020", "2025"]);
}

#[test]
fn ticks_of_hours_are_on_the_clock_of_the_zone() {
    let berlin = Zone::named(&TimeZone::parse("Europe/Berlin").unwrap()).unwrap();
    let (low, high) = (berlin.instant(at(2026, 3, 29)), berlin.instant(at(2026, 3, 30)));
    assert_eq!(
        shown(low, high, 640.0, &berlin, false),
        ["00:00/29 Mar 2026", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "00:00/Mon 30 Mar"]
    );
    let hours = shown(low, low + 4 * HOUR, 640.0, &berlin, false);
    assert!(hours.contains(&"03:00".to_owned()) && !hours.contains(&"02:00".to_owned()), "{hours:?}");
}

#[test]
fn every_range_of_time_has_ticks() {
    for (low, high) in [
        (0, 0),
        (0, 1),
        (5, 3_000),
        (i64::MIN, i64::MAX),
        (at(-4_700, 1, 1), at(294_000, 1, 1)),
        (at(-3, 1, 1), at(4, 1, 1)),
        (at(9_998, 1, 1), at(10_003, 1, 1)),
        (at(2026, 1, 2), at(2026, 1, 30)),
    ] {
        for pixels in [60.0, 160.0, 640.0, 4_000.0] {
            let ticks = shown(low, high, pixels, &Zone::UTC, false);
            assert!(!ticks.is_empty() && ticks.len() < 200, "{low} {high}: {ticks:?}");
        }
    }
}
