//! The first rows as a table.

use super::clock::Clock;
use super::describe;
use crate::data::{Cell, ColumnType};
use crate::frame::Sheet;
use crate::math::real;
use crate::number;
use crate::shape::{Shape, label_of};
use crate::svg::Anchor;
use crate::text::{self, SMALL, SMALL_BOLD, width};
use crate::time_text::{self, Precision};

/// The most rows.
pub(crate) const MAX_ROWS: usize = 20;

/// The most decimals of a column.
const MAX_DECIMALS: usize = 6;

const ROW: f64 = 24.0;
const GUTTER: f64 = 20.0;

/// A column as it is shown.
struct Shown {
    header: String,
    cells: Vec<String>,
    is_number: bool,
    width: f64,
}

pub(crate) fn draw(sheet: &mut Sheet, shape: &Shape) {
    let columns = shape.data.columns();
    let limit = [320.0, 180.0, 120.0, 80.0];
    let all: Vec<_> = (0..columns.len().min(60)).map(|column| shown(sheet, shape, column)).collect();
    // Long texts are cut before columns are dropped.
    let fits = |limit: &f64| total(&all, *limit) <= sheet.width();
    let limit = limit.into_iter().find(fits).unwrap_or(80.0);
    let mut count = all.len();
    while count > 1 && total(&all[..count], limit) > sheet.width() {
        count -= 1;
    }
    let cut = all[..count].iter().filter(|column| column.width > limit).count();
    let per_cut = (sheet.width() - total(&all[..count], limit)).max(0.0) / real(cut.max(1));
    let head = sheet.y + 15.0;
    let rows = shape.rows().min(MAX_ROWS);
    let mut x = sheet.left;
    sheet.svg.line("axis", [sheet.left, sheet.y + 23.5], [sheet.right, sheet.y + 23.5]);
    for row in 1..=rows {
        let y = sheet.y + 23.5 + real(row) * ROW;
        sheet.svg.line("grid", [sheet.left, y], [sheet.right, y]);
    }
    for column in &all[..count] {
        let wider = if column.width > limit { per_cut } else { 0.0 };
        let space = column.width.min(limit + wider).min(sheet.right - x);
        let (anchor, at) = if column.is_number { (Anchor::End, x + space) } else { (Anchor::Start, x) };
        sheet.svg.text("dim strong", anchor, [at, head], &text::cut(&column.header, space, SMALL_BOLD));
        for (row, cell) in column.cells.iter().enumerate() {
            let class = if cell == "–" { "dim" } else { "ink" };
            let y = head + real(row + 1) * ROW + 1.0;
            sheet.svg.text(class, anchor, [at, y], &text::cut(cell, space, SMALL));
        }
        x += space + GUTTER;
    }
    sheet.y += 24.0 + real(rows) * ROW;
    facts(sheet, shape);
    if shape.rows() > rows {
        let more = describe::counted(shape.rows() - rows, "more row", "more rows", sheet);
        sheet.note(format!("{more}."));
    }
    let zone = (0..columns.len()).find_map(|column| Clock::of(shape, column, sheet.options).note);
    if let Some(zone) = zone {
        sheet.note(zone);
    }
    let hidden: Vec<_> = columns.iter().skip(count).map(|column| column.label().to_owned()).collect();
    sheet.note_named(&hidden, "not drawn, for columns need more space");
}

fn total(columns: &[Shown], limit: f64) -> f64 {
    columns.iter().map(|column| column.width.min(limit) + GUTTER).sum::<f64>() - GUTTER
}

fn shown(sheet: &Sheet, shape: &Shape, column: usize) -> Shown {
    let is_number = shape.data.columns()[column].column_type == ColumnType::Number;
    let cells: Vec<&Cell> = shape.data.cells(column).take(MAX_ROWS).collect();
    let decimals = cells
        .iter()
        .filter_map(|cell| match cell {
            Cell::Number(number) if number.value.is_finite() => Some(number::decimals_of(&number.text)),
            _ => None,
        })
        .max()
        .unwrap_or(0)
        .min(MAX_DECIMALS);
    let clock = Clock::of(shape, column, sheet.options);
    let precision = cells.iter().filter_map(|cell| match cell {
        Cell::Time(time) => Some(Precision::of(clock.zone.wall(*time))),
        _ => None,
    });
    let precision = precision.max().unwrap_or(Precision::Day);
    let cell = |cell: &&Cell| match cell {
        Cell::Null => "–".to_owned(),
        // A year or an id is not grouped.
        Cell::Number(number) if !shape.numbers.contains(&column) => text::clean(&number.text),
        Cell::Number(number) => number::exact(number, decimals, sheet.options.locale),
        Cell::Time(time) => time_text::precise(clock.zone.wall(*time), precision, sheet.options.locale),
        other => text::clean(&label_of(other)),
    };
    let cells: Vec<_> = cells.iter().map(cell).collect();
    let header = describe::label_with_unit(shape, column);
    let widest = cells.iter().map(|cell| width(cell, SMALL)).fold(width(&header, SMALL_BOLD), f64::max);
    Shown { header, cells, is_number, width: widest + 0.1 }
}

fn facts(sheet: &mut Sheet, shape: &Shape) {
    let columns = describe::counted(shape.data.columns().len(), "column", "columns", sheet);
    let rows = describe::counted(shape.rows(), "row", "rows", sheet);
    sheet.fact(format!("{columns}, {rows}."));
    for column in shape.numbers.iter().take(8) {
        describe::of_column(sheet, shape, *column, |_| String::new());
    }
}
