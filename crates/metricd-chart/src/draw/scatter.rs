//! Points by two numbers, or by time and a number.

use std::collections::{BTreeMap, HashSet};

use super::clock::Clock;
use super::describe;
use super::legend::{Entry, legend};
use super::lines::HEIGHT;
use super::plot::{Plot, axis_width, grid};
use crate::frame::Sheet;
use crate::math::truncated;
use crate::number;
use crate::reduce::MAX_POINTS;
use crate::scale::{NumberScale, TimeScale, with_near_zero};
use crate::series::extent;
use crate::shape::{Rank, Shape, finite};
use crate::svg::{Anchor, Path};
use crate::text::{self, SMALL, width};
use crate::theme::{SERIES, stroke};

/// A point, and the number of its series.
struct Dot {
    time: i64,
    x: f64,
    y: f64,
    series: usize,
}

/// Where a point is drawn.
type Placing = dyn Fn(&Dot) -> [f64; 2];

pub(crate) fn draw(sheet: &mut Sheet, shape: &Shape, x: usize, y: usize, by: Option<usize>) {
    let is_time = shape.times.contains(&x);
    let (names, others) = series_names(shape, by);
    let dots = dots(shape, (x, y, by), &names, is_time);
    if dots.is_empty() {
        sheet.message("No values: all are NULL, or no finite numbers.");
        return;
    }
    facts(sheet, shape, (x, y), is_time, dots.len());
    let caption = text::cut(&describe::label_with_unit(shape, y), sheet.width(), SMALL);
    sheet.svg.text("dim", Anchor::Start, [sheet.left, sheet.y + 11.0], &caption);
    sheet.y += 18.0;
    if by.is_some() {
        let mut entries: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(colour, name)| Entry { name: name.clone(), colour, is_line: false })
            .collect();
        if !others.is_empty() {
            let name = format!("{} others", number::count(others.len(), sheet.options.locale));
            entries.push(Entry { name, colour: SERIES, is_line: false });
        }
        legend(sheet, &entries);
    }
    let scale = |values: &dyn Fn(&Dot) -> f64, most: usize| {
        let (low, high) = extent(dots.iter().map(values)).unwrap_or((0.0, 1.0));
        let (low, high) = with_near_zero(low, high);
        NumberScale::new(low, high, most, sheet.options.locale)
    };
    let numbers = scale(&|dot| dot.y, 5);
    let left = sheet.left + axis_width(&numbers, sheet.width());
    let plot =
        Plot { left, right: (sheet.right - 6.0).max(left + 20.0), top: sheet.y + 6.0, bottom: sheet.y + 6.0 + HEIGHT };
    let numbers = numbers.on(plot.bottom, plot.top);
    grid(&mut sheet.svg, &numbers, plot, Some(sheet.left));
    sheet.y = plot.bottom;
    let place: Box<Placing> = if is_time {
        let (low, high) =
            dots.iter().fold((i64::MAX, i64::MIN), |(low, high), dot| (low.min(dot.time), high.max(dot.time)));
        let time = TimeScale::new(low, high, plot.left + 4.0, plot.right - 4.0);
        let clock = Clock::of(shape, x, sheet.options);
        sheet.y = clock.axis(&mut sheet.svg, (&time, 0), sheet.y, [sheet.left, sheet.right]);
        if let Some(note) = clock.note {
            sheet.note(note);
        }
        Box::new(move |dot| [time.at(dot.time), numbers.at(dot.y)])
    } else {
        let across = scale(&|dot| dot.x, crate::math::count_of((plot.right - plot.left) / 100.0).clamp(1, 10));
        let across = across.on(plot.left, plot.right);
        number_axis(sheet, &across, plot, &describe::label_with_unit(shape, x));
        Box::new(move |dot| [across.at(dot.x), numbers.at(dot.y)])
    };
    let count = names.len().max(1) + usize::from(!others.is_empty());
    let merged = draw_dots(sheet, &dots, count, &*place);
    let rows = shape.rows() - dots.len();
    if rows > 0 {
        let verb = if rows == 1 { "has" } else { "have" };
        sheet.note(format!("{} {verb} no two values to draw.", describe::counted(rows, "row", "rows", sheet)));
    }
    if merged > 0 {
        sheet.fact(format!("{} on others.", describe::counted(merged, "point lies", "points lie", sheet)));
    }
    sheet.note_named(&others, "grey");
}

