//! Rows as series over time.

use std::collections::BTreeMap;

use crate::data::Cell;
use crate::locale::Locale;
use crate::math::{between, clamped};
use crate::number;
use crate::shape::{Rank, Shape};

/// A value at a time; none for NULL and for numbers that are not finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) time: i64,
    pub(crate) value: Option<f64>,
}

/// The values of one column and one label, sorted by time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// The column of its values.
    pub(crate) column: usize,
    /// Which colour it has. It follows from the names of all series, not from their values.
    pub(crate) colour: usize,
    pub(crate) points: Vec<Point>,
}

/// What a chart of time cannot draw.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// Values that are NULL.
    pub(crate) nulls: usize,
    /// NaN and infinities.
    pub(crate) not_finite: usize,
    /// Rows without a time, or with an infinite one.
    pub(crate) without_time: usize,
}

impl Series {
    /// The values that are drawn.
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> {
        self.points.iter().filter_map(|point| point.value)
    }

    pub(crate) fn last(&self) -> Option<(i64, f64)> {
        self.points.iter().rev().find_map(|point| Some((point.time, point.value?)))
    }

    fn largest(&self) -> f64 {
        self.values().map(f64::abs).fold(0.0, f64::max)
    }
}

/// The lowest and highest of some values.
pub(crate) fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// The series of some columns, in the order of their colours.
pub(crate) fn over_time(shape: &Shape, time: usize, by: &[usize], values: &[usize]) -> (Vec<Series>, Skipped) {
    let mut series: BTreeMap<(usize, Vec<Rank>), Series> = BTreeMap::new();
    let mut skipped = Skipped::default();
    for row in shape.data.rows() {
        let Some(at) = Shape::time(row, time) else {
            skipped.without_time += 1;
            continue;
        };
        for &column in values {
            let cell = row.get(column).unwrap_or(&Cell::Null);
            let value = match cell {
                Cell::Number(number) if number.value.is_finite() => Some(number.value),
                Cell::Null => {
                    skipped.nulls += 1;
                    None
                }
                _ => {
                    skipped.not_finite += 1;
                    None
                }
            };
            let ranks = by.iter().filter_map(|label| Some(shape.rank(row.get(*label)?, *label))).collect();
            let one = series.entry((column, ranks)).or_insert_with(|| Series {
                name: if by.is_empty() {
                    shape.data.columns()[column].label().to_owned()
                } else {
                    Shape::label(row, by)
                },
                column,
                colour: 0,
                points: vec![],
            });
            one.points.push(Point { time: at, value });
        }
    }
    let mut series: Vec<_> = series.into_values().collect();
    for (index, one) in series.iter_mut().enumerate() {
        one.colour = index;
        one.points.sort_by_key(|point| point.time);
    }
    (series, skipped)
}

/// Keeps so many series, those with the largest values, and returns the names of the others.
pub(crate) fn keep_largest(series: &mut Vec<Series>, most: usize) -> Vec<String> {
    if series.len() <= most {
        return vec![];
    }
    let mut order: Vec<usize> = (0..series.len()).collect();
    order.sort_by(|left, right| series[*right].largest().total_cmp(&series[*left].largest()).then(left.cmp(right)));
    let kept = &order[..most];
    let others =
        (0..series.len()).filter(|index| !kept.contains(index)).map(|index| series[index].name.clone()).collect();
    let mut index = 0;
    series.retain(|_| {
        index += 1;
        kept.contains(&(index - 1))
    });
    for (index, one) in series.iter_mut().enumerate() {
        one.colour = index;
    }
    others
}

/// Adds up all but the largest series if there are more than so many, and returns the names of those.
pub(crate) fn merge_smallest(series: &mut Vec<Series>, most: usize) -> Vec<String> {
    if series.len() <= most {
        return vec![];
    }
    let all = series.clone();
    let others = keep_largest(series, most - 1);
    let mut sums: BTreeMap<i64, Option<f64>> = BTreeMap::new();
    for point in all.iter().filter(|one| others.contains(&one.name)).flat_map(|one| &one.points) {
        let sum = sums.entry(point.time).or_default();
        if let Some(value) = point.value {
            *sum = Some((sum.unwrap_or(0.0) + value).clamp(f64::MIN, f64::MAX));
        }
    }
    series.push(Series {
        name: format!("{} others", others.len()),
        column: all[0].column,
        colour: crate::theme::SERIES,
        points: sums.into_iter().map(|(time, value)| Point { time, value }).collect(),
    });
    others
}

/// The different times of all series, sorted.
pub(crate) fn times(series: &[Series]) -> Vec<i64> {
    let mut times: Vec<_> = series.iter().flat_map(|one| one.points.iter().map(|point| point.time)).collect();
    times.sort_unstable();
    times.dedup();
    times
}

/// The shortest distance between sorted, different times.
pub(crate) fn shortest(times: &[i64]) -> i64 {
    times.windows(2).map(|pair| clamped(between(pair[0], pair[1]))).min().unwrap_or(0)
}

impl Skipped {
    /// Sentences about what is not drawn.
    pub(crate) fn notes(self, locale: Locale) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |count: usize, one: &str, many: &str| match count {
            0 => {}
            1 => notes.push(format!("1 {one}.")),
            _ => notes.push(format!("{} {many}.", number::count(count, locale))),
        };
        note(
            self.not_finite,
            "value is no finite number and is not drawn",
            "values are no finite numbers and are not drawn",
        );
        note(self.without_time, "row has no time and is not drawn", "rows have no time and are not drawn");
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choose::tests::data;

    #[test]
    fn rows_become_series_in_the_order_of_the_type() {
        let data = data(
            &["day date", "level enum low|high", "n numeric"],
            &[
                &["2026-01-02", "high", "4"],
                &["2026-01-01", "high", "3"],
                &["2026-01-01", "low", "-"],
                &["2026-01-02", "low", "NaN"],
                &["infinity", "low", "1"],
            ],
        );
        let (series, skipped) = over_time(&Shape::of(&data), 0, &[1], &[2]);
        assert_eq!(series.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["low", "high"]);
        assert_eq!(series[1].values().collect::<Vec<_>>(), [3.0, 4.0], "sorted by time");
        assert_eq!(skipped, Skipped { nulls: 1, not_finite: 1, without_time: 1 });
        assert_eq!(skipped.notes(Locale::default())[1], "1 row has no time and is not drawn.");
    }

    #[test]
    fn the_largest_series_are_kept() {
        let one = |name: &str, value| Series {
            name: name.to_owned(),
            column: 0,
            colour: 0,
            points: vec![Point { time: 0, value: Some(value) }],
        };
        let mut series = vec![one("a", 1.0), one("b", -9.0), one("c", 5.0)];
        let mut merged = series.clone();
        assert_eq!(merge_smallest(&mut merged, 2), ["a", "c"]);
        assert_eq!((merged[1].name.as_str(), merged[1].points[0].value), ("2 others", Some(6.0)));
        assert_eq!(keep_largest(&mut series, 2), ["a"]);
        assert_eq!(series.iter().map(|one| (one.name.as_str(), one.colour)).collect::<Vec<_>>(), [("b", 0), ("c", 1)]);
    }
}
