//! Bars of several parts: upright over time or for few labels, else horizontal.

mod columns;

use std::collections::{BTreeMap, HashMap};

use super::bars::{HORIZONTAL_FROM, MAX_BARS, ROW, THICKNESS, area_legend};
use super::clock::Clock;
use super::describe;
use crate::frame::Sheet;
use crate::math::real;
use crate::number;
use crate::roles::Position;
use crate::scale::NumberScale;
use crate::series::extent;
use crate::shape::{LabelOrder, Rank, Shape, finite};
use crate::svg::Anchor;
use crate::text::{self, SMALL, width};
use crate::theme::SERIES;

/// Where a bar stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Place {
    Time(i64),
    Label(Rank),
}

/// A part of all bars.
#[derive(Debug, Clone)]
pub(super) struct Part {
    name: String,
    colour: usize,
    total: f64,
}

/// A rectangle of a bar in values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    part: usize,
    from: f64,
    to: f64,
}

/// Stacked bars.
pub(super) struct Stacks {
    parts: Vec<Part>,
    bars: Vec<(Place, Vec<Segment>)>,
    decimals: usize,
    low: f64,
    high: f64,
}

type Values = BTreeMap<Place, HashMap<usize, f64>>;

pub(crate) fn draw(sheet: &mut Sheet, shape: &Shape, at: Position, by: &[usize], values: &[usize]) {
    let (mut parts, mut places, skipped) = read(shape, at, by, values);
    if places.is_empty() || parts.is_empty() {
        sheet.message("No values: all are NULL, or no finite numbers.");
        return;
    }
    facts(sheet, shape, at, values, (&parts, &places));
    let others = merge_others(&mut parts, &mut places);
    let order = matches!(by, [label] if shape.order(*label) == LabelOrder::Own);
    let stacks = stack(&parts, &places, order || (by.is_empty() && values.len() > 1));
    match at {
        Position::Time(time) => {
            let clock = Clock::of(shape, time, sheet.options);
            legend(sheet, shape, &stacks, values);
            columns::over_time(
                sheet,
                &stacks,
                &clock,
                sheet.options.is_truncated.then(|| (super::lines::cut_at(shape, time), shape.rows())),
            );
            if let Some(note) = clock.note {
                sheet.note(note);
            }
        }
        Position::Label(label) => by_label(sheet, shape, stacks, label, values),
    }
    sheet.note_named(&others, "drawn as their sum");
    if skipped > 0 {
        let verb = if skipped == 1 { "is" } else { "are" };
        sheet.note(format!(
            "{} {verb} NULL or no finite number, and not drawn.",
            describe::counted(skipped, "value", "values", sheet)
        ));
    }
}

/// The parts in the order of their names, the values of each place, and how many values have neither.
fn read(shape: &Shape, at: Position, by: &[usize], values: &[usize]) -> (Vec<Part>, Values, usize) {
    let mut keys: BTreeMap<(usize, Vec<Rank>), usize> = BTreeMap::new();
    let mut cells = Vec::new();
    let mut skipped = 0;
    for row in shape.data.rows() {
        let place = match at {
            Position::Time(time) => Shape::time(row, time).map(Place::Time),
            Position::Label(label) => row.get(label).map(|cell| Place::Label(shape.rank(cell, label))),
        };
        for value in values {
            let number = row.get(*value).and_then(finite).map(|number| number.value);
            let (Some(place), Some(number)) = (place.clone(), number) else {
                skipped += 1;
                continue;
            };
            let ranks = by.iter().filter_map(|label| Some(shape.rank(row.get(*label)?, *label))).collect();
            let key = (*value, ranks);
            keys.entry(key.clone()).or_default();
            cells.push((place, key, number, Shape::label(row, by)));
        }
    }
    for (index, number) in keys.values_mut().enumerate() {
        *number = index;
    }
    let mut parts: Vec<_> = keys
        .keys()
        .map(|(value, _)| Part { name: shape.data.columns()[*value].label().to_owned(), colour: 0, total: 0.0 })
        .collect();
    let mut places: Values = BTreeMap::new();
    for (place, key, number, label) in cells {
        let Some(&part) = keys.get(&key) else { continue };
        parts[part].colour = part;
        parts[part].total = (parts[part].total + number.abs()).min(f64::MAX);
        if !by.is_empty() {
            parts[part].name = label;
        }
        *places.entry(place).or_default().entry(part).or_default() += number;
    }
    (parts, places, skipped)
}

