//! Ticks of time: midnights, Mondays, firsts of months, quarters and years of a zone.

use crate::calendar::{DAY, Day, HOUR, MINUTE, SECOND, weekday};
use crate::locale::Locale;
use crate::math::{between, clamped, count_of, real};
use crate::scale::TimeScale;
use crate::text::{SMALL, width};
use crate::time_text;
use crate::zone::Zone;

/// A tick with a label in two lines: its own part of the time, and what it belongs to, where that changes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TimeTick {
    pub(crate) x: f64,
    pub(crate) label: String,
    pub(crate) context: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interval {
    Micros(i64),
    Days,
    Weeks,
    Months(i64),
    Years(i64),
}

/// What ticks of an axis depend on, besides its scale.
#[derive(Debug, Clone)]
pub(crate) struct TimeStyle<'z> {
    pub(crate) zone: &'z Zone,
    pub(crate) locale: Locale,
    /// 0 is Monday.
    pub(crate) first_weekday: i64,
    pub(crate) is_day: bool,
    /// The distance of the times that are shown. Ticks are not closer.
    pub(crate) step: i64,
}

/// Every interval from short to long.
fn intervals(is_day: bool) -> impl Iterator<Item = Interval> {
    let micros = (0..6).flat_map(|power| [1, 2, 5].map(|units| units * 10_i64.pow(power)));
    let seconds = [1, 2, 5, 10, 15, 30].map(|count| count * SECOND);
    let minutes = [1, 2, 5, 10, 15, 30].map(|count| count * MINUTE);
    let hours = [1, 3, 6, 12].map(|count| count * HOUR);
    let of_day = micros.chain(seconds).chain(minutes).chain(hours).map(Interval::Micros);
    let of_year = [Interval::Days, Interval::Weeks, Interval::Months(1), Interval::Months(3)];
    let years = (0..6).flat_map(|power| [1, 2, 5].map(|units| Interval::Years(units * 10_i64.pow(power))));
    of_day.filter(move |_| !is_day).chain(of_year).chain(years)
}

/// Ticks of the shortest interval whose labels fit next to each other.
pub(crate) fn time_ticks(scale: &TimeScale, style: &TimeStyle) -> Vec<TimeTick> {
    let (low, high) = (style.zone.wall(scale.low), style.zone.wall(scale.high));
    if low >= high {
        return vec![single(scale, style)];
    }
    let most = count_of(scale.pixels() / 24.0).max(2);
    for interval in intervals(style.is_day) {
        // A month may be shorter than another.
        if length_of(interval) < style.step - style.step / 8 {
            continue;
        }
        let Some(times) = times_of(interval, low, high, most, style.first_weekday) else { continue };
        let ticks = labelled(interval, &times, scale, style);
        if fit(&ticks) {
            return if ticks.len() < 2 { ends(scale, style) } else { ticks };
        }
    }
    ends(scale, style)
}

/// The tick of an axis with one time.
fn single(scale: &TimeScale, style: &TimeStyle) -> TimeTick {
    let wall = style.zone.wall(scale.low);
    let label = time_text::full(wall, style.is_day, style.locale);
    TimeTick { x: scale.at(scale.low), label, context: None }
}

/// The first and last time, if no two ticks lie between them.
fn ends(scale: &TimeScale, style: &TimeStyle) -> Vec<TimeTick> {
    let end = |time| {
        let wall = style.zone.wall(time);
        let label = if style.is_day { time_text::day(wall, style.locale) } else { time_text::clock(wall) };
        TimeTick { x: scale.at(time), label, context: (!style.is_day).then(|| time_text::day(wall, style.locale)) }
    };
    let ends = vec![end(scale.low), end(scale.high)];
    if fit(&ends) { ends } else { ends.into_iter().take(1).collect() }
}

