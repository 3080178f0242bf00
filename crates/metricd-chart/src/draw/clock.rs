//! The axis of time: which clock it shows, its ticks and its range.

use crate::math::clamped;
use crate::options::Options;
use crate::scale::TimeScale;
use crate::shape::Shape;
use crate::svg::{Anchor, Svg};
use crate::text::{SMALL, width};
use crate::time_text;
use crate::time_ticks::{TimeStyle, TimeTick, time_ticks};
use crate::zone::Zone;

/// How the times of a column are read and written.
#[derive(Debug)]
pub(crate) struct Clock<'o> {
    pub(crate) zone: Zone,
    pub(crate) is_day: bool,
    options: &'o Options,
    /// Which zone is shown, if the column has instants.
    pub(crate) note: Option<String>,
}

impl<'o> Clock<'o> {
    pub(crate) fn of(shape: &Shape, column: usize, options: &'o Options) -> Self {
        let is_day = shape.is_day(column);
        if !shape.is_instant(column) {
            return Self { zone: Zone::UTC, is_day, options, note: None };
        }
        let name = &options.time_zone;
        match Zone::named(name) {
            Some(zone) => Self { zone, is_day, options, note: Some(format!("Times are in {name}.")) },
            None => Self {
                zone: Zone::UTC,
                is_day,
                options,
                note: Some(format!("Times are in UTC: the rules of {name} are not known.")),
            },
        }
    }

    fn style(&self, step: i64) -> TimeStyle<'_> {
        TimeStyle {
            zone: &self.zone,
            locale: self.options.locale,
            first_weekday: self.options.first_weekday(),
            is_day: self.is_day,
            step,
        }
    }

    /// A time for a sentence.
    pub(crate) fn full(&self, time: i64) -> String {
        let wall = self.zone.wall(time);
        let is_midnight = wall.rem_euclid(crate::calendar::DAY) == 0;
        time_text::full(wall, self.is_day || is_midnight, self.options.locale)
    }

    /// A time for a mark: only its clock if it is on the same day as another.
    pub(crate) fn short(&self, time: i64, near: i64) -> String {
        let (wall, near) = (self.zone.wall(time), self.zone.wall(near));
        let day = |time: i64| time.div_euclid(crate::calendar::DAY);
        if day(wall) == day(near) || (self.is_day && day(wall) == day(near)) {
            time_text::clock(wall)
        } else {
            let date = time_text::day_of_month(wall, self.options.locale);
            if wall.rem_euclid(crate::calendar::DAY) == 0 {
                date
            } else {
                format!("{date}, {}", time_text::clock(wall))
            }
        }
    }

    /// The time of a comparison where it is drawn.
    pub(crate) fn shifted(&self, time: i64, months: i64, days: i64) -> i64 {
        let wall = crate::calendar::add_months(self.zone.wall(time), months);
        let moved = clamped(i128::from(wall) + i128::from(days) * i128::from(crate::calendar::DAY));
        self.zone.instant(moved)
    }

    /// Draws ticks below the plots, no closer than a step, and returns the y coordinate below the labels.
    pub(crate) fn axis(&self, svg: &mut Svg, (scale, step): (&TimeScale, i64), y: f64, bounds: [f64; 2]) -> f64 {
        let mut style = self.style(step);
        if step == 7 * crate::calendar::DAY {
            // Weeks are marked where they are.
            style.first_weekday = crate::calendar::weekday(self.zone.wall(scale.low));
        }
        let ticks = time_ticks(scale, &style);
        for tick in &ticks {
            svg.line("axis", [tick.x, y], [tick.x, y + 4.0]);
        }
        let labels = |line: fn(&TimeTick) -> Option<&str>| {
            ticks.iter().filter_map(|tick| Some((tick.x, line(tick)?))).collect::<Vec<_>>()
        };
        write_row(svg, &labels(|tick| Some(&tick.label)), y + 17.0, bounds);
        let contexts = labels(|tick| tick.context.as_deref());
        write_row(svg, &contexts, y + 32.0, bounds);
        y + if contexts.is_empty() { 22.0 } else { 37.0 }
    }
}

/// Writes labels below ticks, inside the bounds. Of two that would overlap, the later one stays.
fn write_row(svg: &mut Svg, labels: &[(f64, &str)], y: f64, [left, right]: [f64; 2]) {
    let mut free = f64::INFINITY;
    let mut placed = Vec::new();
    for (x, label) in labels.iter().rev() {
        let half = width(label, SMALL) / 2.0;
        if half * 2.0 > right - left {
            continue;
        }
        let middle = x.clamp(left + half, right - half);
        if middle + half <= free {
            free = middle - half - 6.0;
            placed.push((middle, *label));
        }
    }
    for (middle, label) in placed.into_iter().rev() {
        svg.text("dim", Anchor::Middle, [middle, y], label);
    }
}
