//! Upright stacked bars.

use super::{Place, Segment, Stacks};
use crate::draw::clock::Clock;
use crate::draw::describe;
use crate::draw::lines::HEIGHT;
use crate::draw::marks::{CutAt, Marks};
use crate::draw::plot::{Plot, axis_width, grid};
use crate::frame::Sheet;
use crate::math::{between, real, real_of};
use crate::number;
use crate::scale::{NumberScale, TimeScale};
use crate::series::shortest;
use crate::svg::Anchor;
use crate::text::{self, SMALL};
use crate::theme::{fill, stroke};

/// Draws bars centred on their times.
pub(super) fn over_time(sheet: &mut Sheet, stacks: &Stacks, clock: &Clock, cut: Option<(CutAt, usize)>) {
    let times: Vec<i64> = stacks
        .bars
        .iter()
        .filter_map(|(place, _)| if let Place::Time(time) = place { Some(*time) } else { None })
        .collect();
    let (Some(&low), Some(&high)) = (times.first(), times.last()) else { return };
    let numbers = NumberScale::new(stacks.low, stacks.high, 5, sheet.options.locale);
    let left = sheet.left + axis_width(&numbers, sheet.width());
    let right = sheet.right.max(left + 20.0);
    let shortest = shortest(&times);
    let slots = real_of(between(low, high)) / real_of(shortest.max(1).into()) + 1.0;
    let slot = ((right - left) / slots).min(64.0);
    let time = TimeScale::new(low, high, left + slot / 2.0, right - slot / 2.0);
    let marks = Marks::place(sheet, clock, &time, cut, high);
    sheet.y += marks.height();
    let plot = Plot { left, right, top: sheet.y + 6.0, bottom: sheet.y + 6.0 + HEIGHT };
    let numbers = numbers.on(plot.bottom, plot.top);
    grid(&mut sheet.svg, &numbers, plot, Some(sheet.left));
    let is_open = sheet.options.until.is_some_and(|until| until >= high);
    // Some hundred bars need no texts under the pointer.
    let with_hover = stacks.bars.len() <= 100;
    let thickness = if slot > 5.0 { slot * 0.76 } else { (slot - 1.0).max(1.0) };
    for ((_, segments), at) in stacks.bars.iter().zip(&times) {
        let place = if with_hover { clock.full(*at) } else { String::new() };
        bar(
            sheet,
            stacks,
            segments,
            [time.at(*at), thickness],
            &numbers,
            (with_hover.then_some(place.as_str()), is_open && *at == high),
        );
    }
    sheet.svg.line("axis", [left, numbers.zero()], [right, numbers.zero()]);
    marks.draw(&mut sheet.svg, plot.top, plot.bottom, true);
    sheet.y = clock.axis(&mut sheet.svg, (&time, shortest), plot.bottom, [sheet.left, sheet.right]);
    marks.note(sheet);
}

/// Draws a bar around the middle.
fn bar(
    sheet: &mut Sheet,
    stacks: &Stacks,
    segments: &[Segment],
    [middle, thickness]: [f64; 2],
    numbers: &NumberScale,
    (place, is_open): (Option<&str>, bool),
) {
    for segment in segments {
        let (from, to) = (numbers.at(segment.from), numbers.at(segment.to));
        let colour = stacks.colour(segment);
        let gap = if stacks.parts.len() > 1 && (from - to).abs() > 2.0 { 1.0 } else { 0.0 };
        let hover = place.map(|place| stacks.hover(segment, place, sheet));
        let class = if is_open { format!("{} {} open", fill(colour), stroke(colour)) } else { fill(colour) };
        let rect = [middle - thickness / 2.0, from.min(to) + gap, thickness, (from - to).abs() - gap];
        sheet.svg.rect(&class, rect, hover.as_deref());
    }
}

/// Draws few bars with their totals.
pub(super) fn by_label(sheet: &mut Sheet, stacks: &Stacks, names: &[String]) {
    let numbers = NumberScale::new(stacks.low, stacks.high, 4, sheet.options.locale);
    let left = sheet.left + axis_width(&numbers, sheet.width());
    let slot = ((sheet.right - left) / real(names.len())).min(96.0);
    let plot = Plot { left, right: left + slot * real(names.len()), top: sheet.y + 20.0, bottom: sheet.y + 200.0 };
    let numbers = numbers.on(plot.bottom, plot.top);
    grid(&mut sheet.svg, &numbers, plot, Some(sheet.left));
    for (index, ((_, segments), name)) in stacks.bars.iter().zip(names).enumerate() {
        let middle = left + (real(index) + 0.5) * slot;
        let place = describe::name(name);
        bar(sheet, stacks, segments, [middle, (slot * 0.62).min(56.0)], &numbers, (Some(&place), false));
        let top =
            segments.iter().map(|segment| numbers.at(segment.to.max(segment.from))).fold(numbers.zero(), f64::min);
        let total = number::float(Stacks::total(segments), stacks.decimals, sheet.options.locale);
        sheet.svg.text("ink", Anchor::Middle, [middle, top - 5.0], &text::cut(&total, slot, SMALL));
        sheet.svg.text("dim", Anchor::Middle, [middle, plot.bottom + 15.0], &text::cut(name, slot, SMALL));
    }
    sheet.svg.line("axis", [left, numbers.zero()], [plot.right, numbers.zero()]);
    sheet.y = plot.bottom + 20.0;
}
