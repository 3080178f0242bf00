//! SQL in which ranges were replaced, with a source map to the original.

use std::ops::Range;

/// A text in which ranges were replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RewrittenSql {
    pub(crate) text: String,
    /// The byte offset at which each piece begins, in this text and in the original. Every second piece is a
    /// replacement.
    origins: Vec<(usize, usize)>,
}

impl RewrittenSql {
    /// Replaces ranges in a part of the text. The ranges are inside the part and do not overlap.
    pub(crate) fn of(text: &str, part: Range<usize>, mut edits: Vec<(Range<usize>, String)>) -> Self {
        edits.sort_by_key(|(range, _)| range.start);
        let mut rewritten = Self { text: String::new(), origins: Vec::new() };
        let mut at = part.start;
        for (range, replacement) in edits {
            rewritten.push(text.get(at..range.start).unwrap_or_default(), at);
            rewritten.push(&replacement, range.start);
            at = range.end;
        }
        rewritten.push(text.get(at..part.end).unwrap_or_default(), at);
        rewritten
    }

    fn push(&mut self, piece: &str, origin: usize) {
        self.origins.push((self.text.len(), origin));
        self.text.push_str(piece);
    }

    /// The byte ranges of the replacements in this text, ascending.
    pub(crate) fn replacements(&self) -> Vec<Range<usize>> {
        let ends = self.origins.iter().skip(1).map(|(start, _)| *start).chain([self.text.len()]);
        let pieces = self.origins.iter().map(|(start, _)| *start).zip(ends).map(|(start, end)| start..end);
        pieces.skip(1).step_by(2).collect()
    }

    /// The byte offset in the original of a character of this text, given by its index from 0. In a replacement, it is
    /// the start of the replaced range.
    pub(crate) fn origin(&self, character: usize) -> usize {
        let offset = self.text.char_indices().nth(character).map_or(self.text.len(), |(offset, _)| offset);
        let piece = self.origins.partition_point(|(start, _)| *start <= offset).saturating_sub(1);
        let (start, origin) = self.origins.get(piece).copied().unwrap_or_default();
        if piece % 2 == 1 { origin } else { origin + (offset - start) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_map_back_to_the_original() {
        let text = "-- é\nSELECT :a + :b;";
        let (a, b) = (text.find(":a").unwrap(), text.find(":b").unwrap());
        let part = text.find("SELECT").unwrap()..text.len() - 1;
        let rewritten =
            RewrittenSql::of(text, part, vec![(b..b + 2, "CAST($2 AS date)".into()), (a..a + 2, "$1".into())]);
        assert_eq!(rewritten.text, "SELECT $1 + CAST($2 AS date)");
        let origin =
            |words: &str| rewritten.origin(rewritten.text[..rewritten.text.find(words).unwrap()].chars().count());
        assert_eq!(origin("SELECT"), text.find("SELECT").unwrap());
        assert_eq!(origin("$1"), a);
        assert_eq!(origin("+"), text.find('+').unwrap());
        assert_eq!(origin("AS date"), b);
        let replaced: Vec<_> = rewritten.replacements().into_iter().map(|range| &rewritten.text[range]).collect();
        assert_eq!(replaced, ["$1", "CAST($2 AS date)"]);
    }
}
