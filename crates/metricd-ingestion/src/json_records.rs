//! Reads JSON records one by one in constant memory, from an array of objects or from one object a line (NDJSON).

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memchr2};

use crate::buffer::{BYTE_ORDER_MARK, READ_CHUNK_BYTES, fill};
use crate::csv::MAX_RECORD_BYTES;

/// A fault of the structure around a value, or of the size of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonFault {
    /// Something unexpected is between two elements of the array, or after the array. The rest of the file is not read.
    Structure,
    /// The file ends inside the array.
    Truncated,
    /// The value has more than [`MAX_RECORD_BYTES`] bytes. If it is in an array, the rest of the file is not read.
    TooLong,
}

/// The next value or fault of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum JsonRecord<'a> {
    /// The text of a value, which may be invalid JSON. `index` is its position in the array, from 0.
    Value { line: u64, index: Option<u64>, text: &'a [u8] },
    /// A fault on a line.
    Fault { line: u64, fault: JsonFault },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Array,
    Lines,
}

/// Reads a file of JSON records value by value.
#[derive(Debug)]
pub(crate) struct JsonRecords<R> {
    input: R,
    buffer: Vec<u8>,
    /// The position of the next value in the buffer.
    start: usize,
    line: u64,
    input_ended: bool,
    form: Option<Form>,
    index: u64,
    ended: bool,
}

impl<R: Read> JsonRecords<R> {
    /// Reads from `input`, and skips a byte-order mark at its start.
    pub(crate) fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), start: 0, line: 1, input_ended: false, form: None, index: 0, ended: false }
    }

    /// The next value or fault. `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<JsonRecord<'_>>> {
        if self.ended {
            return Ok(None);
        }
        if self.start >= READ_CHUNK_BYTES {
            self.buffer.drain(..std::mem::take(&mut self.start));
        }
        let form = match self.form {
            Some(form) => form,
            None => self.begin()?,
        };
        match form {
            Form::Array => self.next_element(),
            Form::Lines => self.next_line(),
        }
    }

    fn begin(&mut self) -> io::Result<Form> {
        while self.buffer.len() < BYTE_ORDER_MARK.len() && !self.input_ended {
            self.fill()?;
        }
        if self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.start = BYTE_ORDER_MARK.len();
        }
        let form = if self.peek()? == Some(b'[') { Form::Array } else { Form::Lines };
        if form == Form::Array {
            self.advance(1);
        }
        self.form = Some(form);
        Ok(form)
    }

    fn next_element(&mut self) -> io::Result<Option<JsonRecord<'_>>> {
        let mut next = self.peek()?;
        if next == Some(b']') {
            self.advance(1);
            self.ended = true;
            let line = self.line;
            let trailing = self.peek()?.map(|_| JsonRecord::Fault { line, fault: JsonFault::Structure });
            return Ok(trailing);
        }
        if self.index > 0 {
            if next.is_some_and(|byte| byte != b',') {
                return Ok(Some(self.end_with(JsonFault::Structure)));
            }
            self.advance(usize::from(next.is_some()));
            next = self.peek()?;
        }
        let end = loop {
            match next {
                None => return Ok(Some(self.end_with(JsonFault::Truncated))),
                // No value begins with any of these.
                Some(b',' | b']' | b'}' | b':') => return Ok(Some(self.end_with(JsonFault::Structure))),
                Some(_) => {}
            }
            match value_end(&self.buffer[self.start..]) {
                Some(end) if end <= MAX_RECORD_BYTES => break end,
                None if self.buffer.len() - self.start <= MAX_RECORD_BYTES => {
                    if self.input_ended {
                        return Ok(Some(self.end_with(JsonFault::Truncated)));
                    }
                    self.fill()?;
                }
                Some(_) | None => return Ok(Some(self.end_with(JsonFault::TooLong))),
            }
        };
        let (line, index) = (self.line, self.index);
        self.index += 1;
        let begin = self.advance(end);
        Ok(Some(JsonRecord::Value { line, index: Some(index), text: &self.buffer[begin..begin + end] }))
    }

    fn next_line(&mut self) -> io::Result<Option<JsonRecord<'_>>> {
        if self.peek()?.is_none() {
            self.ended = true;
            return Ok(None);
        }
        let line = self.line;
        let end = loop {
            let text = &self.buffer[self.start..];
            match memchr(b'\n', text) {
                Some(end) if end <= MAX_RECORD_BYTES => break end,
                None if self.input_ended && text.len() <= MAX_RECORD_BYTES => break text.len(),
                None if text.len() <= MAX_RECORD_BYTES => self.fill()?,
                Some(_) | None => {
                    self.skip_line()?;
                    return Ok(Some(JsonRecord::Fault { line, fault: JsonFault::TooLong }));
                }
            }
        };
        let begin = self.advance(end);
        Ok(Some(JsonRecord::Value { line, index: None, text: self.buffer[begin..begin + end].trim_ascii_end() }))
    }

    /// Skips the rest of a line without holding it in memory.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            if let Some(end) = memchr(b'\n', &self.buffer[self.start..]) {
                self.advance(end);
                return Ok(());
            }
            self.buffer.clear();
            self.start = 0;
            if self.input_ended {
                return Ok(());
            }
            self.fill()?;
        }
    }

    fn end_with(&mut self, fault: JsonFault) -> JsonRecord<'static> {
        self.ended = true;
        JsonRecord::Fault { line: self.line, fault }
    }

    /// Skips white space, and returns the next byte without consuming it. `None` at the end.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            let blank = self.buffer[self.start..].iter().take_while(|byte| is_blank(**byte)).count();
            self.advance(blank);
            match self.buffer.get(self.start) {
                Some(byte) => return Ok(Some(*byte)),
                None if self.input_ended => return Ok(None),
                None => self.fill()?,
            }
        }
    }

    /// Advances by `count` bytes, and returns the previous position.
    fn advance(&mut self, count: usize) -> usize {
        let begin = self.start;
        self.start += count;
        self.line += line_ends(&self.buffer[begin..self.start]);
        begin
    }

    fn fill(&mut self) -> io::Result<()> {
        // White space may exceed the memory, so skipped text is dropped.
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
        self.input_ended = fill(&mut self.buffer, &mut self.input)?;
        Ok(())
    }
}

