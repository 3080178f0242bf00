//! Sentences about the data, for readers who do not see the marks.

use std::fmt::Write as _;

use super::plot::Lines;
use crate::data::Cell;
use crate::frame::Sheet;
use crate::number::{self, with_unit};
use crate::series::{Series, Skipped};
use crate::shape::{Shape, finite, listed};
use crate::text::{self, SMALL, cut};

/// The label of a column, with its unit.
pub(crate) fn label_with_unit(shape: &Shape, column: usize) -> String {
    let label = shape.data.columns().get(column).map_or("", |column| column.label());
    match shape.unit(column) {
        Some(unit) => format!("{}, {}", text::clean(label), text::clean(unit)),
        None => text::clean(label),
    }
}

/// A name for a sentence.
pub(crate) fn name(name: &str) -> String {
    text::isolated(&cut(name, 300.0, SMALL))
}

/// `1 row` or `12 rows`.
pub(crate) fn counted(count: usize, one: &str, many: &str, sheet: &Sheet) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {many}", number::count(count, sheet.options.locale)) }
}

/// How many decimals floats are shown with.
pub(crate) fn decimals(values: impl Iterator<Item = f64>) -> usize {
    let numbers: Vec<_> = values
        .filter_map(|value| match Cell::of_float(value) {
            Cell::Number(number) => Some(number),
            _ => None,
        })
        .collect();
    number::decimals_for(&numbers)
}

/// What lines show: their number, range of time, extremes, trend and gaps.
pub(crate) fn over_time(
    sheet: &mut Sheet,
    shape: &Shape,
    (time, values): (usize, &[usize]),
    series: &[Series],
    lines: &Lines,
    skipped: Skipped,
) {
    let names: Vec<_> = values.iter().map(|value| name(shape.data.columns()[*value].label())).collect();
    let by = name(shape.data.columns()[time].label());
    let all = crate::series::times(series);
    if let [first, .., last] = all.as_slice() {
        let (first, last) = (lines.clock.full(*first), lines.clock.full(*last));
        sheet.fact(format!(
            "{} by {by}, from {first} to {last}, {}.",
            listed(&names),
            counted(shape.rows(), "row", "rows", sheet)
        ));
    } else if let [only] = all.as_slice() {
        sheet.fact(format!("{} by {by}, at {}.", listed(&names), lines.clock.full(*only)));
    }
    if series.len() > 1 {
        sheet.fact(format!("{}.", counted(series.len(), "line", "lines", sheet)));
    }
    let decimals = decimals(series.iter().flat_map(Series::values));
    for one in series.iter().take(8) {
        let fact = of_series(one, shape.unit(one.column), lines, decimals, sheet);
        sheet.fact(if series.len() > 1 { format!("{}: {fact}", name(&one.name)) } else { fact });
    }
    if series.len() > 8 {
        sheet.fact(format!("The table has the other {}.", series.len() - 8));
    }
    if skipped.nulls > 0 {
        let is = if skipped.nulls == 1 { "is" } else { "are" };
        sheet.fact(format!("{} {is} NULL.", counted(skipped.nulls, "value", "values", sheet)));
    }
}

fn of_series(series: &Series, unit: Option<&str>, lines: &Lines, decimals: usize, sheet: &Sheet) -> String {
    let known: Vec<_> = series.points.iter().filter_map(|point| Some((point.time, point.value?))).collect();
    let (Some(first), Some(last)) = (known.first(), known.last()) else { return "no values.".to_owned() };
    let shown = |value: f64| {
        let unit = unit.map(text::clean);
        with_unit(&number::float(value, decimals, sheet.options.locale), unit.as_deref(), sheet.options.locale)
    };
    let low = known.iter().fold(first, |low, point| if point.1 < low.1 { point } else { low });
    let high = known.iter().fold(first, |high, point| if point.1 > high.1 { point } else { high });
    if known.len() == 1 {
        return format!("{} at {}.", shown(first.1), lines.clock.full(first.0));
    }
    let mut fact = format!(
        "minimum {} at {}, maximum {} at {}, first {}, last {}; {}.",
        shown(low.1),
        lines.clock.full(low.0),
        shown(high.1),
        lines.clock.full(high.0),
        shown(first.1),
        shown(last.1),
        trend(&known),
    );
    match lines.gaps(&series.points) {
        0 => {}
        1 => fact.push_str(" There is 1 gap."),
        gaps => {
            let _ = write!(fact, " There are {} gaps.", number::count(gaps, sheet.options.locale));
        }
    }
    fact
}

/// Compares the mean of the first quarter with that of the last one, by the range of all values.
fn trend(known: &[(i64, f64)]) -> &'static str {
    let quarter = known.len().div_ceil(4);
    let mean =
        |points: &[(i64, f64)]| points.iter().map(|point| point.1 / crate::math::real(points.len())).sum::<f64>();
    let (begin, end) = (mean(&known[..quarter]), mean(&known[known.len() - quarter..]));
    let Some((low, high)) = crate::series::extent(known.iter().map(|point| point.1)) else { return "level" };
    let tenth = (high / 10.0) - (low / 10.0);
    if high.total_cmp(&low).is_eq() {
        "all equal"
    } else if end - begin > tenth {
        "rising"
    } else if begin - end > tenth {
        "falling"
    } else {
        "about level"
    }
}

/// The range of a column of numbers.
pub(crate) fn of_column(sheet: &mut Sheet, shape: &Shape, column: usize, label: impl Fn(usize) -> String) {
    let mut low: Option<(usize, f64)> = None;
    let mut high: Option<(usize, f64)> = None;
    let numbers: Vec<_> =
        shape.data.cells(column).enumerate().filter_map(|(row, cell)| Some((row, finite(cell)?))).collect();
    for (row, number) in &numbers {
        if low.is_none_or(|(_, value)| number.value < value) {
            low = Some((*row, number.value));
        }
        if high.is_none_or(|(_, value)| number.value > value) {
            high = Some((*row, number.value));
        }
    }
    let decimals = number::decimals_for(numbers.iter().map(|(_, number)| *number));
    let (locale, unit) = (sheet.options.locale, shape.unit(column).map(text::clean));
    let shown = |value| with_unit(&number::float(value, decimals, locale), unit.as_deref(), locale);
    if let (Some(low), Some(high)) = (low, high) {
        let of = |(row, value): (usize, f64)| {
            let label = label(row);
            if label.is_empty() { shown(value) } else { format!("{} ({label})", shown(value)) }
        };
        sheet.fact(format!(
            "{}: {}, minimum {}, maximum {}.",
            name(shape.data.columns()[column].label()),
            counted(numbers.len(), "value", "values", sheet),
            of(low),
            of(high)
        ));
    }
    let nulls = shape.data.cells(column).filter(|cell| **cell == Cell::Null).count();
    if nulls > 0 {
        sheet.fact(format!("{} NULL.", counted(nulls, "value is", "values are", sheet)));
    }
}
