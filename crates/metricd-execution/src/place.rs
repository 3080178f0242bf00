//! Places in a text: bytes, as Rust counts them, and lines with columns, as people do.

use std::fmt;

use sqlparser::tokenizer::Location;

/// A place in SQL, as editors show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, from 1.
    pub line: u64,
    /// The column, in characters from 1.
    pub column: u64,
}

impl Place {
    /// The first character.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}", self.line, self.column)
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        // A location that is not known has zeros.
        Self { line: location.line.max(1), column: location.column.max(1) }
    }
}

/// Walks through a text once, from place to place.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    offset: usize,
    place: Place,
}

impl<'a> Cursor<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self { text, offset: 0, place: Place::START }
    }

    /// Goes on to the place and answers with its byte; the text's end where the text has no such place.
    pub(crate) fn advance(&mut self, to: Place) -> usize {
        let rest = self.text.get(self.offset..).unwrap_or_default();
        for character in rest.chars() {
            if self.place >= to {
                break;
            }
            self.offset += character.len_utf8();
            if character == '\n' {
                self.place = Place { line: self.place.line + 1, column: 1 };
            } else {
                self.place.column += 1;
            }
        }
        self.offset
    }
}

/// A text of which many places are asked for, in any order.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    text: &'a str,
    /// The bytes at which characters begin, every [`STRIDE`]th of each line, by line.
    marks: Vec<Vec<usize>>,
}

/// How many characters are walked at most to find one.
const STRIDE: usize = 64;

impl<'a> Lines<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let mut marks = vec![vec![0]];
        let mut column = 0;
        for (offset, character) in text.char_indices() {
            if column > 0 && column % STRIDE == 0 {
                marks.last_mut().into_iter().for_each(|line| line.push(offset));
            }
            column += 1;
            if character == '\n' {
                marks.push(vec![offset + 1]);
                column = 0;
            }
        }
        Self { text, marks }
    }

    /// The byte of the place; the text's end where the text has no such place.
    pub(crate) fn offset(&self, place: Place) -> usize {
        let index = |number: u64| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        let (line, column) = (index(place.line), index(place.column));
        let mark = self.marks.get(line).and_then(|marks| marks.get(column / STRIDE));
        let rest = mark.and_then(|mark| self.text.get(*mark..)).unwrap_or_default();
        let in_rest = rest.char_indices().nth(column % STRIDE);
        in_rest.map_or(self.text.len(), |(offset, _)| self.text.len() - rest.len() + offset)
    }
}

/// The place of the byte, which begins a character.
pub(crate) fn place_of(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
    Place { line, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_bytes_are_converted_into_each_other() {
        let text = "SELECT\n  'é', x\n";
        let mut cursor = Cursor::of(text);
        for (offset, _) in text.char_indices() {
            assert_eq!(cursor.advance(place_of(text, offset)), offset);
        }
        let long = format!("{text}{}\n{text}", "é".repeat(200));
        for (offset, _) in long.char_indices() {
            assert_eq!(Lines::of(&long).offset(place_of(&long, offset)), offset);
        }
        assert_eq!(Lines::of(text).offset(Place { line: 9, column: 1 }), text.len());
        assert_eq!(place_of(text, text.find('x').unwrap()), Place { line: 2, column: 8 });
        assert_eq!(cursor.advance(Place { line: 9, column: 1 }), text.len());
    }
}
