//! The choice of a chart by the columns and rows of a result.

use crate::data::ChartData;
use crate::kind::ChartKind;
use crate::roles::{MAX_NUMBERS, fit};
use crate::shape::Shape;

/// The most lines of one chart, as small multiples.
pub(crate) const MAX_PANELS: usize = 24;

/// A row of the table in `docs/charts.md`.
struct Rule {
    /// What the result has.
    when: &'static str,
    kind: ChartKind,
    applies: fn(&Shape) -> bool,
}

/// The first rule that applies, and whose kind fits the columns, decides.
const RULES: [Rule; 10] = [
    Rule {
        when: "one row with 1 to 4 numbers",
        kind: ChartKind::Number,
        applies: |shape| shape.rows() == 1 && shape.numbers.len() <= MAX_NUMBERS,
    },
    Rule {
        when: "columns named `weekday` and `hour`, and a number",
        kind: ChartKind::HeatMap,
        applies: |shape| shape.times.is_empty() && shape.labels.len() == 2,
    },
    Rule {
        when: "time, numbers, no labels; each time once",
        kind: ChartKind::Line,
        applies: |shape| {
            shape.labels.is_empty() && shape.times.first().is_some_and(|time| !shape.repeats_times(*time, &[]))
        },
    },
    Rule {
        when: "time, numbers, no labels; times repeat",
        kind: ChartKind::Scatter,
        applies: |shape| shape.labels.is_empty() && !shape.times.is_empty(),
    },
    Rule {
        when: "time that is the same in all rows, labels, numbers",
        kind: ChartKind::Bars,
        applies: |shape| shape.rows() > 1 && shape.times.first().is_some_and(|time| shape.distinct_times(*time) == 1),
    },
    Rule {
        when: "time, one or two columns of labels, a number; each time once for a label; at most 24 labels, or three rows for each",
        kind: ChartKind::Line,
        applies: |shape| {
            let distinct = shape.distinct(&shape.labels);
            (1..=2).contains(&shape.labels.len())
                && (distinct <= MAX_PANELS || distinct * 3 <= shape.rows())
                && shape.times.first().is_some_and(|time| !shape.repeats_times(*time, &shape.labels))
        },
    },
    Rule {
        when: "one column of labels, numbers, no time; each label once",
        kind: ChartKind::Bars,
        applies: |shape| shape.times.is_empty() && shape.labels.len() == 1,
    },
    Rule {
        when: "two columns of labels, a number that is no share and never negative, no time; each pair once",
        kind: ChartKind::StackedBars,
        applies: |shape| {
            shape.times.is_empty()
                && shape.labels.len() == 2
                && shape
                    .numbers
                    .first()
                    .is_some_and(|number| shape.unit(*number) != Some("%") && !shape.has_negative(&[*number]))
        },
    },
    Rule {
        when: "two numbers, no time, no labels",
        kind: ChartKind::Scatter,
        applies: |shape| shape.times.is_empty() && shape.labels.is_empty(),
    },
    Rule { when: "anything else", kind: ChartKind::Table, applies: |_| true },
];

/// The table of [`choose`]: what a result has, and the kind that shows it. The first row that applies decides.
pub fn rules() -> impl Iterator<Item = (&'static str, ChartKind)> {
    RULES.iter().map(|rule| (rule.when, rule.kind))
}

/// A kind of chart, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choice {
    /// The kind.
    pub kind: ChartKind,
    /// Why, such as "`day` is time".
    pub because: String,
    /// The other kinds that fit, and why, in the order of [`ChartKind::ALL`].
    pub alternatives: Vec<(ChartKind, String)>,
}

/// A kind of chart does not fit the columns of a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{needs}")]
pub struct UnfitKind {
    /// The kind.
    pub kind: ChartKind,
    /// What it needs, as a sentence without a full stop.
    pub needs: String,
}

impl Choice {
    /// The reason in one line, such as "a line, because `day` is time".
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{}, because {}", self.kind.phrase(), self.because)
    }
}

/// Chooses the kind of chart for a result by the table in `docs/charts.md`.
///
/// ```
/// use metricd_chart::{ChartColumn, ChartData, ChartKind, ColumnType, choose};
///
/// let data = ChartData::new(vec![
///     ChartColumn::new("day", ColumnType::Date),
///     ChartColumn::new("alerts", ColumnType::Number),
/// ]);
/// let choice = choose(&data);
/// assert_eq!(choice.kind, ChartKind::Line);
/// assert_eq!(choice.sentence(), "a line, because `day` is time");
/// ```
#[must_use]
pub fn choose(data: &ChartData) -> Choice {
    let shape = Shape::of(data);
    let chosen = RULES.iter().find_map(|rule| {
        let applies = (rule.applies)(&shape);
        let fit = if applies { fit(rule.kind, &shape).ok() } else { None };
        fit.map(|fit| (rule.kind, fit.because))
    });
    match chosen {
        Some((kind, because)) if kind != ChartKind::Table => with_alternatives(&shape, kind, because),
        _ => with_alternatives(&shape, ChartKind::Table, why_a_table(&shape)),
    }
}

/// Chooses a kind by request instead of by the table.
///
/// # Errors
///
/// [`UnfitKind`] if the columns do not fit. It says what the kind needs.
///
/// ```
/// use metricd_chart::{ChartColumn, ChartData, ChartKind, ColumnType, choose_kind};
///
/// let data = ChartData::new(vec![ChartColumn::new("day", ColumnType::Date)]);
/// let error = choose_kind(&data, ChartKind::Line).unwrap_err();
/// assert_eq!(error.to_string(), "a line needs a column of numbers");
/// ```
pub fn choose_kind(data: &ChartData, kind: ChartKind) -> Result<Choice, UnfitKind> {
    let shape = Shape::of(data);
    fit(kind, &shape).map_err(|needs| UnfitKind { kind, needs })?;
    Ok(with_alternatives(&shape, kind, "it was requested".to_owned()))
}

fn with_alternatives(shape: &Shape, kind: ChartKind, because: String) -> Choice {
    let others = ChartKind::ALL.into_iter().filter(|other| *other != kind);
    let alternatives = others.filter_map(|other| Some((other, fit(other, shape).ok()?.because))).collect();
    Choice { kind, because, alternatives }
}

fn why_a_table(shape: &Shape) -> String {
    if shape.numbers.is_empty() {
        return "no column has numbers".to_owned();
    }
    if shape.labels.is_empty() && shape.times.is_empty() {
        return format!("{} has no time, label or second number next to it", shape.names(&shape.numbers[..1]));
    }
    if shape.labels.len() > 2 {
        return format!("{} are more than two columns of labels", shape.names(&shape.labels));
    }
    let all = shape.labels.clone();
    match shape.times.first() {
        Some(time) if shape.repeats_times(*time, &all) => {
            format!("a {} comes several times with the same {}", shape.name(*time), shape.names(&all))
        }
        Some(_) => format!("{} has {} labels, few of them more than once", shape.names(&all), shape.distinct(&all)),
        None if shape.repeated(&all).is_some() => format!("labels of {} repeat", shape.names(&all)),
        None => format!("{} does not add up to a whole", shape.name(shape.numbers[0])),
    }
}

#[cfg(test)]
pub(crate) mod tests;
