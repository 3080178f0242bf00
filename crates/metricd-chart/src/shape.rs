//! What the columns of a result are for: times, numbers, labels.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use crate::calendar::Day;
use crate::data::{Cell, ChartData, ColumnType, Number};
use crate::text;

/// Names of whole numbers that are positions, not amounts.
const POSITIONS: [&str; 10] = ["age", "bucket", "day", "dow", "hour", "isodow", "month", "quarter", "week", "weekday"];

/// The columns of a result by what they are for, each in the order of the result.
#[derive(Debug)]
pub(crate) struct Shape<'d> {
    pub(crate) data: &'d ChartData,
    /// Dates, timestamps, and whole numbers that are years.
    pub(crate) times: Vec<usize>,
    /// Numbers that are amounts.
    pub(crate) numbers: Vec<usize>,
    /// Texts, enums, booleans, and whole numbers that are ids or positions.
    pub(crate) labels: Vec<usize>,
    /// All others.
    pub(crate) others: Vec<usize>,
}

/// A label that sorts by the order of its type, else as people sort names: `item 2` is before `item 10`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rank {
    number: i64,
    natural: String,
    pub(crate) label: String,
}

/// How the labels of a column are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LabelOrder {
    /// As the type or the numbers have it.
    Own,
    /// By the values next to them.
    ByValue,
}

impl<'d> Shape<'d> {
    pub(crate) fn of(data: &'d ChartData) -> Self {
        let mut shape = Self { data, times: vec![], numbers: vec![], labels: vec![], others: vec![] };
        let amounts = data.columns().iter().filter(|column| column.column_type == ColumnType::Number).count();
        for (index, column) in data.columns().iter().enumerate() {
            let role = match column.column_type {
                ColumnType::Instant | ColumnType::Timestamp | ColumnType::Date => &mut shape.times,
                ColumnType::Number if amounts > 1 && is_year(data, index) => &mut shape.times,
                ColumnType::Number if amounts > 1 && is_label(data, index) => &mut shape.labels,
                ColumnType::Number => &mut shape.numbers,
                ColumnType::Text | ColumnType::Enum(_) | ColumnType::Boolean => &mut shape.labels,
                ColumnType::Other => &mut shape.others,
            };
            role.push(index);
        }
        shape
    }

    pub(crate) fn rows(&self) -> usize {
        self.data.rows().len()
    }

    /// The name of a column, quoted for a sentence.
    pub(crate) fn name(&self, column: usize) -> String {
        let name = self.data.columns().get(column).map_or("", |column| column.name.as_str());
        format!("`{}`", text::isolated(&metricd_domain::shortened(name, 64)))
    }

    /// Names of columns for a sentence.
    pub(crate) fn names(&self, columns: &[usize]) -> String {
        let names: Vec<_> = columns.iter().map(|column| self.name(*column)).collect();
        listed(&names)
    }

    /// The time in a row.
    pub(crate) fn time(row: &[Cell], column: usize) -> Option<i64> {
        match row.get(column)? {
            Cell::Time(time) => Some(*time),
            Cell::Number(number) => whole(number).map(|year| Day { year, month: 1, day: 1 }.midnight()),
            _ => None,
        }
    }

    /// Whether the times of a column are instants, which a zone shifts.
    pub(crate) fn is_instant(&self, column: usize) -> bool {
        self.data.columns().get(column).is_some_and(|column| column.column_type == ColumnType::Instant)
    }

    /// Whether the times of a column have no time of day.
    pub(crate) fn is_day(&self, column: usize) -> bool {
        let has_clock = |column_type: &ColumnType| matches!(column_type, ColumnType::Instant | ColumnType::Timestamp);
        self.data.columns().get(column).is_some_and(|column| !has_clock(&column.column_type))
    }

