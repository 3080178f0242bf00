//! Names of series: at the ends of their lines, or in a legend.

use crate::frame::Sheet;
use crate::svg::{Anchor, Path};
use crate::text::{self, SMALL, width};
use crate::theme::{fill, stroke};

/// The distance between labels at line ends.
const LABEL_HEIGHT: f64 = 14.0;

/// A name and the number of its colour.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) colour: usize,
    /// A line instead of an area.
    pub(crate) is_line: bool,
}

/// Draws entries in rows, in their order.
pub(crate) fn legend(sheet: &mut Sheet, entries: &[Entry]) {
    let (mut x, mut y) = (sheet.left, sheet.y + 11.0);
    for entry in entries {
        let name = text::cut(&entry.name, (sheet.width() - 20.0).min(220.0), SMALL);
        let needed = 16.0 + width(&name, SMALL);
        if x > sheet.left && x + needed > sheet.right {
            (x, y) = (sheet.left, y + 18.0);
        }
        if entry.is_line {
            let mut path = Path::default();
            path.through(&[[x + 1.0, y - 4.0], [x + 11.0, y - 4.0]]);
            sheet.svg.path(&format!("l {}", stroke(entry.colour)), &path);
        } else {
            sheet.svg.rect(&fill(entry.colour), [x, y - 9.0, 10.0, 10.0], None);
        }
        sheet.svg.text("ink", Anchor::Start, [x + 16.0, y], &name);
        x += needed + 16.0;
    }
    if !entries.is_empty() {
        sheet.y = y + 9.0;
    }
}

/// A label at the end of a line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EndLabel {
    pub(crate) text: String,
    pub(crate) colour: usize,
    /// The end of the line.
    pub(crate) end: [f64; 2],
}

/// The space that labels need at the right of a plot, if they fit there.
pub(crate) fn space_for(names: &[&str], sheet: &Sheet, height: f64) -> Option<f64> {
    let widest = names.iter().map(|name| width(&text::clean(name), SMALL)).fold(0.0, f64::max);
    let fits = sheet.width() >= 400.0
        && widest <= sheet.width() * 0.3
        && crate::math::real(names.len()) * LABEL_HEIGHT <= height;
    fits.then_some(widest + 18.0)
}

/// Draws labels to the right of a plot, moved apart, with thin lines to the ends.
pub(crate) fn end_labels(
    sheet: &mut Sheet,
    mut labels: Vec<EndLabel>,
    x: f64,
    [top, bottom]: [f64; 2],
    with_leads: bool,
) {
    labels.sort_by(|left, right| left.end[1].total_cmp(&right.end[1]));
    let wanted: Vec<f64> = labels.iter().map(|label| label.end[1]).collect();
    let places = apart(&wanted, LABEL_HEIGHT, [top + 4.0, bottom - 2.0]);
    for (label, y) in labels.iter().zip(places) {
        if with_leads {
            let mut lead = Path::default();
            lead.through(&[[(label.end[0] + 3.0).max(x - 2.0), label.end[1]], [x + 3.0, label.end[1]], [x + 11.0, y]]);
            sheet.svg.path(&format!("lead {}", stroke(label.colour)), &lead);
        }
        let text = text::cut(&label.text, sheet.right - x - 14.0, SMALL);
        sheet.svg.text("ink", Anchor::Start, [x + if with_leads { 14.0 } else { 8.0 }, y + 4.0], &text);
    }
}

/// Moves sorted positions as little as needed for a distance between them, inside the bounds if there is space.
fn apart(wanted: &[f64], distance: f64, [low, high]: [f64; 2]) -> Vec<f64> {
    let mut places = Vec::with_capacity(wanted.len());
    let mut free = low;
    for place in wanted {
        let place = place.max(free);
        places.push(place);
        free = place + distance;
    }
    let mut limit = high;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - distance;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_move_apart_inside_the_bounds() {
        assert_eq!(apart(&[10.0, 11.0, 80.0], 14.0, [0.0, 100.0]), [10.0, 24.0, 80.0]);
        assert_eq!(apart(&[98.0, 99.0], 14.0, [0.0, 100.0]), [86.0, 100.0]);
        assert!(apart(&[], 14.0, [0.0, 100.0]).is_empty());
    }
}
