//! A CSV file, record by record, in constant memory.

use std::io::{self, Read};

use metricd_domain::QueryId;

use super::fields::{FieldSplitter, Fields};
use super::scan::{Scan, line_ends, next_line, scan};
use crate::buffer::{BYTE_ORDER_MARK, READ_BYTES, fill};

/// The greatest size of one record; a longer one is a fault. An unclosed quote would otherwise swallow the whole file.
pub(crate) const MAX_RECORD_BYTES: usize = 1 << 20;

/// What is wrong with a record as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CsvFault {
    /// A quote stands where none may.
    StrayQuote,
    /// A quoted field does not end before the file does.
    Unclosed,
    /// The record has more than [`MAX_RECORD_BYTES`] bytes.
    TooLong,
}

/// What comes next in a CSV file.
#[derive(Debug)]
pub(crate) enum CsvRecord<'a> {
    /// A record whose quotes are in order. `is_last` where no line end follows, as when the file was cut off.
    Fields { line: u64, fields: Fields<'a>, is_last: bool },
    /// Lines from `line` to `last_line` that could not be read; what follows begins a record again.
    Fault { line: u64, last_line: u64, fault: CsvFault, text: &'a [u8] },
}

/// A CSV file, record by record. Blank lines, and rows of nothing but empty fields, are skipped.
///
/// Commas, semicolons, tabs or bars separate the fields: whichever the first line says (`sep=;`, as Excel reads it) or has most of.
///
/// After a fault it goes on with the next line that begins a record which looks like one: with as many fields as the first
/// record, and an id where the first record has `id`.
#[derive(Debug)]
pub(crate) struct CsvRecords<R> {
    input: R,
    buffer: Vec<u8>,
    /// Where in the buffer the next record begins.
    start: usize,
    line: u64,
    begun: bool,
    input_ended: bool,
    separator: u8,
    splitter: FieldSplitter,
    shape: Option<Shape>,
}

impl<R: Read> CsvRecords<R> {
    /// Reads from `input`; a byte-order mark at its beginning is passed over.
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            start: 0,
            line: 1,
            begun: false,
            input_ended: false,
            separator: b',',
            splitter: FieldSplitter::new(b','),
            shape: None,
        }
    }

    /// The next record or fault, or `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<CsvRecord<'_>>> {
        loop {
            // Only here may what the buffer holds be moved, so that places in it stay true for the rest of the turn.
            if self.start >= READ_BYTES {
                self.buffer.drain(..std::mem::take(&mut self.start));
            }
            self.begin()?;
            if !self.skip_blank_lines()? {
                return Ok(None);
            }
            let line = self.line;
            match self.scan_at(self.start)? {
                Ok(Extent { end, next, fields }) => {
                    let begin = self.advance(next);
                    if self.is_blank(begin, end, fields) {
                        continue;
                    }
                    let fields = self.splitter.split(&self.buffer[begin..end], fields);
                    self.shape.get_or_insert_with(|| Shape::of(fields));
                    return Ok(Some(CsvRecord::Fields { line, fields, is_last: end == next }));
                }
                Err(fault) => {
                    let next = self.find_resumption()?;
                    let begin = self.advance(next);
                    let text = &self.buffer[begin..next];
                    let whole_lines = text.ends_with(b"\n") || text.ends_with(b"\r");
                    let last_line = self.line - u64::from(whole_lines);
                    return Ok(Some(CsvRecord::Fault { line, last_line, fault, text }));
                }
            }
        }
    }

    /// What separates the fields; known once the first record is read.
    pub(crate) fn separator(&self) -> u8 {
        self.separator
    }

    /// Whether a record has nothing but empty fields, as spreadsheets leave them below a table.
    fn is_blank(&mut self, begin: usize, end: usize, fields: usize) -> bool {
        let record = &self.buffer[begin..end];
        let may_be = |byte: &u8| *byte == b'"' || *byte == self.separator || byte.is_ascii_whitespace();
        record.iter().all(may_be)
            && self.splitter.split(record, fields).iter().all(|field| field.trim_ascii().is_empty())
    }

    /// Goes on to `next` and answers where it was.
    fn advance(&mut self, next: usize) -> usize {
        let begin = std::mem::replace(&mut self.start, next);
        self.line += line_ends(&self.buffer[begin..next]);
        begin
    }

    /// The record that begins at `from`.
    fn scan_at(&mut self, from: usize) -> io::Result<Result<Extent, CsvFault>> {
        loop {
            let text = &self.buffer[from..];
            match scan(text, self.separator) {
                Scan::StrayQuote => return Ok(Err(CsvFault::StrayQuote)),
                Scan::Record { end, .. } if end > MAX_RECORD_BYTES => return Ok(Err(CsvFault::TooLong)),
                // A line end that is the last byte may be the first half of one, so more is read first.
                Scan::Record { end, next, fields } if self.input_ended || next < text.len() => {
                    return Ok(Ok(Extent { end: from + end, next: from + next, fields }));
                }
                Scan::Unclosed if text.len() > MAX_RECORD_BYTES => return Ok(Err(CsvFault::TooLong)),
                Scan::Unclosed if self.input_ended => return Ok(Err(CsvFault::Unclosed)),
                Scan::Record { .. } | Scan::Unclosed => self.fill()?,
            }
        }
    }

    /// Where, after a fault at `start`, the next record that looks like one begins; at the latest where the record at
    /// fault would be too long.
    fn find_resumption(&mut self) -> io::Result<usize> {
        let mut at = self.start;
        loop {
            while next_line(&self.buffer[at..]).is_none_or(|step| at + step == self.buffer.len()) && !self.input_ended {
                if self.buffer.len() - self.start > 2 * MAX_RECORD_BYTES {
                    return Ok(self.buffer.len());
                }
                self.fill()?;
            }
            match next_line(&self.buffer[at..]) {
                Some(step) => at += step,
                None => return Ok(self.buffer.len()),
            }
            if at - self.start > MAX_RECORD_BYTES || self.looks_like_a_record(at)? {
                return Ok(at);
            }
        }
    }

    fn looks_like_a_record(&mut self, at: usize) -> io::Result<bool> {
        let Ok(Extent { end, fields, .. }) = self.scan_at(at)? else { return Ok(false) };
        let Some(shape) = self.shape else { return Ok(false) };
        if fields != shape.fields {
            return Ok(false);
        }
        let fields = self.splitter.split(&self.buffer[at..end], fields);
        let id = shape.id.and_then(|index| fields.get(index)).map(String::from_utf8_lossy);
        Ok(id.is_none_or(|id| QueryId::parse(id).is_ok()))
    }

    /// Skips a byte-order mark and a line `sep=;`, and finds out what separates the fields.
    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        while self.buffer.len() < BYTE_ORDER_MARK.len() && !self.input_ended {
            self.fill()?;
        }
        if self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.start = BYTE_ORDER_MARK.len();
        }
        if !self.skip_blank_lines()? {
            return Ok(());
        }
        // A line end that is the last byte may be the first half of one, so more is read first.
        let next = loop {
            let text = &self.buffer[self.start..];
            match next_line(text) {
                Some(next) if next < text.len() || self.input_ended => break next,
                None if self.input_ended || text.len() > MAX_RECORD_BYTES => break text.len(),
                Some(_) | None => self.fill()?,
            }
        };
        let line = &self.buffer[self.start..self.start + next];
        let (separator, is_alone) = separator_of(line);
        if is_alone {
            self.advance(self.start + next);
        }
        self.separator = separator;
        self.splitter = FieldSplitter::new(separator);
        Ok(())
    }

    /// Passes blank lines over; `false` where nothing else is left.
    fn skip_blank_lines(&mut self) -> io::Result<bool> {
        loop {
            let text = &self.buffer[self.start..];
            let blank = text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let is_end = blank == text.len();
            // Half a line end must not be counted as a whole one.
            if !is_end || self.input_ended {
                self.advance(self.start + blank);
                return Ok(!is_end);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.input_ended = fill(&mut self.buffer, &mut self.input)?;
        Ok(())
    }
}

/// What may separate fields, the usual one first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// What separates the fields of a file that begins with the line, and whether that is all that the line says.
fn separator_of(line: &[u8]) -> (u8, bool) {
    let declared = line.trim_ascii_end();
    let declared = declared.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(declared);
    // A tab at the end was trimmed.
    let declared = if declared.eq_ignore_ascii_case(b"sep=") { b"sep=\t" } else { declared };
    if let [s, e, p, b'=', separator] = declared
        && [*s, *e, *p].eq_ignore_ascii_case(b"sep")
        && SEPARATORS.contains(separator)
    {
        return (*separator, true);
    }
    let mut counts = [0_usize; SEPARATORS.len()];
    let mut is_quoted = false;
    for byte in line {
        is_quoted ^= *byte == b'"';
        if let Some(index) = SEPARATORS.iter().position(|separator| separator == byte && !is_quoted) {
            counts[index] += 1;
        }
    }
    // Of equal counts the first, which `max_by_key` would not take.
    let most = SEPARATORS.iter().zip(counts).rev().max_by_key(|(_, count)| *count);
    (most.map_or(b',', |(separator, _)| *separator), false)
}

/// Where a record ends in the buffer, where the next begins, and how many fields it has.
#[derive(Debug, Clone, Copy)]
struct Extent {
    end: usize,
    next: usize,
    fields: usize,
}

/// How many fields the first record has, and which of them is `id`.
#[derive(Debug, Clone, Copy)]
struct Shape {
    fields: usize,
    id: Option<usize>,
}

impl Shape {
    fn of(header: Fields<'_>) -> Self {
        Self { fields: header.len(), id: header.iter().position(|name| name.trim_ascii() == b"id") }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Hands out one byte at a time, so that everything falls on a border.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(1).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn read_all(input: impl Read) -> Vec<String> {
        let mut records = CsvRecords::new(input);
        let mut seen = Vec::new();
        while let Some(record) = records.next().unwrap() {
            seen.push(match record {
                CsvRecord::Fields { line, fields, .. } => {
                    let fields: Vec<_> = fields.iter().map(String::from_utf8_lossy).collect();
                    format!("{line}: {}", fields.join("|"))
                }
                CsvRecord::Fault { line, last_line, fault, .. } => format!("{line}-{last_line}: {fault:?}"),
            });
        }
        seen
    }

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(read_all(text.as_bytes()), expected, "{text:?}");
        assert_eq!(read_all(Drops(text.as_bytes())), expected, "{text:?} byte by byte");
    }

    #[test]
    fn reads_records_with_their_lines() {
        check("id,query\nq1,\"SELECT\n1\"\nq2,x", &["1: id|query", "2: q1|SELECT\n1", "4: q2|x"]);
        check("\u{feff}id,query\r\n\r\nq1,x\r\n", &["1: id|query", "3: q1|x"]);
        check("id,query\rq1,x\r", &["1: id|query", "2: q1|x"]);
        check("", &[]);
        check("\n\n", &[]);
    }

    #[test]
    fn skips_rows_of_empty_fields() {
        check("a,b\n,\n \t,\"\"\nc,d\n,", &["1: a|b", "4: c|d"]);
        check(",\n\na,b\n\"\"\"\",\n", &["3: a|b", "4: \"|"]);
    }

    #[test]
    fn knows_what_separates_fields_by_the_first_line() {
        check("sep=;\r\nid;query\r\nq1;\"a;b\"\r\n", &["2: id|query", "3: q1|a;b"]);
        check("\u{feff}\"SEP=;\"\nid;query\nq1;1,5\n", &["2: id|query", "3: q1|1,5"]);
        check("sep=\t\nid\tquery\n", &["2: id|query"]);
        check("id\tquery\nq1\ta,b\n", &["1: id|query", "2: q1|a,b"]);
        check("id|query\nq1|x", &["1: id|query", "2: q1|x"]);
        check("id,\"a;b;c\"\n", &["1: id|a;b;c"]);
        check("sep=x\n", &["1: sep=x"]);
        check("sep=;", &[]);
    }

    #[test]
    fn goes_on_after_a_quote_that_does_not_close() {
        check(
            "id,query\nq1,\"SELECT\n1\nq2,\"SELECT\n2\"\nq3,x\n",
            &["1: id|query", "2-3: StrayQuote", "4: q2|SELECT\n2", "6: q3|x"],
        );
        check("id,query\nq1,\"SELECT\n1\nFROM t", &["1: id|query", "2-4: Unclosed"]);
        check("id,query\nq1,\"SELECT\n1\nq2,x\n", &["1: id|query", "2-3: Unclosed", "4: q2|x"]);
    }

    #[test]
    fn goes_on_after_quotes_that_are_not_doubled() {
        check("id,query\nq1,\"SELECT \"x\",\n y, z\nFROM t\"\nq2,x\n", &["1: id|query", "2-4: StrayQuote", "5: q2|x"]);
        check("id,query\nq1,5\" pipe\nq2,x\n", &["1: id|query", "2-2: StrayQuote", "3: q2|x"]);
    }

    #[test]
    fn a_record_that_is_too_long_does_not_take_the_file_along() {
        let long = format!("id,query\nq1,\"{}\nq2,x\n", "y\n".repeat(MAX_RECORD_BYTES));
        let seen = read_all(long.as_bytes());
        assert_eq!(seen.first().map(String::as_str), Some("1: id|query"));
        assert_eq!(seen.get(1).map(|fault| fault.ends_with("TooLong")), Some(true), "{:?}", seen.get(1));
        assert_eq!(seen.last().map(|last| last.ends_with(": q2|x")), Some(true));
    }

    proptest! {
        #[test]
        fn never_panics_and_counts_every_line(text in "[a\",\r\n]{0,60}") {
            let whole = read_all(text.as_bytes());
            prop_assert_eq!(&whole, &read_all(Drops(text.as_bytes())));
        }

        #[test]
        fn reads_back_what_was_quoted(fields in proptest::collection::vec("[a\",\r\n]{0,8}", 1..5)) {
            let quoted: Vec<_> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
            let text = quoted.join(",");
            let is_blank = fields.iter().all(|field| field.trim_ascii().is_empty());
            let expected = if is_blank { Vec::new() } else { vec![format!("1: {}", fields.join("|"))] };
            prop_assert_eq!(read_all(text.as_bytes()), expected);
        }
    }
}
