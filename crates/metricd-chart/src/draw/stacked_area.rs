//! Areas on top of each other.

use std::collections::HashMap;

use super::plot::Lines;
use crate::scale::{NumberScale, TimeScale};
use crate::series::{Point, Series, times};
use crate::svg::Svg;

/// The upper edge of each area: the sum of its series and those below. A series without a value at a time adds nothing;
/// a time without any value is a gap.
pub(crate) fn totals(series: &[Series]) -> Vec<Series> {
    let times = times(series);
    let mut sums: Vec<f64> = vec![0.0; times.len()];
    let mut is_known = vec![false; times.len()];
    let by_time: Vec<HashMap<i64, f64>> = series
        .iter()
        .map(|one| one.points.iter().filter_map(|point| Some((point.time, point.value?))).collect())
        .collect();
    for values in &by_time {
        for (index, time) in times.iter().enumerate() {
            is_known[index] |= values.contains_key(time);
        }
    }
    let edge = |one: &Series, sums: &[f64]| {
        let point = |(index, time): (usize, &i64)| Point { time: *time, value: is_known[index].then_some(sums[index]) };
        Series { points: times.iter().enumerate().map(point).collect(), ..one.clone() }
    };
    let mut edges = Vec::with_capacity(series.len());
    for (one, values) in series.iter().zip(&by_time) {
        for (sum, time) in sums.iter_mut().zip(&times) {
            *sum = (*sum + values.get(time).copied().unwrap_or(0.0)).min(f64::MAX);
        }
        edges.push(edge(one, &sums));
    }
    edges
}

/// Draws the areas between the edges, and the topmost edge as a line.
pub(crate) fn stacked(
    svg: &mut Svg,
    lines: &Lines,
    series: &[Series],
    totals: &[Series],
    scales: (&TimeScale, &NumberScale),
) {
    for (index, (one, upper)) in series.iter().zip(totals).enumerate() {
        let lower: Vec<Point> = match index.checked_sub(1).and_then(|below| totals.get(below)) {
            Some(below) => below.points.clone(),
            None => upper.points.iter().map(|point| Point { value: point.value.map(|_| 0.0), ..*point }).collect(),
        };
        lines.area(svg, one.colour, (&upper.points, &lower), "over", scales);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_value_adds_nothing_and_a_missing_time_is_a_gap() {
        let one = |values: &[(i64, Option<f64>)]| Series {
            name: String::new(),
            column: 0,
            colour: 0,
            points: values.iter().map(|(time, value)| Point { time: *time, value: *value }).collect(),
        };
        let edges = totals(&[one(&[(0, Some(1.0)), (1, Some(2.0)), (2, None)]), one(&[(0, Some(3.0)), (2, None)])]);
        let values = |series: &Series| series.points.iter().map(|point| point.value).collect::<Vec<_>>();
        assert_eq!(values(&edges[0]), [Some(1.0), Some(2.0), None]);
        assert_eq!(values(&edges[1]), [Some(4.0), Some(2.0), None]);
    }
}
