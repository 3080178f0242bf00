//! A heat map by weekday and hour.

use super::clock::Clock;
use super::describe;
use crate::calendar::{DAY, HOUR, weekday};
use crate::data::Cell;
use crate::frame::Sheet;
use crate::math::{real, truncated};
use crate::number;
use crate::roles::HeatSource;
use crate::scale::NumberScale;
use crate::series::extent;
use crate::shape::{Shape, finite, label_of};
use crate::svg::Anchor;
use crate::text::{self, SMALL, width};
use crate::theme::CLASSES;
use crate::time_text::weekday_name;

const ROW: f64 = 22.0;

/// The mean of each hour of each weekday, from Monday.
struct Means {
    cells: [[Option<f64>; 24]; 7],
    /// Whether some are means of several values.
    has_several: bool,
    not_drawn: usize,
}

pub(crate) fn draw(sheet: &mut Sheet, shape: &Shape, source: HeatSource, value: usize) {
    let clock = match source {
        HeatSource::Time(time) => Some(Clock::of(shape, time, sheet.options)),
        HeatSource::Columns { .. } => None,
    };
    let means = means(shape, source, value, clock.as_ref());
    let values = || means.cells.iter().flatten().flatten().copied();
    let Some((low, high)) = extent(values()) else {
        sheet.message("No values: all are NULL, no finite numbers, or at no weekday and hour.");
        return;
    };
    let decimals = describe::decimals(values().map(|value| rounded(value, low, high)));
    facts(sheet, shape, value, &means, decimals);
    let mean = if means.has_several { "mean " } else { "" };
    let caption = text::cut(&format!("{mean}{}", describe::label_with_unit(shape, value)), sheet.width(), SMALL);
    sheet.svg.text("dim", Anchor::Start, [sheet.left, sheet.y + 11.0], &caption);
    sheet.y += 20.0;
    let classes = Classes::new(low, high, sheet);
    classes.legend(sheet, means.cells.iter().flatten().any(Option::is_none));
    cells(sheet, &means, &classes, decimals);
    if means.not_drawn > 0 {
        let verb = if means.not_drawn == 1 { "has" } else { "have" };
        sheet.note(format!(
            "{} {verb} no weekday, hour or number to draw.",
            describe::counted(means.not_drawn, "row", "rows", sheet)
        ));
    }
    if let Some(note) = clock.and_then(|clock| clock.note) {
        sheet.note(note);
    }
}

/// Means have many decimals: those that do not tell values apart are dropped.
fn rounded(value: f64, low: f64, high: f64) -> f64 {
    let step = crate::number::power_of_ten(
        crate::number::exponent_of((high - low).abs().max(low.abs() / 1e6).max(1e-300)) - 2,
    );
    let steps = (value / step).round() * step;
    if steps.is_finite() { steps } else { value }
}

fn means(shape: &Shape, source: HeatSource, value: usize, clock: Option<&Clock>) -> Means {
    let mut sums = [[(0.0_f64, 0_usize); 24]; 7];
    let mut not_drawn = 0;
    let counts_from_monday = matches!(source, HeatSource::Columns { weekday, .. } if is_iso(shape, weekday));
    for row in shape.data.rows() {
        let place = match source {
            HeatSource::Time(time) => Shape::time(row, time).zip(clock).map(|(time, clock)| {
                let wall = clock.zone.wall(time);
                (weekday(wall), wall.rem_euclid(DAY) / HOUR)
            }),
            HeatSource::Columns { weekday, hour } => row
                .get(weekday)
                .and_then(|cell| weekday_of(cell, counts_from_monday))
                .zip(row.get(hour).and_then(whole)),
        };
        let index = place.and_then(|(day, hour)| Some((usize::try_from(day).ok()?, usize::try_from(hour).ok()?)));
        let cell = index.and_then(|(day, hour)| sums.get_mut(day)?.get_mut(hour));
        match (cell, row.get(value).and_then(finite)) {
            (Some((sum, count)), Some(number)) => {
                *count += 1;
                // The running mean does not overflow.
                *sum += (number.value - *sum) / real(*count);
            }
            _ => not_drawn += 1,
        }
    }
    Means {
        cells: sums.map(|day| day.map(|(mean, count)| (count > 0 && mean.is_finite()).then_some(mean))),
        has_several: sums.iter().flatten().any(|(_, count)| *count > 1),
        not_drawn,
    }
}