    pub(crate) fn unit(&self, column: usize) -> Option<&'d str> {
        self.data.columns().get(column)?.unit.as_deref().filter(|unit| !unit.trim().is_empty())
    }

    /// How the labels of a column are ordered.
    pub(crate) fn order(&self, column: usize) -> LabelOrder {
        match self.data.columns().get(column).map(|column| &column.column_type) {
            Some(ColumnType::Enum(_)) => LabelOrder::Own,
            Some(ColumnType::Number) if !is_id(&self.data.columns()[column].name) => LabelOrder::Own,
            _ => LabelOrder::ByValue,
        }
    }

    /// A label with its position in the order of its column.
    pub(crate) fn rank(&self, cell: &Cell, column: usize) -> Rank {
        let label = label_of(cell).into_owned();
        let rank = match (self.data.columns().get(column).map(|column| &column.column_type), cell) {
            (Some(ColumnType::Enum(labels)), _) => {
                labels.iter().position(|known| *known == label).and_then(|index| i64::try_from(index).ok())
            }
            (_, Cell::Number(number)) => whole(number),
            _ => Some(0),
        };
        Rank { number: rank.unwrap_or(i64::MAX), natural: natural(&label), label }
    }

    /// The labels of a row in some columns, as one.
    pub(crate) fn label(row: &[Cell], columns: &[usize]) -> String {
        let labels: Vec<_> = columns.iter().filter_map(|column| row.get(*column)).map(label_of).collect();
        labels.join(" · ")
    }

    /// How many different labels some columns have together.
    pub(crate) fn distinct(&self, columns: &[usize]) -> usize {
        self.data.rows().iter().map(|row| Self::label(row, columns)).collect::<HashSet<_>>().len()
    }

    /// How many different times a column has.
    pub(crate) fn distinct_times(&self, column: usize) -> usize {
        self.data.rows().iter().map(|row| Self::time(row, column)).collect::<HashSet<_>>().len()
    }

    /// A label that comes more than once, and how often, if there is one.
    pub(crate) fn repeated(&self, columns: &[usize]) -> Option<(String, usize)> {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for row in self.data.rows() {
            *counts.entry(Self::label(row, columns)).or_default() += 1;
        }
        let repeated = counts.into_iter().filter(|(_, count)| *count > 1);
        repeated.max_by(|left, right| left.1.cmp(&right.1).then_with(|| right.0.cmp(&left.0)))
    }

    /// Whether a time comes more than once with the same labels.
    pub(crate) fn repeats_times(&self, time: usize, by: &[usize]) -> bool {
        let mut seen = HashSet::new();
        !self.data.rows().iter().all(|row| seen.insert((Self::time(row, time), Self::label(row, by))))
    }

    pub(crate) fn has_negative(&self, columns: &[usize]) -> bool {
        let is_negative = |cell: &Cell| matches!(cell, Cell::Number(number) if number.value < 0.0);
        columns.iter().any(|column| self.data.cells(*column).any(is_negative))
    }

    /// The column of that name among whole numbers and texts, whatever its case.
    pub(crate) fn named(&self, names: &[&str]) -> Option<usize> {
        let is_named =
            |index: &usize| names.iter().any(|name| self.data.columns()[*index].name.eq_ignore_ascii_case(name));
        self.labels.iter().copied().find(is_named)
    }
}

/// The label with each number as wide as others, so that texts sort like their numbers.
fn natural(label: &str) -> String {
    let mut natural = String::new();
    let is_digit = |character: char| character.is_ascii_digit();
    let mut rest = label;
    while let Some(start) = rest.find(is_digit) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|character| !is_digit(character)).unwrap_or(from.len());
        natural.push_str(before);
        let _ = write!(natural, "{:0>12}", &from[..end]);
        rest = &from[end..];
    }
    natural + rest
}

/// `a`, `a and b` or `a, b and c`.
pub(crate) fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// What stands for a value as a label.
pub(crate) fn label_of(cell: &Cell) -> Cow<'_, str> {
    match cell {
        Cell::Null => Cow::Borrowed("null"),
        Cell::Number(number) => Cow::Borrowed(&number.text),
        Cell::Text(text) if text.trim().is_empty() => Cow::Borrowed("(empty)"),
        Cell::Text(text) => Cow::Borrowed(text),
        Cell::Boolean(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
        Cell::Time(time) => Cow::Owned(time.to_string()),
    }
}

/// A finite number, if the cell is one.
pub(crate) fn finite(cell: &Cell) -> Option<&Number> {
    match cell {
        Cell::Number(number) if number.value.is_finite() => Some(number),
        _ => None,
    }
}

/// A whole number of at most five digits.
#[expect(clippy::float_cmp, reason = "whole numbers are exact")]
fn whole(number: &Number) -> Option<i64> {
    let whole = crate::math::truncated(number.value);
    (crate::math::real_of(whole.into()) == number.value && whole.abs() < 100_000).then_some(whole)
}

fn all_whole(data: &ChartData, column: usize, limit: i64) -> bool {
    data.cells(column).all(|cell| match cell {
        Cell::Null => true,
        Cell::Number(number) => whole(number).is_some_and(|whole| whole.abs() <= limit),
        _ => false,
    })
}

fn is_year(data: &ChartData, column: usize) -> bool {
    let name = data.columns()[column].name.to_ascii_lowercase();
    (name == "year" || name.ends_with("_year")) && all_whole(data, column, 9_999)
}

fn is_id(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "id" || name.ends_with("_id")
}

fn is_label(data: &ChartData, column: usize) -> bool {
    let name = data.columns()[column].name.to_ascii_lowercase();
    is_id(&name) || (POSITIONS.contains(&name.as_str()) && all_whole(data, column, 999))
}
