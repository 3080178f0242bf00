//! The numbers of one row, large.

use super::clock::Clock;
use super::describe;
use crate::data::{Cell, Number};
use crate::frame::{LINE, Sheet};
use crate::locale::Locale;
use crate::number;
use crate::shape::{Shape, label_of};
use crate::svg::Anchor;
use crate::text::{self, LARGE, MIDDLE, SMALL, width};

/// The least width of a number.
const TILE: f64 = 140.0;
const HEIGHT: f64 = 54.0;
const GUTTER: f64 = 32.0;

pub(crate) fn draw(sheet: &mut Sheet, shape: &Shape, values: &[usize], labels: &[usize]) {
    let Some(row) = shape.data.rows().first() else { return };
    let comparison =
        sheet.options.comparison.as_ref().map(|comparison| (comparison.label.as_str(), comparison.data.rows().first()));
    let height = HEIGHT + if comparison.is_some() { LINE * 2.0 } else { 0.0 };
    let (mut x, mut y) = (sheet.left, sheet.y);
    for column in values {
        let cell = row.get(*column).unwrap_or(&Cell::Null);
        let previous =
            comparison.map(|(label, row)| (label, row.and_then(|row| row.get(*column)).unwrap_or(&Cell::Null)));
        let period = previous.map_or(0.0, |(label, _)| width(&text::clean(label), SMALL) + 80.0).min(240.0);
        let space = needed(sheet, shape, *column, row).max(period).max(TILE).min(sheet.width());
        if x > sheet.left && x + space > sheet.right {
            (x, y) = (sheet.left, y + height + 20.0);
        }
        one(sheet, shape, (*column, cell), previous, [x, y, space]);
        x += space + GUTTER;
    }
    sheet.y = y + height;
    let context: Vec<_> = labels.iter().filter_map(|column| context(sheet, shape, row, *column)).collect();
    if !context.is_empty() {
        sheet.note(format!("{}.", context.join(", ")));
    }
}

/// The number as it is shown.
fn shown(cell: &Cell, decimals: usize, locale: Locale) -> String {
    match cell {
        Cell::Number(number) => number::label(number, decimals, locale),
        _ => "–".to_owned(),
    }
}

fn decimals_of(cell: &Cell) -> usize {
    match cell {
        Cell::Number(number) => large_decimals(number),
        _ => 0,
    }
}

/// The space that a number needs with its unit.
fn needed(sheet: &Sheet, shape: &Shape, column: usize, row: &[Cell]) -> f64 {
    let cell = row.get(column).unwrap_or(&Cell::Null);
    let unit = shape.unit(column).map_or(0.0, |unit| 6.0 + width(&text::clean(unit), MIDDLE));
    width(&shown(cell, decimals_of(cell), sheet.options.locale), LARGE) + unit
}

/// A label or a time of the row.
fn context(sheet: &Sheet, shape: &Shape, row: &[Cell], column: usize) -> Option<String> {
    let cell = row.get(column)?;
    let shown = match Shape::time(row, column) {
        Some(time) if shape.times.contains(&column) => Clock::of(shape, column, sheet.options).full(time),
        _ => describe::name(&label_of(cell)),
    };
    Some(format!("{}: {shown}", describe::name(shape.data.columns()[column].label())))
}

fn one(
    sheet: &mut Sheet,
    shape: &Shape,
    (column, cell): (usize, &Cell),
    previous: Option<(&str, &Cell)>,
    [x, y, space]: [f64; 3],
) {
    let locale = sheet.options.locale;
    let label = text::cut(shape.data.columns()[column].label(), space, SMALL);
    sheet.svg.text("dim", Anchor::Start, [x, y + 11.0], &label);
    let unit = shape.unit(column).map(text::clean);
    let decimals = decimals_of(cell);
    let shown = |cell: &Cell| shown(cell, decimals, locale);
    let mut value = shown(cell);
    let after = unit.as_ref().map_or(0.0, |unit| 6.0 + width(unit, MIDDLE).min(space / 3.0));
    let mut face = LARGE;
    if width(&value, face) + after > space {
        face = text::Face { is_bold: true, ..MIDDLE };
    }
    if let (Cell::Number(number), true) = (cell, width(&value, face) + after > space) {
        value = number::scientific(number.value, locale);
    }
    let class = if face == LARGE { "large ink" } else { "middle strong ink" };
    let value = text::cut(&value, space, face);
    sheet.svg.text(class, Anchor::Start, [x, y + 46.0], &value);
    if let Some(unit) = &unit {
        let after = x + width(&value, face) + 6.0;
        let unit = text::cut(unit, x + space - after, MIDDLE);
        sheet.svg.text("middle dim", Anchor::Start, [after, y + 46.0], &unit);
    }
    let name = describe::name(shape.data.columns()[column].label());
    let with_unit = |shown: String| number::with_unit(&shown, unit.as_deref(), locale);
    let is = match cell {
        Cell::Null => "NULL".to_owned(),
        _ => with_unit(shown(cell)),
    };
    match previous {
        None => sheet.fact(format!("{name}: {is}.")),
        Some((period, before)) => {
            let change = change(cell, before, decimals, sheet);
            let period = describe::name(period);
            let before = match before {
                Cell::Number(_) => format!("{period}: {}", with_unit(shown(before))),
                _ => format!("{period}: no value"),
            };
            sheet.svg.text("strong ink", Anchor::Start, [x, y + 68.0], &text::cut(&change, space, text::SMALL_BOLD));
            sheet.svg.text("dim", Anchor::Start, [x, y + 68.0 + LINE], &text::cut(&before, space, SMALL));
            let change = if change.is_empty() { change } else { format!("{change} ") };
            sheet.fact(format!("{name}: {is}, {change}{before}."));
        }
    }
}

/// The difference, and its share of the previous value if that is positive.
fn change(cell: &Cell, before: &Cell, decimals: usize, sheet: &Sheet) -> String {
    let (Cell::Number(now), Cell::Number(before)) = (cell, before) else { return String::new() };
    let locale = sheet.options.locale;
    let difference = now.value - before.value;
    if !difference.is_finite() {
        return String::new();
    }
    let signed = |value: f64, decimals: usize| {
        let text = number::float(value, decimals, locale);
        if value > 0.0 { format!("+{text}") } else { text }
    };
    if now.value.total_cmp(&before.value).is_eq() {
        return "unchanged".to_owned();
    }
    let ratio = difference / before.value * 100.0;
    let share = if before.value > 0.0 && ratio.is_finite() && ratio.abs() < 100_000.0 {
        let digits = usize::from(ratio.abs() < 10.0);
        format!(" ({})", number::with_unit(&signed(ratio, digits), Some("%"), locale))
    } else {
        String::new()
    };
    format!("{}{share}", signed(difference, decimals))
}

/// A number that is alone shows the cents of amounts below a million.
fn large_decimals(number: &Number) -> usize {
    let most = number::decimals_of(&number.text);
    if number.value.abs() >= 1e6 {
        0
    } else if number.value.abs() >= 1.0 {
        most.min(2)
    } else {
        number::decimals_for([number])
    }
}
