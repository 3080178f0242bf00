//! Which columns a kind of chart draws, and whether they fit.

use crate::data::ColumnType;
use crate::kind::ChartKind;
use crate::shape::Shape;

/// The most numbers of one row that are drawn large.
pub(crate) const MAX_NUMBERS: usize = 4;

/// The most columns of numbers that bars have side by side.
pub(crate) const MAX_BAR_COLUMNS: usize = 4;

/// The most stacked bars.
pub(crate) const MAX_STACKS: usize = 400;

/// Names of columns with days of the week, and of columns with hours.
const WEEKDAYS: [&str; 4] = ["weekday", "dow", "isodow", "day_of_week"];
const HOURS: [&str; 2] = ["hour", "hour_of_day"];

/// Where stacked bars stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    Time(usize),
    Label(usize),
}

/// Where a heat map takes weekdays and hours from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeatSource {
    Columns { weekday: usize, hour: usize },
    Time(usize),
}

/// The columns that a chart draws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Roles {
    Number { values: Vec<usize>, labels: Vec<usize> },
    Lines { time: usize, by: Vec<usize>, values: Vec<usize> },
    Bars { label: usize, values: Vec<usize> },
    Stacks { at: Position, by: Vec<usize>, values: Vec<usize> },
    Scatter { x: usize, y: usize, by: Option<usize> },
    HeatMap { source: HeatSource, value: usize },
    Table,
}

/// The columns of a chart, and what makes them fit.
#[derive(Debug)]
pub(crate) struct Fit {
    pub(crate) roles: Roles,
    pub(crate) because: String,
}

type Fitting = Result<Fit, String>;

/// The columns that a kind draws.
///
/// # Errors
///
/// What the kind needs and the result does not have.
pub(crate) fn fit(kind: ChartKind, shape: &Shape) -> Fitting {
    match kind {
        ChartKind::Number => number(shape),
        ChartKind::Line => line(shape),
        ChartKind::Area => area(shape),
        ChartKind::Bars => bars(shape),
        ChartKind::StackedBars => stacks(shape),
        ChartKind::Scatter => scatter(shape),
        ChartKind::HeatMap => heat_map(shape),
        ChartKind::Table => Ok(Fit { roles: Roles::Table, because: "a table shows every column".to_owned() }),
    }
}

fn is_or_are(shape: &Shape, columns: &[usize], what: &str, whats: &str) -> String {
    if columns.len() == 1 {
        format!("{} is {what}", shape.name(columns[0]))
    } else {
        format!("{} are {whats}", shape.names(columns))
    }
}

fn number(shape: &Shape) -> Fitting {
    if shape.numbers.is_empty() {
        return Err("a number needs a column of numbers".to_owned());
    }
    if shape.rows() > 1 {
        return Err(format!("a number needs a result of one row: this one has {}", shape.rows()));
    }
    let values = shape.numbers.iter().copied().take(MAX_NUMBERS).collect();
    let labels = shape.times.iter().chain(&shape.labels).copied().collect();
    Ok(Fit { roles: Roles::Number { values, labels }, because: "the result has one row".to_owned() })
}

/// The columns of lines: with labels, the first number of each label; without, every number.
fn over_time(shape: &Shape, kind: ChartKind) -> Result<(usize, Vec<usize>, Vec<usize>), String> {
    let needs = |what: &str| {
        Err(format!("{} {} {what}", kind.phrase(), if kind == ChartKind::StackedBars { "need" } else { "needs" }))
    };
    let Some(&time) = shape.times.first() else {
        return needs("a column of time: a date, a timestamp or a year");
    };
    let Some(&first) = shape.numbers.first() else {
        return needs("a column of numbers");
    };
    let values = if shape.labels.is_empty() { shape.numbers.clone() } else { vec![first] };
    Ok((time, shape.labels.clone(), values))
}

fn line(shape: &Shape) -> Fitting {
    let (time, by, values) = over_time(shape, ChartKind::Line)?;
    let because = is_or_are(shape, &[time], "time", "time");
    Ok(Fit { roles: Roles::Lines { time, by, values }, because })
}

