//! Bars from zero, one for each label: upright for few short labels, else horizontal.

use std::collections::HashMap;

use super::describe;
use super::legend::{Entry, legend};
use crate::data::{Cell, Number};
use crate::frame::{LINE, Sheet};
use crate::math::real;
use crate::number;
use crate::scale::NumberScale;
use crate::series::extent;
use crate::shape::{LabelOrder, Shape, finite, label_of};
use crate::svg::Anchor;
use crate::text::{self, SMALL, width};

/// The most bars.
pub(crate) const MAX_BARS: usize = 30;

/// From so many labels on, bars are horizontal.
pub(crate) const HORIZONTAL_FROM: usize = 8;

/// The height of a row, and of its bar.
pub(crate) const ROW: f64 = 22.0;
pub(crate) const THICKNESS: f64 = 14.0;

/// The height of upright bars with their values.
const UPRIGHT_HEIGHT: f64 = 200.0;
const MAX_SLOT: f64 = 96.0;

/// A label with the values of its row.
struct Bar<'d> {
    label: String,
    cells: Vec<&'d Cell>,
    previous: Vec<Option<f64>>,
}

/// A column of numbers.
struct Column {
    caption: String,
    decimals: usize,
    low: f64,
    high: f64,
}

pub(crate) fn draw(sheet: &mut Sheet, shape: &Shape, label: usize, values: &[usize]) {
    let mut bars = bars(sheet, shape, label, values);
    if !bars.iter().any(|bar| bar.cells.iter().any(|cell| finite(cell).is_some())) {
        sheet.message("No values: all are NULL, or no finite numbers.");
        return;
    }
    let of_row = |row: usize| {
        shape.data.rows().get(row).map_or(String::new(), |row| describe::name(&Shape::label(row, &[label])))
    };
    let by = describe::name(shape.data.columns()[label].label());
    sheet.fact(format!("By {by}, {}.", describe::counted(bars.len(), "bar", "bars", sheet)));
    for value in values {
        describe::of_column(sheet, shape, *value, of_row);
    }
    let others: Vec<_> = bars.drain(MAX_BARS.min(bars.len())..).map(|bar| bar.label).collect();
    let columns: Vec<_> = values.iter().enumerate().map(|(index, value)| column(shape, *value, index, &bars)).collect();
    if values.len() == 1 && is_upright(&bars, sheet) {
        upright(sheet, &bars, &columns[0]);
    } else {
        horizontal(sheet, &bars, &columns);
    }
    sheet.note_others(&others, if shape.order(label) == LabelOrder::ByValue { ", all smaller" } else { "" });
    if let Some(time) = shape.times.first()
        && let Some(at) = shape.data.rows().first().and_then(|row| Shape::time(row, *time))
    {
        let clock = super::clock::Clock::of(shape, *time, sheet.options);
        sheet.note(format!("{}: {}.", describe::name(shape.data.columns()[*time].label()), clock.full(at)));
    }
}

/// The bars in their order: that of the type, or from the largest value on.
fn bars<'d>(sheet: &mut Sheet, shape: &Shape<'d>, label: usize, values: &[usize]) -> Vec<Bar<'d>> {
    let previous: HashMap<String, Vec<Option<f64>>> = match &sheet.options.comparison {
        Some(comparison) => {
            let of = |row: &Vec<Cell>| {
                let numbers = values.iter().map(|value| Some(finite(row.get(*value)?)?.value)).collect();
                Some((label_of(row.get(label)?).into_owned(), numbers))
            };
            comparison.data.rows().iter().filter_map(of).collect()
        }
        None => HashMap::new(),
    };
    let mut rows: Vec<&Vec<Cell>> = shape.data.rows().iter().collect();
    match (shape.order(label), values.first()) {
        (LabelOrder::ByValue, Some(value)) => {
            let value =
                |row: &Vec<Cell>| row.get(*value).and_then(finite).map_or(f64::NEG_INFINITY, |number| number.value);
            rows.sort_by(|left, right| value(right).total_cmp(&value(left)));
        }
        _ => rows.sort_by_cached_key(|row| row.get(label).map(|cell| shape.rank(cell, label))),
    }
    let bar = |row: &'d Vec<Cell>| {
        let name = Shape::label(row, &[label]);
        let before = previous.get(&name).cloned().unwrap_or_else(|| vec![None; values.len()]);
        Bar { label: name, cells: values.iter().filter_map(|value| row.get(*value)).collect(), previous: before }
    };
    rows.into_iter().map(bar).collect()
}