/// Adds up all parts but the seven largest if there are more than eight, and returns the names of the others.
fn merge_others(parts: &mut Vec<Part>, places: &mut Values) -> Vec<String> {
    if parts.len() <= SERIES {
        return vec![];
    }
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|left, right| parts[*right].total.total_cmp(&parts[*left].total).then(left.cmp(right)));
    let mut kept = order[..SERIES - 1].to_vec();
    kept.sort_unstable();
    let merged: Vec<usize> = order[SERIES - 1..].to_vec();
    let new: HashMap<usize, usize> = kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    for values in places.values_mut() {
        let mut sums: HashMap<usize, f64> = HashMap::new();
        for part in 0..parts.len() {
            if let Some(value) = values.get(&part) {
                *sums.entry(new.get(&part).copied().unwrap_or(SERIES - 1)).or_default() += value;
            }
        }
        *values = sums;
    }
    let mut names: Vec<_> = merged.clone();
    names.sort_unstable();
    let names = names.into_iter().map(|part| parts[part].name.clone()).collect::<Vec<_>>();
    let mut remaining: Vec<_> =
        kept.iter().enumerate().map(|(colour, part)| Part { colour, ..parts[*part].clone() }).collect();
    remaining.push(Part { name: format!("{} others", names.len()), colour: SERIES, total: 0.0 });
    *parts = remaining;
    names
}

/// Puts the parts of each bar on top of each other: positive ones upwards, negative ones downwards.
fn stack(parts: &[Part], places: &Values, in_own_order: bool) -> Stacks {
    let mut order: Vec<usize> = (0..parts.len()).collect();
    if !in_own_order {
        order.sort_by(|left, right| parts[*right].total.total_cmp(&parts[*left].total).then(left.cmp(right)));
    }
    let bar = |values: &HashMap<usize, f64>| {
        let (mut up, mut down) = (0.0_f64, 0.0_f64);
        let segment = |(index, part): (usize, &usize)| {
            let value = *values.get(part)?;
            let base = if value < 0.0 { &mut down } else { &mut up };
            let from = *base;
            *base = (from + value).clamp(f64::MIN, f64::MAX);
            Some(Segment { part: index, from, to: *base })
        };
        order.iter().enumerate().filter_map(segment).collect::<Vec<_>>()
    };
    let bars: Vec<_> = places.iter().map(|(place, values)| (place.clone(), bar(values))).collect();
    let ends = bars.iter().flat_map(|(_, segments)| segments.iter().map(|segment| segment.to));
    let (low, high) = extent(ends).unwrap_or((0.0, 1.0));
    let decimals = describe::decimals(places.values().flat_map(|values| values.values().copied()));
    let parts = order.into_iter().map(|part| parts[part].clone()).collect();
    Stacks { parts, bars, decimals, low: low.min(0.0), high: high.max(0.0) }
}

impl Stacks {
    /// The sum of a bar.
    fn total(segments: &[Segment]) -> f64 {
        segments
            .iter()
            .map(|segment| segment.to - segment.from)
            .fold(0.0, |sum, value| (sum + value).clamp(f64::MIN, f64::MAX))
    }

    fn hover(&self, segment: &Segment, place: &str, sheet: &Sheet) -> String {
        let value = number::float(segment.to - segment.from, self.decimals, sheet.options.locale);
        let part = self.parts.get(segment.part).map_or("", |part| part.name.as_str());
        format!("{place}, {}: {value}", describe::name(part))
    }

    fn colour(&self, segment: &Segment) -> usize {
        self.parts.get(segment.part).map_or(SERIES, |part| part.colour)
    }
}

fn facts(sheet: &mut Sheet, shape: &Shape, at: Position, values: &[usize], (parts, places): (&[Part], &Values)) {
    let (Position::Time(column) | Position::Label(column)) = at;
    let by = describe::name(shape.data.columns()[column].label());
    let count = describe::counted(places.len(), "bar", "bars", sheet);
    let parts = describe::counted(parts.len(), "part", "parts", sheet);
    sheet.fact(format!("By {by}: {count} of {parts}."));
    let clock = Clock::of(shape, column, sheet.options);
    let of_row = |row: usize| {
        let place = shape.data.rows().get(row).map(|row| match at {
            Position::Time(time) => Shape::time(row, time).map_or(String::new(), |time| clock.full(time)),
            Position::Label(label) => describe::name(&Shape::label(row, &[label])),
        });
        place.unwrap_or_default()
    };
    for value in values {
        describe::of_column(sheet, shape, *value, of_row);
    }
}