fn same_unit(shape: &Shape, values: &[usize]) -> bool {
    values.iter().all(|value| shape.unit(*value) == shape.unit(values[0]))
}

fn area(shape: &Shape) -> Fitting {
    let (time, by, values) = over_time(shape, ChartKind::Area)?;
    let is_stacked = values.len() > 1 || !by.is_empty();
    if is_stacked && !same_unit(shape, &values) {
        return Err(format!("an area needs numbers of one unit: {} have several", shape.names(&values)));
    }
    if is_stacked && shape.has_negative(&values) {
        return Err(format!("a stacked area needs numbers of at least 0: {} has negative ones", shape.names(&values)));
    }
    let because = if is_stacked {
        format!("{} is time and the parts make a whole", shape.name(time))
    } else {
        format!("{} is time and {} is an amount", shape.name(time), shape.names(&values))
    };
    Ok(Fit { roles: Roles::Lines { time, by, values }, because })
}

fn bars(shape: &Shape) -> Fitting {
    if shape.numbers.is_empty() {
        return Err("bars need a column of numbers".to_owned());
    }
    let same_time = shape.times.first().is_none_or(|time| shape.distinct_times(*time) <= 1);
    match (shape.times.first(), shape.labels.as_slice()) {
        (_, [label]) if same_time => {
            if let Some((repeated, count)) = shape.repeated(&[*label]) {
                let repeated = crate::text::isolated(&metricd_domain::shortened(&repeated, 64));
                return Err(format!(
                    "bars need each label once: `{repeated}` comes {count} times in {}",
                    shape.name(*label)
                ));
            }
            let values = shape.numbers.iter().copied().take(MAX_BAR_COLUMNS).collect();
            let category = is_or_are(shape, &[*label], "a category", "categories");
            let because = match shape.times.first() {
                Some(time) if shape.rows() > 0 => format!("all rows have one {}, and {category}", shape.name(*time)),
                _ => category,
            };
            Ok(Fit { roles: Roles::Bars { label: *label, values }, because })
        }
        (Some(&time), []) => {
            let at = Position::Time(time);
            check_stacks(shape, at, &[])?;
            let because =
                format!("{} is time and {} is counted from zero", shape.name(time), shape.name(shape.numbers[0]));
            Ok(Fit { roles: Roles::Stacks { at, by: vec![], values: vec![shape.numbers[0]] }, because })
        }
        (None, []) => Err("bars need a column of labels, such as a text or an enum".to_owned()),
        (_, [_]) => Err("bars need one value for each label: this result has several times".to_owned()),
        (_, labels) => Err(format!("bars need one column of labels: {} are {}", shape.names(labels), labels.len())),
    }
}

/// Whether stacked bars have one value for each position and part, and are few enough.
fn check_stacks(shape: &Shape, at: Position, by: &[usize]) -> Result<(), String> {
    let (count, repeats, name) = match at {
        Position::Time(time) => (shape.distinct_times(time), shape.repeats_times(time, by), shape.name(time)),
        Position::Label(label) => {
            let all: Vec<_> = std::iter::once(label).chain(by.iter().copied()).collect();
            (shape.distinct(&[label]), shape.repeated(&all).is_some(), shape.names(&all))
        }
    };
    if count > MAX_STACKS {
        return Err(format!("bars need at most {MAX_STACKS} positions: {name} has {count}"));
    }
    if repeats {
        return Err(format!("bars need one value for each position: {name} comes several times"));
    }
    Ok(())
}

fn stacks(shape: &Shape) -> Fitting {
    if !shape.times.is_empty() {
        let (time, by, values) = over_time(shape, ChartKind::StackedBars)?;
        if by.is_empty() && values.len() < 2 {
            return Err("stacked bars need parts: a column of labels, or several columns of numbers".to_owned());
        }
        return stacked(shape, Position::Time(time), by, values, &format!("{} is time", shape.name(time)));
    }
    let Some(&first) = shape.numbers.first() else {
        return Err("stacked bars need a column of numbers".to_owned());
    };
    match shape.labels.as_slice() {
        [one, other] => {
            let (one, other) = (*one, *other);
            let (at, by) = if shape.distinct(&[one]) >= shape.distinct(&[other]) { (one, other) } else { (other, one) };
            let because = is_or_are(shape, &[one, other], "a category", "categories");
            stacked(shape, Position::Label(at), vec![by], vec![first], &because)
        }
        [label] if shape.numbers.len() > 1 => {
            let label = *label;
            let because = is_or_are(shape, &[label], "a category", "categories");
            stacked(shape, Position::Label(label), vec![], shape.numbers.clone(), &because)
        }
        _ => Err("stacked bars need two columns of labels, or one and several columns of numbers".to_owned()),
    }
}