fn column(shape: &Shape, value: usize, index: usize, bars: &[Bar]) -> Column {
    let numbers: Vec<&Number> = bars.iter().filter_map(|bar| finite(bar.cells.get(index)?)).collect();
    let previous = bars.iter().filter_map(|bar| *bar.previous.get(index)?);
    let (low, high) = extent(numbers.iter().map(|number| number.value).chain(previous)).unwrap_or((0.0, 1.0));
    Column {
        caption: describe::label_with_unit(shape, value),
        decimals: number::decimals_for(numbers),
        low: low.min(0.0),
        high: high.max(0.0),
    }
}

impl Column {
    /// What stands at the end of a bar.
    fn label(&self, cell: &Cell, sheet: &Sheet) -> String {
        match cell {
            Cell::Number(number) => number::label(number, self.decimals, sheet.options.locale),
            Cell::Null => "–".to_owned(),
            other => text::cut(&label_of(other), 80.0, SMALL),
        }
    }

    fn scale(&self, from: f64, to: f64) -> NumberScale {
        NumberScale::exact(self.low, self.high).on(from, to)
    }

    /// The most space that the values need: before the negative bars, and after the positive ones.
    fn spaces(&self, bars: &[Bar], index: usize, sheet: &Sheet) -> (f64, f64) {
        let mut spaces: (f64, f64) = (0.0, 0.0);
        for cell in bars.iter().filter_map(|bar| bar.cells.get(index)) {
            let needed = width(&self.label(cell, sheet), SMALL) + 6.0;
            if finite(cell).is_some_and(|number| number.value < 0.0) {
                spaces.0 = spaces.0.max(needed);
            } else {
                spaces.1 = spaces.1.max(needed);
            }
        }
        spaces
    }
}

fn is_upright(bars: &[Bar], sheet: &Sheet) -> bool {
    let slot = (sheet.width() / real(bars.len().max(1))).min(MAX_SLOT);
    let is_short = |bar: &Bar| {
        let lines = text::wrap(&bar.label, slot - 8.0, SMALL, 3);
        lines.len() <= 2
            && lines.iter().all(|line| !line.ends_with('…'))
            && text::clean(&bar.label).split(' ').all(|word| width(word, SMALL) <= slot - 8.0)
    };
    bars.len() < HORIZONTAL_FROM && bars.iter().all(is_short)
}

fn caption(sheet: &mut Sheet, caption: &str) {
    let caption = text::cut(caption, sheet.width(), SMALL);
    sheet.svg.text("dim", Anchor::Start, [sheet.left, sheet.y + 11.0], &caption);
    sheet.y += 20.0;
}

/// The legend of the comparison.
fn previous_legend(sheet: &mut Sheet, bars: &[Bar]) {
    let has_previous = bars.iter().any(|bar| bar.previous.iter().any(Option::is_some));
    if let Some(comparison) = sheet.options.comparison.as_ref().filter(|_| has_previous) {
        let name = comparison.label.clone();
        let y = sheet.y + 11.0;
        sheet.svg.line("previous", [sheet.left + 2.0, y - 10.0], [sheet.left + 2.0, y + 2.0]);
        let name = text::cut(&name, sheet.width() - 12.0, SMALL);
        sheet.svg.text("ink", Anchor::Start, [sheet.left + 10.0, y], &name);
        sheet.y += 20.0;
    }
}

fn upright(sheet: &mut Sheet, bars: &[Bar], column: &Column) {
    caption(sheet, &column.caption);
    previous_legend(sheet, bars);
    let slot = (sheet.width() / real(bars.len())).min(MAX_SLOT);
    let has_negative = column.low < 0.0;
    let (top, bottom) = (sheet.y + LINE, sheet.y + UPRIGHT_HEIGHT - if has_negative { LINE } else { 0.0 });
    let scale = column.scale(bottom, top);
    let mut below = bottom + if has_negative { LINE } else { 0.0 };
    let labels_from = below;
    for (index, bar) in bars.iter().enumerate() {
        let middle = sheet.left + (real(index) + 0.5) * slot;
        let thickness = (slot * 0.62).min(56.0);
        let Some(cell) = bar.cells.first() else { continue };
        let value = finite(cell).map_or(0.0, |number| number.value);
        let (zero, end) = (scale.zero(), scale.at(value));
        let label = column.label(cell, sheet);
        if finite(cell).is_some() {
            let hover = format!("{}: {label}", describe::name(&bar.label));
            let rect = [middle - thickness / 2.0, zero.min(end), thickness, (zero - end).abs()];
            sheet.svg.rect("s0", rect, Some(&hover));
        }
        if let Some(Some(previous)) = bar.previous.first() {
            let y = scale.at(*previous);
            sheet.svg.line("previous", [middle - thickness / 2.0 - 3.0, y], [middle + thickness / 2.0 + 3.0, y]);
        }
        // A mark of the comparison must not strike through the value.
        let previous = bar.previous.first().copied().flatten().map(|previous| scale.at(previous));
        let y = if value < 0.0 {
            previous.filter(|y| (0.0..20.0).contains(&(*y - end))).unwrap_or(end) + 13.0
        } else {
            previous.filter(|y| (0.0..20.0).contains(&(end - *y))).unwrap_or(end) - 5.0
        };
        let fits = width(&label, SMALL) <= slot + 8.0;
        let label = if fits { label } else { number::scientific(value, sheet.options.locale) };
        sheet.svg.text("ink", Anchor::Middle, [middle, y], &text::cut(&label, slot, SMALL));
        for (line_index, line) in text::wrap(&bar.label, slot - 4.0, SMALL, 2).iter().enumerate() {
            let y = labels_from + 15.0 + real(line_index) * LINE;
            sheet.svg.text("dim", Anchor::Middle, [middle, y], line);
            below = below.max(y + 5.0);
        }
    }
    sheet.svg.line("axis", [sheet.left, scale.zero()], [sheet.left + slot * real(bars.len()), scale.zero()]);
    sheet.y = below;
}

