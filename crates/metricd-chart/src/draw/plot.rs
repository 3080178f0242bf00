//! The lines and areas of one panel.

use super::clock::Clock;
use crate::gaps::Step;
use crate::reduce::{column_for, reduce};
use crate::scale::{NumberScale, TimeScale};
use crate::series::{Point, Series};
use crate::svg::{Anchor, Path, Svg};
use crate::text::{SMALL, cut, width};
use crate::theme::{fill, stroke};

/// The space between the labels of an axis and its plot.
const AXIS_GAP: f64 = 8.0;

/// The rectangle of a panel's marks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plot {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
}

/// What the lines of all panels share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines<'c> {
    pub(crate) clock: &'c Clock<'c>,
    pub(crate) step: Step,
    /// The shortest distance between two times.
    pub(crate) shortest: i64,
    /// How many lines the whole drawing has.
    pub(crate) count: usize,
    /// The last time, if its period is incomplete.
    pub(crate) incomplete: Option<i64>,
}

/// The space that the labels of an axis need, at most half of all.
pub(crate) fn axis_width(scale: &NumberScale, space: f64) -> f64 {
    let widest = scale.ticks.iter().map(|tick| width(&tick.label, SMALL)).fold(0.0, f64::max);
    (widest + AXIS_GAP).min(space / 2.0)
}

/// Draws the lines of the ticks, with labels from `labels_from` on.
pub(crate) fn grid(svg: &mut Svg, scale: &NumberScale, plot: Plot, labels_from: Option<f64>) {
    for tick in &scale.ticks {
        let y = scale.at(tick.value);
        let class = if tick.value == 0.0 { "axis" } else { "grid" };
        svg.line(class, [plot.left, y], [plot.right, y]);
        if let Some(from) = labels_from {
            let x = plot.left - AXIS_GAP;
            svg.text("dim", Anchor::End, [x, y + 4.0], &cut(&tick.label, x - from + 0.1, SMALL));
        }
    }
}

impl Lines<'_> {
    /// Points without a gap between them.
    fn runs<'p>(&self, points: &'p [Point]) -> Vec<&'p [Point]> {
        let by_value = points.chunk_by(|left, right| left.value.is_some() == right.value.is_some());
        let valued = by_value.filter(|run| run.first().is_some_and(|point| point.value.is_some()));
        let is_joined = |left: &Point, right: &Point| self.step.missing(left.time, right.time, &self.clock.zone) == 0;
        valued.flat_map(|run| run.chunk_by(is_joined)).collect()
    }

    /// How many gaps points have.
    pub(crate) fn gaps(&self, points: &[Point]) -> usize {
        self.runs(points).len().saturating_sub(1)
    }

    fn placed(run: &[Point], time: &TimeScale, numbers: &NumberScale) -> Vec<[f64; 2]> {
        run.iter().filter_map(|point| Some([time.at(point.time), numbers.at(point.value?)])).collect()
    }

    /// Draws the line of a series, with its last part dashed if the period is incomplete.
    pub(crate) fn line(
        &self,
        svg: &mut Svg,
        series: &Series,
        time: &TimeScale,
        numbers: &NumberScale,
        class: Option<&str>,
    ) {
        let column = column_for(self.count, time.pixels());
        let (mut path, mut dashed, mut dots) = (Path::default(), Path::default(), Path::default());
        let colour = stroke(series.colour);
        let class = class.unwrap_or(&colour);
        let mut open = None;
        for run in self.runs(&series.points) {
            let points = Self::placed(run, time, numbers);
            let ends_open = run.last().is_some_and(|point| Some(point.time) == self.incomplete);
            match (points.as_slice(), ends_open) {
                ([.., last], true) if points.len() == 1 => open = Some(*last),
                ([only], false) => dots.dot(*only),
                ([complete @ .., before, last], true) => {
                    if !complete.is_empty() {
                        path.through(&reduce(&points[..points.len() - 1], column));
                    }
                    dashed.through(&[*before, *last]);
                    open = Some(*last);
                }
                _ => path.through(&reduce(&points, column)),
            }
        }
        let is_dense = crate::math::real(series.points.len()) * 2.0 > time.pixels();
        svg.path(&format!("l {class}{}", if is_dense { " thin" } else { "" }), &path);
        svg.path(&format!("l {class} dash"), &dashed);
        svg.path(&format!("dots {class}"), &dots);
        if let Some(point) = open {
            svg.circle(&format!("background {class}"), point, 2.5);
        }
    }

    /// Fills between two edges of equal length, without the gaps.
    pub(crate) fn area(
        &self,
        svg: &mut Svg,
        colour: usize,
        edges: (&[Point], &[Point]),
        class: &str,
        scales: (&TimeScale, &NumberScale),
    ) {
        let (time, numbers) = scales;
        let column = column_for(self.count * 2, time.pixels());
        let mut path = Path::default();
        let mut start = 0;
        let (upper, lower) = edges;
        for run in self.runs(upper) {
            let offset = upper[start..].iter().position(|point| point == &run[0]).unwrap_or(0) + start;
            start = offset + run.len();
            let below = lower.get(offset..start).unwrap_or(run);
            let mut outline = reduce(&Self::placed(run, time, numbers), column);
            if let [only] = outline.as_slice() {
                let [x, y] = *only;
                outline = vec![[(x - 1.0).max(0.0), y], [x + 1.0, y]];
                let base = Self::placed(below, time, numbers).first().map_or(y, |point| point[1]);
                outline.extend([[x + 1.0, base], [(x - 1.0).max(0.0), base]]);
            } else {
                let mut base = reduce(&Self::placed(below, time, numbers), column);
                base.reverse();
                outline.append(&mut base);
            }
            path.through(&outline);
            path.close();
        }
        svg.path(&format!("{class} {}", fill(colour)), &path);
    }
}