fn whole(cell: &Cell) -> Option<i64> {
    finite(cell).map(|number| truncated(number.value))
}

/// Whether numbers of days are those of `isodow`: from 1, a Monday, to 7. Those of `dow` are from 0, a Sunday, to 6.
fn is_iso(shape: &Shape, column: usize) -> bool {
    let is = |day: i64| shape.data.cells(column).any(|cell| whole(cell) == Some(day));
    is(7) || (shape.data.columns()[column].name.eq_ignore_ascii_case("isodow") && !is(0))
}

/// The day of a number or of an English name; 0 is Monday.
fn weekday_of(cell: &Cell, counts_from_monday: bool) -> Option<i64> {
    if let Some(number) = whole(cell) {
        let from = i64::from(counts_from_monday);
        return (from..from + 7).contains(&number).then(|| (number + 6).rem_euclid(7));
    }
    let name = label_of(cell).trim().to_lowercase();
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    days.iter().position(|day| name.starts_with(day)).and_then(|index| i64::try_from(index).ok())
}

/// Intervals of values that have one colour.
struct Classes {
    scale: NumberScale,
}

impl Classes {
    fn new(low: f64, high: f64, sheet: &Sheet) -> Self {
        // Fewer ticks if they would make more intervals than there are colours.
        let scales = [6, 5, 4, 3, 2].map(|most| NumberScale::new(low, high, most, sheet.options.locale));
        let fallback = NumberScale::new(low, high, 1, sheet.options.locale);
        let fits = scales.into_iter().find(|scale| scale.ticks.len() <= CLASSES + 1);
        Self { scale: fits.unwrap_or(fallback) }
    }

    fn intervals(&self) -> usize {
        self.scale.ticks.len().saturating_sub(1).max(1)
    }

    /// The colour of an interval: few intervals still use the whole range of colours.
    fn colour(&self, interval: usize) -> usize {
        let last = self.intervals() - 1;
        (interval.min(last) * (CLASSES - 1)).checked_div(last).unwrap_or(CLASSES - 2)
    }

    fn colour_of(&self, value: f64) -> usize {
        let inner = self.scale.ticks.iter().skip(1).take(self.intervals() - 1);
        self.colour(inner.filter(|tick| tick.value <= value).count())
    }

    fn legend(&self, sheet: &mut Sheet, has_missing: bool) {
        let widest = self.scale.ticks.iter().map(|tick| width(&tick.label, SMALL)).fold(0.0, f64::max);
        let swatch =
            (widest + 14.0).clamp(32.0, 80.0).min((sheet.width() - 80.0).max(60.0) / real(self.intervals() + 1));
        let first = self.scale.ticks.first().map_or(0.0, |tick| width(&tick.label, SMALL));
        let start = sheet.left + first / 2.0;
        for interval in 0..self.intervals() {
            let x = start + real(interval) * swatch;
            sheet.svg.rect(&format!("h{}", self.colour(interval)), [x, sheet.y, swatch - 1.0, 8.0], None);
        }
        let mut free = f64::NEG_INFINITY;
        for (index, tick) in self.scale.ticks.iter().enumerate() {
            let x = start + real(index) * swatch - 0.5;
            let half = width(&tick.label, SMALL) / 2.0;
            if x - half >= free {
                sheet.svg.text("dim", Anchor::Middle, [x, sheet.y + 21.0], &tick.label);
                free = x + half + 4.0;
            }
        }
        let x = start + real(self.intervals()) * swatch + widest / 2.0 + 12.0;
        if has_missing && x + 20.0 + width("no value", SMALL) <= sheet.right {
            sheet.svg.rect("none", [x + 0.5, sheet.y - 0.5, 14.0, 9.0], None);
            sheet.svg.text("dim", Anchor::Start, [x + 20.0, sheet.y + 8.0], "no value");
        }
        sheet.y += 34.0;
    }
}