fn line_ends(text: &[u8]) -> u64 {
    memchr_iter(b'\n', text).count() as u64
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The end of the JSON value at the start of `text`. `None` if `text` ends inside the value.
fn value_end(text: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at + 1)?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 1 => depth -= 1,
            b'}' | b']' if depth == 1 => return Some(at + 1),
            b'}' | b']' | b',' | b':' if depth == 0 => return Some(at),
            _ if depth == 0 && is_blank(byte) => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The position after the quote that ends a string whose content begins at `at`. `None` if the string does not end.
fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The members of an object in valid JSON: the text of each key and of each value.
pub(crate) fn members(object: &str) -> Members<'_> {
    Members { object, at: 1 }
}

/// The members of an object.
#[derive(Debug, Clone)]
pub(crate) struct Members<'a> {
    object: &'a str,
    at: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.object.as_bytes();
        let skip = |at: usize| {
            let is_between = |byte: &&u8| is_blank(**byte) || matches!(**byte, b',' | b':');
            at + bytes.get(at..).unwrap_or_default().iter().take_while(is_between).count()
        };
        let key = skip(self.at);
        if bytes.get(key).is_none_or(|byte| *byte == b'}') {
            return None;
        }
        let key_end = key + value_end(&bytes[key..])?;
        let value = skip(key_end);
        let value_end = value + value_end(bytes.get(value..)?)?;
        self.at = value_end;
        Some((self.object.get(key..key_end)?, self.object.get(value..value_end)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a few bytes per read, so that every position is a chunk boundary.
    struct ShortReads<'a>(&'a [u8], usize);

    impl Read for ShortReads<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(self.1).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn read_all(input: impl Read) -> Vec<String> {
        let mut records = JsonRecords::new(input);
        let mut seen = Vec::new();
        while let Some(record) = records.next().unwrap() {
            seen.push(match record {
                JsonRecord::Value { line, index, text } => {
                    let index = index.map(|index| format!("[{index}]")).unwrap_or_default();
                    format!("{line}{index}: {}", String::from_utf8_lossy(text))
                }
                JsonRecord::Fault { line, fault } => format!("{line}: {fault:?}"),
            });
        }
        seen
    }

    fn check(text: &str, expected: &[&str]) {
        for size in [1, 2, 1_000] {
            assert_eq!(read_all(ShortReads(text.as_bytes(), size)), expected, "{text:?} by {size}");
        }
    }

    #[test]
    fn reads_an_array_element_by_element() {
        check(
            "\u{feff} [\n{\"a\": [1, {}]},\n {\"b\": \"}\\\"]\"}\n]\n",
            &["2[0]: {\"a\": [1, {}]}", "3[1]: {\"b\": \"}\\\"]\"}"],
        );
        check("[]", &[]);
        check("[1,\"x\" , null]", &["1[0]: 1", "1[1]: \"x\"", "1[2]: null"]);
    }

    #[test]
    fn reading_stops_at_a_malformed_array() {
        check("[{},\n{}", &["1[0]: {}", "2[1]: {}", "2: Truncated"]);
        check("[{},\n{\"a\":", &["1[0]: {}", "2: Truncated"]);
        check("[{}\n{}]", &["1[0]: {}", "2: Structure"]);
        check("[{},]", &["1[0]: {}", "1: Structure"]);
        check("[{}] {}", &["1[0]: {}", "1: Structure"]);
        check("[", &["1: Truncated"]);
    }

    #[test]
    fn reading_continues_after_a_malformed_line() {
        check("{\"a\":1}\r\n\n{\"a\":\n{\"a\":2}", &["1: {\"a\":1}", "3: {\"a\":", "4: {\"a\":2}"]);
    }

    #[test]
    fn an_oversized_value_is_not_buffered() {
        let long = format!("{{\"a\":1}}\n{{\"a\":\"{}\"}}\n{{\"a\":2}}\n", "x".repeat(3 * MAX_RECORD_BYTES));
        assert_eq!(read_all(long.as_bytes()), ["1: {\"a\":1}", "2: TooLong", "3: {\"a\":2}"]);
        let long = format!("[{{\"a\":\"{}\"}}]", "x".repeat(3 * MAX_RECORD_BYTES));
        assert_eq!(read_all(long.as_bytes()), ["1: TooLong"]);
    }

    #[test]
    fn splits_an_object_into_members() {
        assert_eq!(
            members(r#" {"a" : 1.50 ,"b":{"c":[1,2]}, "d,}":"x,\"}"}"#.trim()).collect::<Vec<_>>(),
            [("\"a\"", "1.50"), ("\"b\"", r#"{"c":[1,2]}"#), ("\"d,}\"", r#""x,\"}""#),]
        );
        assert_eq!(members("{ }").next(), None);
    }
}
