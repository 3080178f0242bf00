//! Draws a choice as SVG.

mod bars;
mod clock;
mod describe;
mod heat;
mod legend;
mod lines;
mod marks;
mod multiples;
mod number;
mod plot;
mod scatter;
mod stacked_area;
mod stacks;
mod table;

use crate::choose::Choice;
use crate::data::ChartData;
use crate::frame::Sheet;
use crate::kind::ChartKind;
use crate::options::Options;
use crate::roles::{Fit, Roles, fit};
use crate::shape::{Shape, listed};
use crate::text;

/// Draws a result as an SVG document. Equal input gives equal bytes, on every machine.
///
/// A choice that was made for other columns, and does not fit these, is drawn as a table.
///
/// ```
/// use metricd_chart::{ChartColumn, ChartData, ColumnType, Options, choose, draw};
///
/// let mut data = ChartData::new(vec![
///     ChartColumn::new("country", ColumnType::Text),
///     ChartColumn::new("orders", ColumnType::Number),
/// ]);
/// data.push_texts(&[Some("Germany"), Some("1200")])?;
/// data.push_texts(&[Some("Austria"), Some("340")])?;
/// let svg = draw(&data, &choose(&data), &Options::default());
/// assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
/// assert!(svg.contains("orders: 2 values, minimum 340 (Austria), maximum 1\u{202f}200 (Germany)."));
/// # Ok::<(), metricd_chart::WrongRowLength>(())
/// ```
#[must_use]
pub fn draw(data: &ChartData, choice: &Choice, options: &Options) -> String {
    let shape = Shape::of(data);
    let mut sheet = Sheet::new(options);
    let (kind, roles) = match fit(choice.kind, &shape) {
        Ok(Fit { roles, .. }) => (choice.kind, roles),
        Err(_) => (ChartKind::Table, Roles::Table),
    };
    let title = title(kind, &shape, &roles);
    if shape.rows() == 0 {
        sheet.message(options.empty.as_deref().filter(|text| !text::clean(text).is_empty()).unwrap_or("No rows."));
        return sheet.finish(&title);
    }
    let has_edge = match &roles {
        Roles::Number { values, labels } => {
            number::draw(&mut sheet, &shape, values, labels);
            false
        }
        Roles::Lines { time, by, values } => {
            lines::draw(&mut sheet, &shape, (*time, by, values), kind == ChartKind::Area);
            true
        }
        Roles::Bars { label, values } => {
            bars::draw(&mut sheet, &shape, *label, values);
            false
        }
        Roles::Stacks { at, by, values } => {
            stacks::draw(&mut sheet, &shape, *at, by, values);
            matches!(at, crate::roles::Position::Time(_))
        }
        Roles::Scatter { x, y, by } => {
            scatter::draw(&mut sheet, &shape, *x, *y, *by);
            false
        }
        Roles::HeatMap { source, value } => {
            heat::draw(&mut sheet, &shape, *source, *value);
            false
        }
        Roles::Table => {
            table::draw(&mut sheet, &shape);
            false
        }
    };
    if options.is_truncated {
        let label = marks::cut_text(shape.rows(), &sheet);
        if has_edge {
            sheet.fact(format!("The result has only the {label}."));
        } else {
            sheet.cut_edge(&label);
            sheet.fact(format!("The result has only the {label}."));
        }
    }
    note_what_is_missing(&mut sheet, &shape, kind, &roles);
    sheet.finish(&title)
}

/// Notes of columns and options that this kind does not draw.
fn note_what_is_missing(sheet: &mut Sheet, shape: &Shape, kind: ChartKind, roles: &Roles) {
    let unused = roles.unused(shape);
    if !unused.is_empty() {
        let names: Vec<_> =
            unused.iter().take(8).map(|column| describe::name(shape.data.columns()[*column].label())).collect();
        let more = if unused.len() > 8 { ", …" } else { "" };
        sheet.note(format!("Not drawn: {}{more}.", listed(&names)));
    }
    let has_time_axis =
        matches!(roles, Roles::Lines { .. } | Roles::Stacks { at: crate::roles::Position::Time(_), .. });
    if !has_time_axis && !sheet.options.annotations.is_empty() && kind != ChartKind::Table {
        let texts: Vec<_> = sheet.options.annotations.iter().map(|one| describe::name(&one.text)).collect();
        sheet.note(format!("Annotations: {}.", texts.join("; ")));
    }
    let compares =
        matches!(kind, ChartKind::Number | ChartKind::Line | ChartKind::Area) || matches!(roles, Roles::Bars { .. });
    if sheet.options.comparison.is_some() && !compares {
        sheet.note("The comparison is not drawn.");
    }
}

/// The accessible name of a drawing without a title.
fn title(kind: ChartKind, shape: &Shape, roles: &Roles) -> String {
    let label = |columns: &[usize]| {
        let names: Vec<_> =
            columns.iter().map(|column| describe::name(shape.data.columns()[*column].label())).collect();
        listed(&names)
    };
    match roles {
        Roles::Number { values, .. } => label(values),
        Roles::Lines { time, values, .. } => format!("{} by {}", label(values), label(&[*time])),
        Roles::Bars { label: by, values } => format!("{} by {}", label(values), label(&[*by])),
        Roles::Stacks { at: crate::roles::Position::Time(at) | crate::roles::Position::Label(at), values, .. } => {
            format!("{} by {}", label(values), label(&[*at]))
        }
        Roles::Scatter { x, y, .. } => format!("{} by {}", label(&[*y]), label(&[*x])),
        Roles::HeatMap { value, .. } => format!("{} by weekday and hour", label(&[*value])),
        Roles::Table => kind.phrase().trim_start_matches("a ").to_owned(),
    }
}

#[cfg(test)]
mod tests;
