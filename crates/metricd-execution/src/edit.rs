//! A text with pieces replaced, and the way back from its places to those of the original.

use std::ops::Range;

/// A text that was made of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edited {
    pub(crate) text: String,
    /// Where pieces begin: in this text, and in the original.
    origins: Vec<(usize, usize)>,
}

impl Edited {
    /// The part of the text with the ranges replaced. The ranges stand inside the part and do not overlap.
    pub(crate) fn of(text: &str, part: Range<usize>, mut edits: Vec<(Range<usize>, String)>) -> Self {
        edits.sort_by_key(|(range, _)| range.start);
        let mut edited = Self { text: String::new(), origins: Vec::new() };
        let mut at = part.start;
        for (range, replacement) in edits {
            edited.push(text.get(at..range.start).unwrap_or_default(), at);
            edited.push(&replacement, range.start);
            at = range.end;
        }
        edited.push(text.get(at..part.end).unwrap_or_default(), at);
        edited
    }

    fn push(&mut self, piece: &str, origin: usize) {
        self.origins.push((self.text.len(), origin));
        self.text.push_str(piece);
    }

    /// Where the replacements are in this text, in the order of the edits.
    pub(crate) fn replacements(&self) -> Vec<Range<usize>> {
        let ends = self.origins.iter().skip(1).map(|(start, _)| *start).chain([self.text.len()]);
        let pieces = self.origins.iter().map(|(start, _)| *start).zip(ends).map(|(start, end)| start..end);
        pieces.skip(1).step_by(2).collect()
    }

    /// The byte of the original that became the character of this text, counted from 0. Of a replaced piece, its beginning.
    pub(crate) fn origin(&self, character: usize) -> usize {
        let offset = self.text.char_indices().nth(character).map_or(self.text.len(), |(offset, _)| offset);
        let piece = self.origins.partition_point(|(start, _)| *start <= offset).saturating_sub(1);
        let (start, origin) = self.origins.get(piece).copied().unwrap_or_default();
        // Every other piece is a replacement.
        if piece % 2 == 1 { origin } else { origin + (offset - start) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lead_back_to_the_original() {
        let text = "-- é\nSELECT :a + :b;";
        let (a, b) = (text.find(":a").unwrap(), text.find(":b").unwrap());
        let part = text.find("SELECT").unwrap()..text.len() - 1;
        let edited = Edited::of(text, part, vec![(b..b + 2, "CAST($2 AS date)".into()), (a..a + 2, "$1".into())]);
        assert_eq!(edited.text, "SELECT $1 + CAST($2 AS date)");
        let origin = |words: &str| edited.origin(edited.text[..edited.text.find(words).unwrap()].chars().count());
        assert_eq!(origin("SELECT"), text.find("SELECT").unwrap());
        assert_eq!(origin("$1"), a);
        assert_eq!(origin("+"), text.find('+').unwrap());
        assert_eq!(origin("AS date"), b);
        let replaced: Vec<_> = edited.replacements().into_iter().map(|range| &edited.text[range]).collect();
        assert_eq!(replaced, ["$1", "CAST($2 AS date)"]);
    }
}