/// What the numbers are, and which colour is which part.
fn legend(sheet: &mut Sheet, shape: &Shape, stacks: &Stacks, values: &[usize]) {
    let caption = match values {
        [only] => describe::label_with_unit(shape, *only),
        _ => shape.unit(values[0]).map(text::clean).unwrap_or_default(),
    };
    let caption = text::cut(&caption, sheet.width(), SMALL);
    if !caption.is_empty() {
        sheet.svg.text("dim", Anchor::Start, [sheet.left, sheet.y + 11.0], &caption);
        sheet.y += 18.0;
    }
    if stacks.parts.len() > 1 {
        let entries: Vec<_> = stacks.parts.iter().map(|part| (part.name.clone(), part.colour)).collect();
        area_legend(sheet, &entries);
    }
}

fn by_label(sheet: &mut Sheet, shape: &Shape, mut stacks: Stacks, label: usize, values: &[usize]) {
    if shape.order(label) == LabelOrder::ByValue {
        stacks.bars.sort_by(|left, right| Stacks::total(&right.1).total_cmp(&Stacks::total(&left.1)));
    }
    let name = |place: &Place| match place {
        Place::Label(rank) => rank.label.clone(),
        Place::Time(time) => time.to_string(),
    };
    let others: Vec<_> = stacks.bars.drain(MAX_BARS.min(stacks.bars.len())..).map(|(place, _)| name(&place)).collect();
    let names: Vec<_> = stacks.bars.iter().map(|(place, _)| name(place)).collect();
    let slot = (sheet.width() - 48.0) / real(names.len());
    let is_upright =
        names.len() < HORIZONTAL_FROM && names.iter().all(|name| width(&text::clean(name), SMALL) <= slot - 8.0);
    legend(sheet, shape, &stacks, values);
    if is_upright {
        columns::by_label(sheet, &stacks, &names);
    } else {
        horizontal(sheet, &stacks, &names);
    }
    sheet.note_others(&others, "");
}

fn horizontal(sheet: &mut Sheet, stacks: &Stacks, names: &[String]) {
    let locale = sheet.options.locale;
    let labels = names.iter().map(|name| width(&text::clean(name), SMALL)).fold(0.0, f64::max).min(sheet.width() * 0.4);
    let total = |segments: &[Segment]| number::float(Stacks::total(segments), stacks.decimals, locale);
    let totals = stacks.bars.iter().map(|(_, segments)| width(&total(segments), SMALL)).fold(0.0, f64::max) + 8.0;
    let from = sheet.left + labels + 12.0;
    let scale = NumberScale::exact(stacks.low, stacks.high).on(from, (sheet.right - totals).max(from + 20.0));
    let top = sheet.y + 2.0;
    for (row, ((_, segments), name)) in stacks.bars.iter().zip(names).enumerate() {
        let y = top + real(row) * ROW + (ROW - THICKNESS) / 2.0;
        sheet.svg.text("ink", Anchor::Start, [sheet.left, y + 11.0], &text::cut(name, labels, SMALL));
        let mut end = scale.zero();
        for segment in segments {
            let (start, stop) = (scale.at(segment.from), scale.at(segment.to));
            end = end.max(start).max(stop);
            // A hair of background tells parts apart.
            let width = ((stop - start).abs() - 1.0).max(0.5);
            let hover = stacks.hover(segment, &describe::name(name), sheet);
            sheet.svg.rect(
                &crate::theme::fill(stacks.colour(segment)),
                [start.min(stop), y, width, THICKNESS],
                Some(&hover),
            );
        }
        let label = text::cut(&total(segments), sheet.right - end - 5.0, SMALL);
        sheet.svg.text("ink", Anchor::Start, [end + 5.0, y + 11.0], &label);
    }
    sheet.y = top + real(stacks.bars.len()) * ROW;
    sheet.svg.line("axis", [scale.zero(), top], [scale.zero(), sheet.y]);
}
