//! Splits a CSV record into fields.

use memchr::memchr;

/// Splits records into fields, and reuses its buffers for each record.
#[derive(Debug)]
pub(super) struct FieldSplitter {
    separator: u8,
    /// The texts of fields with doubled quotes.
    unescaped: Vec<u8>,
    spans: Vec<Span>,
}

/// The position of a field.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Without quotes: the positions are those in the record.
    Plain,
    /// In quotes: the positions are those in the record.
    Quoted,
    /// In quotes, with doubled ones: the positions are those in the buffer of unescaped texts.
    Unescaped,
}

impl FieldSplitter {
    pub(super) fn new(separator: u8) -> Self {
        Self { separator, unescaped: Vec::new(), spans: Vec::new() }
    }

    /// Splits a record that has balanced quotes and `fields` fields.
    pub(super) fn split<'a>(&'a mut self, record: &'a [u8], fields: usize) -> Fields<'a> {
        self.spans.clear();
        self.spans.reserve(fields);
        self.unescaped.clear();
        let mut at = 0;
        loop {
            at = if record.get(at) == Some(&b'"') {
                self.split_quoted(record, at + 1)
            } else {
                self.split_plain(record, at)
            };
            // The position is that of a separator, or the end.
            if at >= record.len() {
                return Fields { record, unescaped: &self.unescaped, spans: &self.spans };
            }
            at += 1;
        }
    }

    /// Splits a field without quotes, and returns the position after it.
    #[inline]
    fn split_plain(&mut self, record: &[u8], start: usize) -> usize {
        let end = memchr(self.separator, &record[start..]).map_or(record.len(), |length| start + length);
        self.spans.push(Span { start, end, form: Form::Plain });
        end
    }

    /// Splits a field in quotes whose text begins at `start`, and returns the position after the closing quote.
    fn split_quoted(&mut self, record: &[u8], start: usize) -> usize {
        let (mut at, unescaped_start) = (start, self.unescaped.len());
        loop {
            let end = memchr(b'"', &record[at..]).map_or(record.len(), |length| at + length);
            if record.get(end + 1) == Some(&b'"') {
                self.unescaped.extend_from_slice(&record[at..=end]);
                at = end + 2;
                continue;
            }
            let span = if at == start {
                Span { start, end, form: Form::Quoted }
            } else {
                self.unescaped.extend_from_slice(&record[at..end]);
                Span { start: unescaped_start, end: self.unescaped.len(), form: Form::Unescaped }
            };
            self.spans.push(span);
            return end + 1;
        }
    }
}

/// The unquoted fields of a record, as bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    record: &'a [u8],
    unescaped: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Fields<'a> {
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.spans.get(index).and_then(|span| self.text(*span))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.spans.iter().filter_map(move |span| self.text(*span))
    }

    /// The fields, and whether each is in quotes.
    pub(crate) fn with_quotes(self) -> impl Iterator<Item = (&'a [u8], bool)> {
        self.spans.iter().map(move |span| (self.text(*span).unwrap_or_default(), span.form != Form::Plain))
    }

    /// The record, as it is in the file.
    pub(crate) fn record(self) -> &'a [u8] {
        self.record
    }

    #[inline]
    fn text(&self, span: Span) -> Option<&'a [u8]> {
        let text = if span.form == Form::Unescaped { self.unescaped } else { self.record };
        text.get(span.start..span.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unquotes_each_field() {
        let mut splitter = FieldSplitter::new(b',');
        let split = |splitter: &mut FieldSplitter, record: &str, fields| {
            let fields = splitter.split(record.as_bytes(), fields);
            fields.iter().map(|field| String::from_utf8(field.to_vec()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(split(&mut splitter, "a,\"b \"\"c\"\"\nd\",", 3), ["a", "b \"c\"\nd", ""]);
        assert_eq!(split(&mut splitter, "\"\"", 1), [""]);
        assert_eq!(split(&mut splitter, "\"\"\"\",\"a\"\"\",\"x\"", 3), ["\"", "a\"", "x"]);
        assert_eq!(split(&mut splitter, "x", 1), ["x"]);
        assert_eq!(split(&mut splitter, "", 1), [""]);
        assert_eq!(split(&mut splitter, ",", 2), ["", ""]);
    }

    #[test]
    fn quotes_are_kept_apart_from_the_text() {
        let mut splitter = FieldSplitter::new(b';');
        let fields = splitter.split(b"a;\"\";\"b;\"\"\";", 4);
        let quoted: Vec<_> = fields.with_quotes().collect();
        let expected: [(&[u8], bool); 4] = [(b"a", false), (b"", true), (b"b;\"", true), (b"", false)];
        assert_eq!(quoted, expected);
    }
}