fn cells(sheet: &mut Sheet, means: &Means, classes: &Classes, decimals: usize) {
    let locale = sheet.options.locale;
    let names: Vec<_> = (0..7).map(|day| weekday_name(day, locale)).collect();
    let labels = names.iter().map(|name| width(name, SMALL)).fold(0.0, f64::max) + 10.0;
    let cell = (sheet.width() - labels) / 24.0;
    let left = sheet.left + labels;
    for row in 0..7 {
        let day = (sheet.options.first_weekday() + row).rem_euclid(7);
        let index = usize::try_from(day).unwrap_or(0);
        let y = sheet.y + crate::math::real_of(row.into()) * ROW;
        sheet.svg.text("dim", Anchor::Start, [sheet.left, y + 15.0], names[index]);
        for (hour, value) in means.cells[index].iter().enumerate() {
            let rect = [left + real(hour) * cell, y, cell - 1.0, ROW - 1.0];
            match value {
                Some(value) => {
                    let hover = format!("{} {hour:02}:00: {}", names[index], number::float(*value, decimals, locale));
                    sheet.svg.rect(&format!("h{}", classes.colour_of(*value)), rect, Some(&hover));
                }
                None => sheet.svg.rect("none", [rect[0] + 0.5, rect[1] + 0.5, rect[2] - 1.0, rect[3] - 1.0], None),
            }
        }
    }
    let bottom = sheet.y + 7.0 * ROW;
    let every = if cell >= 24.0 {
        1
    } else if cell * 3.0 >= 24.0 {
        3
    } else {
        6
    };
    for hour in (0..24).step_by(every) {
        let x = left + (real(hour) + 0.5) * cell - 0.5;
        let half = width("00", SMALL) / 2.0;
        let x = x.clamp(sheet.left + half, sheet.right - half);
        sheet.svg.text("dim", Anchor::Middle, [x, bottom + 14.0], &format!("{hour:02}"));
    }
    sheet.y = bottom + 20.0;
}

fn facts(sheet: &mut Sheet, shape: &Shape, value: usize, means: &Means, decimals: usize) {
    let locale = sheet.options.locale;
    let mean = if means.has_several { "Mean " } else { "" };
    sheet.fact(format!(
        "{mean}{} by weekday and hour, {}.",
        describe::name(shape.data.columns()[value].label()),
        describe::counted(shape.rows(), "row", "rows", sheet)
    ));
    let all = means.cells.iter().enumerate().flat_map(|(day, hours)| {
        hours.iter().enumerate().filter_map(move |(hour, value)| Some((day, hour, (*value)?)))
    });
    let text = |(day, hour, value): (usize, usize, f64)| {
        let name = weekday_name(i64::try_from(day).unwrap_or(0), locale);
        format!("{} on {name} at {hour:02}:00", number::float(value, decimals, locale))
    };
    let low = all.clone().reduce(|low, cell| if cell.2 < low.2 { cell } else { low });
    let high = all.clone().reduce(|high, cell| if cell.2 > high.2 { cell } else { high });
    if let (Some(low), Some(high)) = (low, high) {
        sheet.fact(format!("Minimum {}, maximum {}.", text(low), text(high)));
    }
    let missing = 7 * 24 - all.count();
    if missing > 0 {
        sheet.fact(format!("{} without a value.", describe::counted(missing, "hour", "hours", sheet)));
    }
}