fn horizontal(sheet: &mut Sheet, bars: &[Bar], columns: &[Column]) {
    let widest = bars.iter().map(|bar| width(&text::clean(&bar.label), SMALL)).fold(0.0, f64::max);
    let labels = widest.min(sheet.width() * 0.4);
    let space = (sheet.width() - labels) / real(columns.len());
    if let [only] = columns {
        caption(sheet, &only.caption);
    }
    previous_legend(sheet, bars);
    if columns.len() > 1 {
        for (index, column) in columns.iter().enumerate() {
            let x = sheet.left + labels + 12.0 + real(index) * space;
            let caption = text::cut(&column.caption, space - 12.0, SMALL);
            sheet.svg.text("dim", Anchor::Start, [x, sheet.y + 11.0], &caption);
        }
        sheet.y += 20.0;
    }
    let top = sheet.y;
    for (row, bar) in bars.iter().enumerate() {
        let baseline = top + real(row) * ROW + 15.0;
        let label = text::cut(&bar.label, labels, SMALL);
        sheet.svg.text("ink", Anchor::Start, [sheet.left, baseline], &label);
    }
    for (index, column) in columns.iter().enumerate() {
        let from = sheet.left + labels + 12.0 + real(index) * space;
        bar_column(sheet, bars, (index, column), [from, from + space - 12.0], top);
    }
    sheet.y = top + real(bars.len()) * ROW;
}

/// Draws the bars of one column between two x coordinates.
fn bar_column(sheet: &mut Sheet, bars: &[Bar], (index, column): (usize, &Column), [from, to]: [f64; 2], top: f64) {
    let (before, after) = column.spaces(bars, index, sheet);
    let has_space = to - from - before - after >= 24.0;
    let (low, high) = if has_space { (from + before, to - after) } else { (from, to) };
    let scale = column.scale(low, high);
    let zero = scale.zero();
    for (row, bar) in bars.iter().enumerate() {
        let y = top + real(row) * ROW + (ROW - THICKNESS) / 2.0;
        let Some(cell) = bar.cells.get(index) else { continue };
        let label = column.label(cell, sheet);
        let value = finite(cell).map(|number| number.value);
        let end = value.map_or(zero, |value| scale.at(value));
        if value.is_some() {
            let hover = format!("{}: {label}", describe::name(&bar.label));
            sheet.svg.rect("s0", [zero.min(end), y, (end - zero).abs(), THICKNESS], Some(&hover));
        }
        if let Some(Some(previous)) = bar.previous.get(index) {
            let x = scale.at(*previous);
            sheet.svg.line("previous", [x, y - 2.0], [x, y + THICKNESS + 2.0]);
        }
        if has_space {
            let is_negative = value.is_some_and(|value| value < 0.0);
            // A mark of the comparison must not strike through the value.
            let space = width(&label, SMALL) + 10.0;
            let struck = bar.previous.get(index).copied().flatten().map(|previous| scale.at(previous));
            let struck = struck.filter(|x| (0.0..space).contains(&if is_negative { end - *x } else { *x - end }));
            let beyond = struck.unwrap_or(end);
            let (anchor, x) = if is_negative { (Anchor::End, beyond - 5.0) } else { (Anchor::Start, beyond + 5.0) };
            sheet.svg.text(if value.is_some() { "ink" } else { "dim" }, anchor, [x, y + 11.0], &label);
        }
    }
    sheet.svg.line("axis", [zero, top], [zero, top + real(bars.len()) * ROW]);
}

/// The entries of a legend of areas.
pub(crate) fn area_legend(sheet: &mut Sheet, parts: &[(String, usize)]) {
    let entry = |(name, colour): &(String, usize)| Entry { name: name.clone(), colour: *colour, is_line: false };
    legend(sheet, &parts.iter().map(entry).collect::<Vec<_>>());
}
