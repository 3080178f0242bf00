//! Lines and areas over time.

use super::clock::Clock;
use super::describe;
use super::legend::{EndLabel, Entry, end_labels, legend, space_for};
use super::marks::{CutAt, Marks};
use super::multiples::multiples;
use super::plot::{Lines, Plot, axis_width, grid};
use super::stacked_area::{stacked, totals};
use crate::choose::MAX_PANELS;
use crate::frame::Sheet;
use crate::gaps::Step;
use crate::scale::{NumberScale, TimeScale, with_near_zero};
use crate::series::{Series, extent, keep_largest, merge_smallest, over_time, shortest, times};
use crate::shape::{LabelOrder, Shape};
use crate::svg::Anchor;
use crate::text::{self, SMALL};
use crate::theme::SERIES;

/// The height of a plot that is alone.
pub(crate) const HEIGHT: f64 = 240.0;
/// The height of each of several plots below each other.
const PANEL_HEIGHT: f64 = 140.0;

/// How many times larger the values of one column may be than those of another on the same axis.
const SAME_AXIS: f64 = 20.0;

/// Series with the same axis of numbers.
struct Panel {
    caption: String,
    series: Vec<Series>,
    previous: Vec<Series>,
}

/// Draws lines, or areas.
pub(crate) fn draw(sheet: &mut Sheet, shape: &Shape, roles: (usize, &[usize], &[usize]), is_area: bool) {
    let (time, by, values) = roles;
    let clock = Clock::of(shape, time, sheet.options);
    let (mut series, skipped) = over_time(shape, time, by, values);
    let drawn = series.iter().flat_map(Series::values).count();
    if drawn == 0 {
        sheet.message("No values: all are NULL, or no finite numbers.");
        return;
    }
    let merged = if is_area { merge_smallest(&mut series, SERIES) } else { vec![] };
    let others = if by.is_empty() { vec![] } else { keep_largest(&mut series, MAX_PANELS) };
    let all = times(&series);
    let (Some(&low), Some(&high)) = (all.first(), all.last()) else { return };
    let step = Step::of(&all, &clock.zone);
    let incomplete = sheet.options.until.filter(|until| *until >= high).map(|_| high);
    let lines = Lines { clock: &clock, step, shortest: shortest(&all), count: series.len(), incomplete };
    describe::over_time(sheet, shape, (time, values), &series, &lines, skipped);
    let previous = previous_series(sheet, shape, roles, &clock, series.len(), (low, high));
    let cut = sheet.options.is_truncated.then(|| (cut_at(shape, time), shape.rows()));
    let is_grid = series.len() > SERIES && !by.is_empty() && !is_area;
    if is_grid {
        multiples(sheet, &lines, series, (low, high), (shape, values[0]), cut);
    } else {
        let panels = panels(shape, by, values, series, &previous, sheet, is_area);
        stack(sheet, &lines, &panels, (low, high), cut, is_area);
    }
    sheet.note_others(&others, "");
    sheet.note_named(&merged, "drawn as their sum");
    for note in skipped.notes(sheet.options.locale).into_iter().chain(clock.note.clone()) {
        sheet.note(note);
    }
}

/// Which end of time is cut if rows in their order were.
pub(crate) fn cut_at(shape: &Shape, time: usize) -> CutAt {
    let mut times = shape.data.rows().iter().filter_map(|row| Shape::time(row, time));
    let first = times.next();
    if first > times.next_back() { CutAt::Start } else { CutAt::End }
}

fn previous_series(
    sheet: &mut Sheet,
    shape: &Shape,
    (time, by, values): (usize, &[usize], &[usize]),
    clock: &Clock,
    count: usize,
    (low, high): (i64, i64),
) -> Vec<Series> {
    let Some(comparison) = &sheet.options.comparison else { return vec![] };
    if !by.is_empty() || count > values.len() {
        sheet.note("The comparison is not drawn for several lines.");
        return vec![];
    }
    let other = Shape::of(&comparison.data);
    if other.data.columns().len() != shape.data.columns().len() {
        sheet.note("The comparison has other columns and is not drawn.");
        return vec![];
    }
    let (mut series, _) = over_time(&other, time, by, values);
    for one in &mut series {
        for point in &mut one.points {
            point.time = clock.shifted(point.time, comparison.shift.months, comparison.shift.days);
        }
        one.points.retain(|point| (low..=high).contains(&point.time));
        one.name.clone_from(&comparison.label);
        one.colour = SERIES;
    }
    series
}

