//! A small plot for each of many lines.

use super::describe;
use super::lines::{caption, number_scale};
use super::marks::{CutAt, cut_text};
use super::plot::{Lines, Plot, axis_width, grid};
use crate::frame::Sheet;
use crate::math::real;
use crate::scale::TimeScale;
use crate::series::Series;
use crate::shape::Shape;
use crate::svg::Anchor;
use crate::text::{self, SMALL, SMALL_BOLD};

/// The height and the least width of a plot, and the space between plots.
const HEIGHT: f64 = 72.0;
const LEAST_WIDTH: f64 = 170.0;
const GUTTER: f64 = 20.0;

/// Draws a small plot for each series, all with the same axes.
pub(super) fn multiples(
    sheet: &mut Sheet,
    lines: &Lines,
    mut series: Vec<Series>,
    (low, high): (i64, i64),
    (shape, value): (&Shape, usize),
    cut: Option<(CutAt, usize)>,
) {
    let scale = number_scale(&series.iter().collect::<Vec<_>>(), false, 3, sheet);
    caption(sheet, &describe::label_with_unit(shape, value));
    let axis = axis_width(&scale, sheet.width());
    let space = sheet.width() - axis;
    let columns = crate::math::count_of((space + GUTTER) / (LEAST_WIDTH + GUTTER)).clamp(1, 6).min(series.len());
    let width = (space - GUTTER * real(columns - 1)) / real(columns);
    let count = series.len();
    let mut below = sheet.y;
    for (index, one) in series.iter_mut().enumerate() {
        // One colour: the panels are told apart by their names.
        one.colour = 0;
        let (column, row) = (index % columns, index / columns);
        let left = sheet.left + axis + real(column) * (width + GUTTER);
        let top = sheet.y + 22.0 + real(row) * (HEIGHT + 34.0);
        let plot = Plot { left, right: left + width, top, bottom: top + HEIGHT };
        let numbers = scale.clone().on(plot.bottom, plot.top);
        let time = TimeScale::new(low, high, left, left + width);
        let name = text::cut(&one.name, width, SMALL_BOLD);
        sheet.svg.text("ink strong", Anchor::Start, [left, top - 8.0], &name);
        grid(&mut sheet.svg, &numbers, plot, (column == 0).then_some(sheet.left));
        lines.line(&mut sheet.svg, one, &time, &numbers, None);
        below = below.max(plot.bottom);
        if index + columns >= count {
            let bounds = [left - GUTTER / 2.0, (left + width + GUTTER / 2.0).min(sheet.right)];
            below = below.max(lines.clock.axis(&mut sheet.svg, (&time, lines.shortest), plot.bottom, bounds));
        }
    }
    sheet.y = below;
    if let Some((_, rows)) = cut {
        let label = cut_text(rows, sheet);
        sheet.cut_edge(&label);
    }
    if !sheet.options.annotations.is_empty() {
        let texts: Vec<_> =
            sheet.options.annotations.iter().map(|one| text::isolated(&text::cut(&one.text, 200.0, SMALL))).collect();
        sheet.note(format!("Annotations: {}.", texts.join("; ")));
    }
}