/// The times of an interval; none if there are too many.
fn times_of(interval: Interval, low: i64, high: i64, most: usize, first_weekday: i64) -> Option<Vec<i64>> {
    let steps = |length: i64| count_of(crate::math::real_of(between(low, high)) / real_length(length));
    let of = |first: i64, last: i64, time: &dyn Fn(i64) -> i64| {
        (first..=last).map(time).filter(|time| (low..=high).contains(time)).collect()
    };
    if steps(length_of(interval)) > most {
        return None;
    }
    Some(match interval {
        Interval::Micros(step) => {
            of(low.div_euclid(step), high.div_euclid(step), &|index| clamped(i128::from(index) * i128::from(step)))
        }
        Interval::Days => {
            of(low.div_euclid(DAY), high.div_euclid(DAY), &|day| clamped(i128::from(day) * i128::from(DAY)))
        }
        Interval::Weeks => {
            let first = low.div_euclid(DAY) - (weekday(low) - first_weekday).rem_euclid(7);
            let weeks = (high.div_euclid(DAY) - first) / 7;
            of(0, weeks, &|week| clamped(i128::from(first + week * 7) * i128::from(DAY)))
        }
        Interval::Months(step) => {
            let month = |time| Day::of(time).months().div_euclid(step);
            of(month(low), month(high), &|index| Day::of_month(index * step).midnight())
        }
        Interval::Years(step) => {
            let year = |time| Day::of(time).year.div_euclid(step);
            of(year(low), year(high), &|index| Day { year: index * step, month: 1, day: 1 }.midnight())
        }
    })
}

/// The least length.
fn length_of(interval: Interval) -> i64 {
    match interval {
        Interval::Micros(step) => step,
        Interval::Days => DAY,
        Interval::Weeks => 7 * DAY,
        Interval::Months(step) => step * 28 * DAY,
        Interval::Years(step) => step.saturating_mul(365 * DAY),
    }
}

fn real_length(length: i64) -> f64 {
    crate::math::real_of(length.max(1).into())
}

fn labelled(interval: Interval, times: &[i64], scale: &TimeScale, style: &TimeStyle) -> Vec<TimeTick> {
    let mut ticks: Vec<TimeTick> = Vec::new();
    let mut previous: Option<i64> = None;
    for &wall in times {
        let (label, context) = label(interval, wall, previous, style.locale);
        let instant = style.zone.instant(wall);
        // A clock that is put forward skips this time.
        if style.zone.wall(instant) != wall || !scale.shows(instant) {
            continue;
        }
        ticks.push(TimeTick { x: scale.at(instant), label, context });
        previous = Some(wall);
    }
    ticks
}

/// The label of a tick, and the context if it is another one than that of the tick before.
fn label(interval: Interval, wall: i64, previous: Option<i64>, locale: Locale) -> (String, Option<String>) {
    let is_new_year = previous.is_none_or(|previous| Day::of(previous).year != Day::of(wall).year);
    let is_new_month = is_new_year || previous.is_some_and(|previous| Day::of(previous).month != Day::of(wall).month);
    let is_new_day = previous.is_none_or(|previous| previous.div_euclid(DAY) != wall.div_euclid(DAY));
    match interval {
        Interval::Micros(_) => {
            let day = || {
                let weekday = time_text::day_of_week(wall, locale);
                if is_new_year {
                    time_text::day(wall, locale)
                } else {
                    format!("{weekday} {}", time_text::day_of_month(wall, locale))
                }
            };
            (time_text::clock(wall), is_new_day.then(day))
        }
        Interval::Days | Interval::Weeks => {
            let month = || {
                if is_new_year {
                    time_text::month_of_year(wall, locale)
                } else {
                    time_text::month(wall, locale).to_owned()
                }
            };
            (format!("{}{}", Day::of(wall).day, locale.convention().after_day), is_new_month.then(month))
        }
        Interval::Months(_) => (time_text::month(wall, locale).to_owned(), is_new_year.then(|| time_text::year(wall))),
        Interval::Years(_) => (time_text::year(wall), None),
    }
}

/// Whether the labels have space between each other.
fn fit(ticks: &[TimeTick]) -> bool {
    let widest = |tick: &TimeTick| {
        width(&tick.label, SMALL).max(tick.context.as_ref().map_or(0.0, |context| width(context, SMALL)))
    };
    let own = |tick: &TimeTick| width(&tick.label, SMALL);
    let enough_space = |one: &TimeTick, other: &TimeTick, widths: [f64; 2]| {
        other.x - one.x >= f64::midpoint(widths[0], widths[1]) + 10.0
    };
    let with_context: Vec<_> = ticks.iter().filter(|tick| tick.context.is_some()).collect();
    ticks.windows(2).all(|pair| enough_space(&pair[0], &pair[1], [own(&pair[0]), own(&pair[1])]))
        && with_context.windows(2).all(|pair| enough_space(pair[0], pair[1], [widest(pair[0]), widest(pair[1])]))
        && ticks.len() <= count_of(real(2_000))
}

#[cfg(test)]
mod tests;