/// The most frequent labels in their order, and the others.
fn series_names(shape: &Shape, by: Option<usize>) -> (Vec<String>, Vec<String>) {
    let Some(by) = by else { return (vec![], vec![]) };
    let mut counts: BTreeMap<Rank, usize> = BTreeMap::new();
    for cell in shape.data.cells(by) {
        *counts.entry(shape.rank(cell, by)).or_default() += 1;
    }
    let mut order: Vec<_> = counts.iter().collect();
    order.sort_by(|left, right| right.1.cmp(left.1).then(left.0.cmp(right.0)));
    let mut kept: Vec<_> = order.iter().take(SERIES).map(|(rank, _)| (*rank).clone()).collect();
    kept.sort();
    let others = order.iter().skip(SERIES).map(|(rank, _)| rank.label.clone()).collect();
    (kept.into_iter().map(|rank| rank.label).collect(), others)
}

fn dots(shape: &Shape, (x, y, by): (usize, usize, Option<usize>), names: &[String], is_time: bool) -> Vec<Dot> {
    let dot = |row: &Vec<crate::data::Cell>| {
        let (time, across) = if is_time { (Shape::time(row, x)?, 0.0) } else { (0, finite(row.get(x)?)?.value) };
        let series = by.map_or(0, |by| {
            let name = Shape::label(row, &[by]);
            names.iter().position(|known| *known == name).unwrap_or(SERIES)
        });
        Some(Dot { time, x: across, y: finite(row.get(y)?)?.value, series })
    };
    shape.data.rows().iter().filter_map(dot).collect()
}

/// Draws each pixel once, and returns how many points were on one that is drawn. Pixels become coarser if there are many.
fn draw_dots(sheet: &mut Sheet, dots: &[Dot], series: usize, place: &Placing) -> usize {
    let mut pixel = 1.0;
    let drawn = loop {
        let mut seen = HashSet::new();
        let on = |value: f64| truncated((value / pixel).round());
        let kept: Vec<_> = dots
            .iter()
            .filter(|dot| {
                let [x, y] = place(dot);
                seen.insert((dot.series, on(x), on(y)))
            })
            .collect();
        if kept.len() <= MAX_POINTS {
            break kept;
        }
        pixel += 1.0;
    };
    for colour in (0..series.min(SERIES)).chain([SERIES]) {
        let mut path = Path::default();
        for dot in drawn.iter().filter(|dot| dot.series == colour) {
            path.dot(place(dot));
        }
        sheet.svg.path(&format!("dots many {}", stroke(colour)), &path);
    }
    dots.len() - drawn.len()
}

fn number_axis(sheet: &mut Sheet, scale: &NumberScale, plot: Plot, caption: &str) {
    let mut free = f64::NEG_INFINITY;
    for tick in &scale.ticks {
        let x = scale.at(tick.value);
        sheet.svg.line("grid", [x, plot.top], [x, plot.bottom]);
        let half = width(&tick.label, SMALL) / 2.0;
        if half * 2.0 > sheet.width() {
            continue;
        }
        let middle = x.clamp(sheet.left + half, sheet.right - half);
        if middle - half > free {
            sheet.svg.text("dim", Anchor::Middle, [middle, plot.bottom + 17.0], &tick.label);
            free = middle + half + 6.0;
        }
    }
    let caption = text::cut(caption, plot.right - sheet.left, SMALL);
    sheet.svg.text("dim", Anchor::End, [plot.right, plot.bottom + 33.0], &caption);
    sheet.y = plot.bottom + 38.0;
}

fn facts(sheet: &mut Sheet, shape: &Shape, (x, y): (usize, usize), is_time: bool, count: usize) {
    let label = |column: usize| describe::name(shape.data.columns()[column].label());
    sheet.fact(format!("{} by {}, {}.", label(y), label(x), describe::counted(count, "point", "points", sheet)));
    if !is_time {
        describe::of_column(sheet, shape, x, |_| String::new());
    }
    describe::of_column(sheet, shape, y, |_| String::new());
}