/// Columns of one unit and of similar size share an axis.
fn panels(
    shape: &Shape,
    by: &[usize],
    values: &[usize],
    series: Vec<Series>,
    previous: &[Series],
    sheet: &mut Sheet,
    is_area: bool,
) -> Vec<Panel> {
    let caption = |column: usize| describe::label_with_unit(shape, column);
    if !by.is_empty() || is_area {
        let mut series = series;
        if is_area && by.iter().all(|label| shape.order(*label) == LabelOrder::ByValue) {
            // The largest at the bottom.
            let total = |one: &Series| one.values().fold(0.0_f64, |sum, value| (sum + value).min(f64::MAX));
            series.sort_by(|left, right| total(right).total_cmp(&total(left)));
        }
        let previous = if series.len() == 1 {
            previous.to_vec()
        } else {
            if !previous.is_empty() {
                sheet.note("The comparison is not drawn for several areas.");
            }
            vec![]
        };
        return vec![Panel { caption: caption(values[0]), series, previous }];
    }
    let mut panels: Vec<(Option<&str>, f64, Panel)> = Vec::new();
    for one in series {
        let unit = shape.unit(one.column);
        let largest = one.values().map(f64::abs).fold(0.0, f64::max);
        let mine = previous.iter().filter(|other| other.column == one.column).cloned().collect();
        let same = panels.iter_mut().find(|(other, size, _)| {
            let ratio = largest.max(*size) / largest.min(*size);
            *other == unit && (ratio.is_nan() || ratio <= SAME_AXIS) && previous.is_empty()
        });
        if let Some((unit, size, panel)) = same {
            *size = size.max(largest);
            panel.caption = unit.map_or(String::new(), str::to_owned);
            panel.series.push(one);
        } else {
            let panel = Panel { caption: caption(one.column), series: vec![one], previous: mine };
            panels.push((unit, largest, panel));
        }
    }
    for (_, _, panel) in &mut panels {
        let mut series = std::mem::take(&mut panel.series);
        let others = keep_largest(&mut series, SERIES);
        sheet.note_others(&others, "");
        for (index, one) in series.iter_mut().enumerate() {
            one.colour = index;
        }
        panel.series = series;
    }
    panels.into_iter().map(|(_, _, panel)| panel).collect()
}

/// The axis of numbers for lines. That of areas begins at zero.
pub(super) fn number_scale(series: &[&Series], is_area: bool, most: usize, sheet: &Sheet) -> NumberScale {
    let values = series.iter().flat_map(|one| one.values());
    let (low, high) = extent(values).unwrap_or((0.0, 1.0));
    let (low, high) = if is_area { (low.min(0.0), high.max(0.0)) } else { with_near_zero(low, high) };
    NumberScale::new(low, high, most, sheet.options.locale)
}

/// Draws panels below each other, above one axis of time.
fn stack(
    sheet: &mut Sheet,
    lines: &Lines,
    panels: &[Panel],
    (low, high): (i64, i64),
    cut: Option<(CutAt, usize)>,
    is_area: bool,
) {
    let height = if panels.len() == 1 { HEIGHT } else { PANEL_HEIGHT };
    let stacks: Vec<Option<Vec<Series>>> =
        panels.iter().map(|panel| (is_area && panel.series.len() > 1).then(|| totals(&panel.series))).collect();
    let scales: Vec<_> = panels
        .iter()
        .zip(&stacks)
        .map(|(panel, stack)| {
            let shown: Vec<_> = stack.as_ref().unwrap_or(&panel.series).iter().chain(&panel.previous).collect();
            number_scale(&shown, is_area, if panels.len() == 1 { 5 } else { 3 }, sheet)
        })
        .collect();
    let left = sheet.left + scales.iter().map(|scale| axis_width(scale, sheet.width())).fold(0.0, f64::max);
    let names =
        |panel: &Panel| panel.series.iter().chain(&panel.previous).map(|one| one.name.clone()).collect::<Vec<_>>();
    let spaces: Vec<_> = panels.iter().map(|panel| label_space(&names(panel), sheet, height)).collect();
    let fit = spaces.iter().all(Option::is_some);
    let right = sheet.right - if fit { spaces.iter().flatten().copied().fold(0.0, f64::max).max(4.0) } else { 6.0 };
    let time = TimeScale::new(low, high, left, right.max(left + 20.0));
    let marks = Marks::place(sheet, lines.clock, &time, cut, high);
    for (index, ((panel, stack), numbers)) in panels.iter().zip(&stacks).zip(scales).enumerate() {
        caption(sheet, &panel.caption);
        if !fit {
            legend(sheet, &entries(panel, is_area));
        }
        let is_first = index == 0;
        sheet.y += if is_first { marks.height() } else { 0.0 };
        let plot = Plot { left, right, top: sheet.y + 6.0, bottom: sheet.y + 6.0 + height };
        let numbers = numbers.on(plot.bottom, plot.top);
        grid(&mut sheet.svg, &numbers, plot, Some(sheet.left));
        marks.draw(&mut sheet.svg, plot.top, plot.bottom, is_first);
        let complete = Lines { incomplete: None, ..*lines };
        for one in &panel.previous {
            complete.line(&mut sheet.svg, one, &time, &numbers, Some("lm thin"));
        }
        match stack {
            Some(totals) => stacked(&mut sheet.svg, lines, &panel.series, totals, (&time, &numbers)),
            None => plain(sheet, lines, &panel.series, (&time, &numbers), is_area),
        }
        if fit {
            direct_labels(sheet, panel, stack.as_deref(), (&time, &numbers), plot);
        }
        sheet.y = plot.bottom + if index + 1 == panels.len() { 0.0 } else { 20.0 };
    }
    sheet.y = lines.clock.axis(&mut sheet.svg, (&time, lines.shortest), sheet.y, [sheet.left, sheet.right]);
    marks.note(sheet);
}

