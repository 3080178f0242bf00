//! Positions in a text: byte offsets, and the lines and columns of editors.

use std::fmt;

use sqlparser::tokenizer::Location;

/// A position in SQL, as editors show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: u64,
    /// The column in characters, from 1.
    pub column: u64,
}

impl Position {
    /// The position of the first character.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}", self.line, self.column)
    }
}

impl From<Location> for Position {
    fn from(location: Location) -> Self {
        // The parser reports zeros for an unknown location.
        Self { line: location.line.max(1), column: location.column.max(1) }
    }
}

/// Converts ascending positions to byte offsets in one pass over the text.
#[derive(Debug)]
pub(crate) struct PositionCursor<'a> {
    text: &'a str,
    offset: usize,
    position: Position,
}

impl<'a> PositionCursor<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self { text, offset: 0, position: Position::START }
    }

    /// Advances to the position, and returns its byte offset. Past the end, it is the length of the text.
    pub(crate) fn advance(&mut self, to: Position) -> usize {
        let rest = self.text.get(self.offset..).unwrap_or_default();
        for character in rest.chars() {
            if self.position >= to {
                break;
            }
            self.offset += character.len_utf8();
            if character == '\n' {
                self.position = Position { line: self.position.line + 1, column: 1 };
            } else {
                self.position.column += 1;
            }
        }
        self.offset
    }
}

/// Converts positions in any order to byte offsets.
#[derive(Debug)]
pub(crate) struct LineIndex<'a> {
    text: &'a str,
    /// For each line, the byte offset of every [`CHECKPOINT_CHARS`]th character.
    checkpoints: Vec<Vec<usize>>,
}

/// The number of characters between two checkpoints of a line. A look-up scans at most this many.
const CHECKPOINT_CHARS: usize = 64;

impl<'a> LineIndex<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let mut checkpoints = vec![vec![0]];
        let mut column = 0;
        for (offset, character) in text.char_indices() {
            if column > 0 && column % CHECKPOINT_CHARS == 0 {
                checkpoints.last_mut().into_iter().for_each(|line| line.push(offset));
            }
            column += 1;
            if character == '\n' {
                checkpoints.push(vec![offset + 1]);
                column = 0;
            }
        }
        Self { text, checkpoints }
    }

    /// The byte offset of the position, or the length of the text if it has no such position.
    pub(crate) fn offset(&self, position: Position) -> usize {
        let index = |number: u64| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        let (line, column) = (index(position.line), index(position.column));
        let checkpoint = self.checkpoints.get(line).and_then(|line| line.get(column / CHECKPOINT_CHARS));
        let rest = checkpoint.and_then(|checkpoint| self.text.get(*checkpoint..)).unwrap_or_default();
        let in_rest = rest.char_indices().nth(column % CHECKPOINT_CHARS);
        in_rest.map_or(self.text.len(), |(offset, _)| self.text.len() - rest.len() + offset)
    }
}

/// The position of the character that begins at this byte offset.
pub(crate) fn position_of(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
    Position { line, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_offsets_round_trip() {
        let text = "SELECT\n  'é', x\n";
        let mut cursor = PositionCursor::of(text);
        for (offset, _) in text.char_indices() {
            assert_eq!(cursor.advance(position_of(text, offset)), offset);
        }
        let long = format!("{text}{}\n{text}", "é".repeat(200));
        for (offset, _) in long.char_indices() {
            assert_eq!(LineIndex::of(&long).offset(position_of(&long, offset)), offset);
        }
        assert_eq!(LineIndex::of(text).offset(Position { line: 9, column: 1 }), text.len());
        assert_eq!(position_of(text, text.find('x').unwrap()), Position { line: 2, column: 8 });
        assert_eq!(cursor.advance(Position { line: 9, column: 1 }), text.len());
    }
}
