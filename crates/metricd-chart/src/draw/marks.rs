//! What is said about times: annotations, the edge of a cut result, the end of an incomplete period.

use super::clock::Clock;
use crate::frame::Sheet;
use crate::number;
use crate::scale::TimeScale;
use crate::svg::{Anchor, Svg};
use crate::text::{self, SMALL};

/// How many rows of texts are above a plot.
const MAX_ROWS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Rule,
    Band(f64),
    Edge,
    Text,
}

#[derive(Debug)]
struct Mark {
    x: f64,
    shape: Shape,
    text: String,
    row: usize,
    anchor: Anchor,
    span: [f64; 2],
}

/// The marks of a plot.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    placed: Vec<Mark>,
    unplaced: Vec<String>,
}

/// At which end of time the result was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutAt {
    Start,
    End,
}

/// The text at the edge of a cut result.
pub(crate) fn cut_text(rows: usize, sheet: &Sheet) -> String {
    format!("first {} of more", number::count(rows, sheet.options.locale))
}

impl Marks {
    /// Places the marks of a plot from right to left, so that no rule crosses a text.
    pub(crate) fn place(
        sheet: &Sheet,
        clock: &Clock,
        scale: &TimeScale,
        cut: Option<(CutAt, usize)>,
        last: i64,
    ) -> Self {
        let mut wanted: Vec<(f64, Shape, String)> = Vec::new();
        for annotation in &sheet.options.annotations {
            let to = annotation.to.filter(|to| *to > annotation.from);
            if annotation.from > scale.high || to.unwrap_or(annotation.from) < scale.low {
                continue;
            }
            let shape = to.map_or(Shape::Rule, |to| Shape::Band(scale.at(to)));
            wanted.push((scale.at(annotation.from), shape, text::clean(&annotation.text)));
        }
        if let Some((at, rows)) = cut {
            let x = scale.at(if at == CutAt::End { scale.high } else { scale.low });
            wanted.push((x, Shape::Edge, cut_text(rows, sheet)));
        }
        if let Some(until) = sheet.options.until {
            wanted.push((scale.at(last), Shape::Text, format!("until {}", clock.short(until, last))));
        }
        // Edges and ends come last, above the annotations, whose rules their texts would cross.
        let is_end = |shape: Shape| matches!(shape, Shape::Edge | Shape::Text);
        wanted.sort_by(|left, right| is_end(left.1).cmp(&is_end(right.1)).then(right.0.total_cmp(&left.0)));
        let mut marks = Self::default();
        for (x, shape, text) in wanted {
            if !marks.add(x, shape, &text, [sheet.left, sheet.right]) {
                marks.unplaced.push(text);
            }
        }
        marks
    }

    fn add(&mut self, x: f64, shape: Shape, full: &str, [left, right]: [f64; 2]) -> bool {
        let offset = if shape == Shape::Text { 0.0 } else { 5.0 };
        let (after, before) = ((right - x - offset).max(0.0), (x - offset - left).max(0.0));
        let is_after = shape != Shape::Text && (text::width(full, SMALL) <= after || after >= before);
        let text = text::cut(full, if is_after { after } else { before }.min(260.0), SMALL);
        let width = text::width(&text, SMALL);
        let span = if is_after { [x, x + offset + width] } else { [x - offset - width, x] };
        let row = (0..MAX_ROWS).find(|row| {
            self.placed.iter().all(|other| {
                let apart = other.span[0] > span[1] + 8.0 || other.span[1] + 8.0 < span[0];
                let crosses = other.row < *row && (other.span[0]..=other.span[1]).contains(&x) && shape != Shape::Text;
                (other.row != *row || apart) && !crosses
            })
        });
        let Some(row) = row else { return false };
        let anchor = if is_after { Anchor::Start } else { Anchor::End };
        self.placed.push(Mark { x, shape, text, row, anchor, span });
        true
    }

    /// The height that the texts need above a plot.
    pub(crate) fn height(&self) -> f64 {
        self.placed.iter().map(|mark| mark.row + 1).max().map_or(0.0, |rows| Sheet::rows(rows) + 2.0)
    }

    /// Draws what lies behind the lines of a plot. The texts are above `top`, if this plot has them.
    pub(crate) fn draw(&self, svg: &mut Svg, top: f64, bottom: f64, with_texts: bool) {
        for mark in &self.placed {
            let baseline = top - 5.0 - Sheet::rows(mark.row);
            let head = if with_texts { baseline - 9.0 } else { top };
            match mark.shape {
                Shape::Band(end) => {
                    svg.rect("band", [mark.x, top, (end - mark.x).max(0.0), bottom - top], None);
                    svg.line("rule", [mark.x, head], [mark.x, bottom]);
                }
                Shape::Rule => svg.line("rule", [mark.x, head], [mark.x, bottom]),
                Shape::Edge => svg.line("edge", [mark.x, head], [mark.x, bottom]),
                Shape::Text => {}
            }
            if with_texts {
                let offset = match (mark.shape, mark.anchor) {
                    (Shape::Text, _) => 0.0,
                    (_, Anchor::Start) => 5.0,
                    _ => -5.0,
                };
                svg.text(
                    if mark.shape == Shape::Text || mark.shape == Shape::Edge { "dim" } else { "ink" },
                    mark.anchor,
                    [mark.x + offset, baseline],
                    &mark.text,
                );
            }
        }
    }

    /// Notes for marks without space.
    pub(crate) fn note(&self, sheet: &mut Sheet) {
        if !self.unplaced.is_empty() {
            let texts: Vec<_> =
                self.unplaced.iter().rev().map(|text| text::isolated(&text::cut(text, 200.0, SMALL))).collect();
            sheet.note(format!("More annotations: {}.", texts.join("; ")));
        }
        for mark in &self.placed {
            if matches!(mark.shape, Shape::Rule | Shape::Band(_)) {
                sheet.fact(format!("Annotation: {}.", text::isolated(&mark.text)));
            }
        }
    }
}