fn stacked(shape: &Shape, at: Position, by: Vec<usize>, values: Vec<usize>, because: &str) -> Fitting {
    if !same_unit(shape, &values) {
        return Err(format!("stacked bars need numbers of one unit: {} have several", shape.names(&values)));
    }
    check_stacks(shape, at, &by)?;
    let because = format!("{because}, and the parts make a whole");
    Ok(Fit { roles: Roles::Stacks { at, by, values }, because })
}

fn scatter(shape: &Shape) -> Fitting {
    let by = shape.labels.iter().copied().find(|label| shape.distinct(&[*label]) * 2 <= shape.rows());
    match (shape.times.first(), shape.numbers.as_slice()) {
        (Some(&x), &[y, ..]) => {
            let repeats = if shape.repeats_times(x, &[]) { " and has several values at once" } else { "" };
            Ok(Fit { roles: Roles::Scatter { x, y, by }, because: format!("{} is time{repeats}", shape.name(x)) })
        }
        (None, &[x, y, ..]) => {
            Ok(Fit { roles: Roles::Scatter { x, y, by }, because: is_or_are(shape, &[x, y], "a number", "numbers") })
        }
        _ => Err("points need two columns of numbers, or one of time and one of numbers".to_owned()),
    }
}

fn heat_map(shape: &Shape) -> Fitting {
    let Some(&value) = shape.numbers.first() else {
        return Err("a heat map needs a column of numbers".to_owned());
    };
    if let (Some(weekday), Some(hour)) = (shape.named(&WEEKDAYS), shape.named(&HOURS)) {
        let because = format!("{} is a weekday and {} an hour", shape.name(weekday), shape.name(hour));
        return Ok(Fit { roles: Roles::HeatMap { source: HeatSource::Columns { weekday, hour }, value }, because });
    }
    let with_clock = |column: &&usize| {
        matches!(shape.data.columns()[**column].column_type, ColumnType::Instant | ColumnType::Timestamp)
    };
    match shape.times.iter().find(with_clock) {
        Some(&time) => {
            let because = format!("{} has hours of days", shape.name(time));
            Ok(Fit { roles: Roles::HeatMap { source: HeatSource::Time(time), value }, because })
        }
        None => Err("a heat map needs a timestamp, or columns named `weekday` and `hour`".to_owned()),
    }
}

impl Roles {
    /// The columns that are not drawn.
    pub(crate) fn unused(&self, shape: &Shape) -> Vec<usize> {
        let mut used: Vec<usize> = Vec::new();
        match self {
            Self::Number { values, labels } => used.extend(values.iter().chain(labels)),
            Self::Lines { time, by, values } => used.extend(std::iter::once(time).chain(by).chain(values)),
            Self::Bars { label, values } => {
                used.extend(std::iter::once(label).chain(values));
                // The one time that all rows have is drawn as a note.
                used.extend(shape.times.first());
            }
            Self::Stacks { at: Position::Time(at) | Position::Label(at), by, values } => {
                used.extend(std::iter::once(at).chain(by).chain(values));
            }
            Self::Scatter { x, y, by } => used.extend([x, y].into_iter().chain(by)),
            Self::HeatMap { source, value } => {
                used.push(*value);
                match source {
                    HeatSource::Columns { weekday, hour } => used.extend([weekday, hour]),
                    HeatSource::Time(time) => used.push(*time),
                }
            }
            Self::Table => return vec![],
        }
        (0..shape.data.columns().len()).filter(|column| !used.contains(column)).collect()
    }
}
