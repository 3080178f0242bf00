//! Finds the end of a CSV record and checks its quotes.

use memchr::{memchr, memchr_iter, memchr2};

/// The result of scanning a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    /// A record with this number of fields, which ends before `end`. The next record begins at `next`.
    Record { end: usize, next: usize, fields: usize },
    /// A misplaced quote: inside a field that does not begin with one, or closing a field that continues.
    StrayQuote,
    /// The text ends inside a quoted field.
    Unclosed,
}

enum State {
    FieldStart,
    Plain,
    Quoted,
    QuoteInQuoted,
}

/// Scans the record at the start of `text`. The end of `text` ends the record at the latest.
pub(super) fn scan(text: &[u8], separator: u8) -> Scan {
    let end = memchr2(b'\r', b'\n', text).unwrap_or(text.len());
    if memchr(b'"', &text[..end]).is_some() {
        return scan_quoted(text, separator);
    }
    let fields = 1 + memchr_iter(separator, &text[..end]).count();
    Scan::Record { end, next: after_line_end(text, end), fields }
}

/// The position after the line end at `end`, or the end of the text.
fn after_line_end(text: &[u8], end: usize) -> usize {
    match text.get(end..) {
        Some([b'\r', b'\n', ..]) => end + 2,
        Some([_, ..]) => end + 1,
        _ => text.len(),
    }
}

/// Scans a record that has quotes.
#[expect(clippy::match_same_arms, reason = "the order of the arms shows the state machine")]
fn scan_quoted(text: &[u8], separator: u8) -> Scan {
    let mut state = State::FieldStart;
    let mut fields = 1;
    for (index, &byte) in text.iter().enumerate() {
        state = match (state, byte) {
            (State::FieldStart, b'"') => State::Quoted,
            (State::Plain, b'"') => return Scan::StrayQuote,
            (State::Quoted, b'"') => State::QuoteInQuoted,
            (State::Quoted, _) | (State::QuoteInQuoted, b'"') => State::Quoted,
            (_, byte) if byte == separator => {
                fields += 1;
                State::FieldStart
            }
            (_, b'\r' | b'\n') => {
                return Scan::Record { end: index, next: after_line_end(text, index), fields };
            }
            (State::QuoteInQuoted, _) => return Scan::StrayQuote,
            (State::FieldStart | State::Plain, _) => State::Plain,
        };
    }
    if matches!(state, State::Quoted) {
        Scan::Unclosed
    } else {
        Scan::Record { end: text.len(), next: text.len(), fields }
    }
}

/// The position of the second line of `text`, or `None` if there is no line end.
pub(super) fn next_line(text: &[u8]) -> Option<usize> {
    memchr2(b'\r', b'\n', text).map(|end| after_line_end(text, end))
}

/// The number of line ends in `text`.
pub(super) fn line_ends(text: &[u8]) -> u64 {
    let mut rest = text;
    let mut lines = 0;
    while let Some(next) = next_line(rest) {
        lines += 1;
        rest = &rest[next..];
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan_commas(text: &[u8]) -> Scan {
        scan(text, b',')
    }

    #[test]
    fn finds_the_end_of_a_record() {
        let record = |end, next, fields| Scan::Record { end, next, fields };
        assert_eq!(scan_commas(b"a,b\nc"), record(3, 4, 2));
        assert_eq!(scan_commas(b"a,b\r\nc"), record(3, 5, 2));
        assert_eq!(scan_commas(b"a,b\rc"), record(3, 4, 2));
        assert_eq!(scan_commas(b"a,\"b\n\"\"c\"\"\",\nd"), record(12, 13, 3));
        assert_eq!(scan_commas(b"a,b"), record(3, 3, 2));
        assert_eq!(scan_commas(b"\n"), record(0, 1, 1));
        assert_eq!(scan_commas(b"\"\""), record(2, 2, 1));
    }

    #[test]
    fn finds_misplaced_and_unclosed_quotes() {
        assert_eq!(scan_commas(b"a,5\" pipe\n"), Scan::StrayQuote);
        assert_eq!(scan_commas(b"a,\"b\" c\n"), Scan::StrayQuote);
        assert_eq!(scan_commas(b"a,\"b\nc,d\n"), Scan::Unclosed);
    }

    #[test]
    fn counts_lines_of_every_kind() {
        assert_eq!(line_ends(b"a\nb\r\nc\rd"), 3);
        assert_eq!(line_ends(b""), 0);
    }
}