/// Lines, with the area down to zero below a single one.
fn plain(sheet: &mut Sheet, lines: &Lines, series: &[Series], scales: (&TimeScale, &NumberScale), is_area: bool) {
    for one in series {
        if is_area {
            let zero: Vec<_> = one
                .points
                .iter()
                .map(|point| crate::series::Point { value: point.value.map(|_| 0.0), ..*point })
                .collect();
            lines.area(&mut sheet.svg, one.colour, (&one.points, &zero), "under", scales);
        }
        lines.line(&mut sheet.svg, one, scales.0, scales.1, None);
    }
}

/// The space for labels at line ends: none is needed for a single line.
fn label_space(names: &[String], sheet: &Sheet, height: f64) -> Option<f64> {
    if names.len() < 2 {
        return Some(4.0);
    }
    space_for(&names.iter().map(String::as_str).collect::<Vec<_>>(), sheet, height)
}

/// The names of a legend, in the order of the last values.
fn entries(panel: &Panel, is_area: bool) -> Vec<Entry> {
    let mut series: Vec<_> = panel.series.iter().chain(&panel.previous).collect();
    let last = |one: &Series| one.last().map_or(f64::NEG_INFINITY, |(_, value)| value);
    if !is_area {
        series.sort_by(|left, right| last(right).total_cmp(&last(left)));
    }
    let entry =
        |one: &&Series| Entry { name: one.name.clone(), colour: one.colour, is_line: !is_area || one.colour >= SERIES };
    series.iter().map(entry).collect()
}

fn direct_labels(
    sheet: &mut Sheet,
    panel: &Panel,
    stack: Option<&[Series]>,
    (time, numbers): (&TimeScale, &NumberScale),
    plot: Plot,
) {
    if panel.series.len() + panel.previous.len() < 2 {
        return;
    }
    let label = |(index, one): (usize, &Series)| {
        let upper = stack.and_then(|totals| totals.get(index)).unwrap_or(one);
        let (at, value) = upper.last()?;
        let below = if stack.is_some() && index > 0 { stack?.get(index - 1)?.last()?.1 } else { 0.0 };
        let value = if stack.is_some() { f64::midpoint(below, value) } else { value };
        Some(EndLabel { text: one.name.clone(), colour: one.colour, end: [time.at(at), numbers.at(value)] })
    };
    let labels = panel.series.iter().chain(&panel.previous).enumerate().filter_map(label).collect();
    end_labels(sheet, labels, plot.right, [plot.top, plot.bottom], true);
}

/// What the numbers of a plot are.
pub(super) fn caption(sheet: &mut Sheet, caption: &str) {
    let caption = text::cut(caption, sheet.width(), SMALL);
    if !caption.is_empty() {
        sheet.svg.text("dim", Anchor::Start, [sheet.left, sheet.y + 11.0], &caption);
        sheet.y += 18.0;
    }
}
