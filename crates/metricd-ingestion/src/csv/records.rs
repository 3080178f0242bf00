//! Reads a CSV file record by record, in constant memory.

use std::io::{self, Read};

use metricd_domain::QueryId;

use super::fields::{FieldSplitter, Fields};
use super::scan::{Scan, line_ends, next_line, scan};
use crate::buffer::{BYTE_ORDER_MARK, READ_CHUNK_BYTES, fill};

/// The maximum size of a record, in bytes. A longer record is a fault; otherwise an unclosed quote would consume the
/// rest of the file.
pub(crate) const MAX_RECORD_BYTES: usize = 1 << 20;

/// A syntax fault of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CsvFault {
    /// A quote is misplaced.
    StrayQuote,
    /// A quoted field is not closed before the end of the file.
    Unclosed,
    /// The record has more than [`MAX_RECORD_BYTES`] bytes. `is_quoted` if a quoted field in it does not end.
    TooLong { is_quoted: bool },
}

/// The next record or fault of a CSV file.
#[derive(Debug)]
pub(crate) enum CsvRecord<'a> {
    /// A record with balanced quotes. `is_last` is true if no line end follows, as in a truncated file.
    Fields { line: u64, fields: Fields<'a>, is_last: bool },
    /// The lines from `line` to `last_line`, which could not be read. The next record begins after them.
    Fault { line: u64, last_line: u64, fault: CsvFault, text: &'a [u8] },
}

/// Reads a CSV file record by record, and skips blank lines and rows of empty fields.
///
/// The separator is a comma, a semicolon, a tab or a bar. The first line declares it (`sep=;`, as Excel writes);
/// otherwise it is the most frequent of these in the first line.
///
/// After a fault, reading resumes at the next line that looks like the start of a record. Such a line has as many
/// fields as the first record, and a valid id in the column `id` if the first record has that column.
#[derive(Debug)]
pub(crate) struct CsvRecords<R> {
    input: R,
    buffer: Vec<u8>,
    /// The position of the next record in the buffer.
    start: usize,
    line: u64,
    begun: bool,
    input_ended: bool,
    /// The separator that the caller declares.
    declared_separator: Option<u8>,
    /// Whether a column `id` has valid ids.
    has_ids: bool,
    separator: u8,
    splitter: FieldSplitter,
    shape: Option<Shape>,
}

impl<R: Read> CsvRecords<R> {
    /// Reads from `input`, and skips a byte-order mark at its start.
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            start: 0,
            line: 1,
            begun: false,
            input_ended: false,
            declared_separator: None,
            has_ids: true,
            separator: b',',
            splitter: FieldSplitter::new(b','),
            shape: None,
        }
    }

    /// Reads a table from `input`, whose columns may have any values. `separator` is detected if it is `None`.
    pub(crate) fn of_table(input: R, separator: Option<u8>) -> Self {
        Self { declared_separator: separator, has_ids: false, ..Self::new(input) }
    }

    /// The next record or fault. `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<CsvRecord<'_>>> {
        loop {
            // The buffer is compacted only here, so positions in it stay valid for the rest of the iteration.
            if self.start >= READ_CHUNK_BYTES {
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
                    let next = match fault {
                        CsvFault::TooLong { is_quoted: false } => self.skip_line()?,
                        _ => self.find_resumption()?,
                    };
                    let begin = self.advance(next);
                    let text = &self.buffer[begin..next];
                    let ends_line = text.ends_with(b"\n") || text.ends_with(b"\r");
                    let last_line = self.line - u64::from(ends_line);
                    return Ok(Some(CsvRecord::Fault { line, last_line, fault, text }));
                }
            }
        }
    }

    /// Whether all fields of a record are empty. Spreadsheets leave such rows below a table.
    fn is_blank(&mut self, begin: usize, end: usize, fields: usize) -> bool {
        let record = &self.buffer[begin..end];
        let may_be = |byte: &u8| *byte == b'"' || *byte == self.separator || byte.is_ascii_whitespace();
        record.iter().all(may_be)
            && self.splitter.split(record, fields).iter().all(|field| field.trim_ascii().is_empty())
    }

    /// Advances to `next`, and returns the previous position.
    fn advance(&mut self, next: usize) -> usize {
        let begin = std::mem::replace(&mut self.start, next);
        self.line += line_ends(&self.buffer[begin..next]);
        begin
    }

    /// Scans the record that begins at `from`.
    fn scan_at(&mut self, from: usize) -> io::Result<Result<Extent, CsvFault>> {
        loop {
            let text = &self.buffer[from..];
            match scan(text, self.separator) {
                Scan::StrayQuote => return Ok(Err(CsvFault::StrayQuote)),
                Scan::Record { end, .. } if end > MAX_RECORD_BYTES => {
                    return Ok(Err(CsvFault::TooLong { is_quoted: false }));
                }
                // If the line end is the last byte, it may be the first half of CRLF, so more is read first.
                Scan::Record { end, next, fields } if self.input_ended || next < text.len() => {
                    return Ok(Ok(Extent { end: from + end, next: from + next, fields }));
                }
                Scan::Unclosed if text.len() > MAX_RECORD_BYTES => {
                    return Ok(Err(CsvFault::TooLong { is_quoted: true }));
                }
                Scan::Unclosed if self.input_ended => return Ok(Err(CsvFault::Unclosed)),
                Scan::Record { .. } | Scan::Unclosed => self.fill()?,
            }
        }
    }

    /// Finds the end of the line at `start`, and drops its middle: it may be longer than the memory.
    fn skip_line(&mut self) -> io::Result<usize> {
        let mut at = self.start;
        loop {
            match next_line(&self.buffer[at..]) {
                // If the line end is the last byte, it may be the first half of CRLF, so more is read first.
                Some(step) if at + step < self.buffer.len() || self.input_ended => return Ok(at + step),
                None if self.input_ended => return Ok(self.buffer.len()),
                Some(_) => {}
                None => {
                    at = (self.start + READ_CHUNK_BYTES).min(self.buffer.len());
                    self.buffer.truncate(at);
                }
            }
            self.fill()?;
        }
    }

    /// Finds the start of the next record that looks valid after the fault at `start`. Stops at the maximum size of a
    /// record.
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
        let id = shape.id.filter(|_| self.has_ids).and_then(|index| fields.get(index)).map(String::from_utf8_lossy);
        Ok(id.is_none_or(|id| QueryId::parse(id).is_ok()))
    }

    /// Skips a byte-order mark and a line `sep=;`, and detects the separator.
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
        // If the line end is the last byte, it may be the first half of CRLF, so more is read first.
        let next = loop {
            let text = &self.buffer[self.start..];
            match next_line(text) {
                Some(next) if next < text.len() || self.input_ended => break next,
                None if self.input_ended || text.len() > MAX_RECORD_BYTES => break text.len(),
                Some(_) | None => self.fill()?,
            }
        };
        let line = &self.buffer[self.start..self.start + next];
        let (separator, is_declared) = separator_of(line);
        if is_declared {
            self.advance(self.start + next);
        }
        let separator = self.declared_separator.unwrap_or(separator);
        self.separator = separator;
        self.splitter = FieldSplitter::new(separator);
        Ok(())
    }

    /// Skips blank lines, and returns `false` if nothing follows.
    fn skip_blank_lines(&mut self) -> io::Result<bool> {
        loop {
            let text = &self.buffer[self.start..];
            let blank = text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let is_end = blank == text.len();
            // One half of a CRLF must not be counted as a line end.
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

/// The supported separators, most common first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The separator of a file with this first line, and whether the line only declares the separator.
fn separator_of(line: &[u8]) -> (u8, bool) {
    let declared = line.trim_ascii_end();
    let declared = declared.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(declared);
    // Trimming removed a tab at the end.
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
    // Of equal counts the first separator wins, whereas `max_by_key` would return the last.
    let most = SEPARATORS.iter().zip(counts).rev().max_by_key(|(_, count)| *count);
    (most.map_or(b',', |(separator, _)| *separator), false)
}

/// The extent of a record: the position of its end, the position of the next record, and its number of fields.
#[derive(Debug, Clone, Copy)]
struct Extent {
    end: usize,
    next: usize,
    fields: usize,
}

/// The number of fields of the first record, and the position of its field `id`.
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

    /// Returns one byte per read, so that every position is a chunk boundary.
    struct SingleBytes<'a>(&'a [u8]);

    impl Read for SingleBytes<'_> {
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
        assert_eq!(read_all(SingleBytes(text.as_bytes())), expected, "{text:?} byte by byte");
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
    fn detects_the_separator_in_the_first_line() {
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
    fn resumes_after_an_unclosed_quote() {
        check(
            "id,query\nq1,\"SELECT\n1\nq2,\"SELECT\n2\"\nq3,x\n",
            &["1: id|query", "2-3: StrayQuote", "4: q2|SELECT\n2", "6: q3|x"],
        );
        check("id,query\nq1,\"SELECT\n1\nFROM t", &["1: id|query", "2-4: Unclosed"]);
        check("id,query\nq1,\"SELECT\n1\nq2,x\n", &["1: id|query", "2-3: Unclosed", "4: q2|x"]);
    }

    #[test]
    fn resumes_after_quotes_that_are_not_doubled() {
        check("id,query\nq1,\"SELECT \"x\",\n y, z\nFROM t\"\nq2,x\n", &["1: id|query", "2-4: StrayQuote", "5: q2|x"]);
        check("id,query\nq1,5\" pipe\nq2,x\n", &["1: id|query", "2-2: StrayQuote", "3: q2|x"]);
    }

    #[test]
    fn resumes_after_a_record_that_is_too_long() {
        let long = format!("id,query\nq1,\"{}\nq2,x\n", "y\n".repeat(MAX_RECORD_BYTES));
        let seen = read_all(long.as_bytes());
        assert_eq!(seen.first().map(String::as_str), Some("1: id|query"));
        assert_eq!(
            seen.get(1).map(|fault| fault.ends_with("TooLong { is_quoted: true }")),
            Some(true),
            "{:?}",
            seen.get(1)
        );
        assert_eq!(seen.last().map(|last| last.ends_with(": q2|x")), Some(true));
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_as_a_whole_in_constant_memory() {
        let long = 4 * MAX_RECORD_BYTES;
        for end in ["\n", "\r\n", "\r"] {
            let text = format!("id,query{end}q1,{}{end}q2,x{end}", "y".repeat(long));
            let mut records = CsvRecords::new(text.as_bytes());
            records.next().unwrap();
            match records.next().unwrap() {
                Some(CsvRecord::Fault {
                    line: 2, last_line: 2, fault: CsvFault::TooLong { is_quoted: false }, ..
                }) => {}
                other => panic!("{other:?}"),
            }
            assert!(records.buffer.capacity() <= 2 * MAX_RECORD_BYTES, "{}", records.buffer.capacity());
            match records.next().unwrap() {
                Some(CsvRecord::Fields { line: 3, fields, .. }) => assert_eq!(fields.record(), b"q2,x"),
                other => panic!("{other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_counts_every_line(text in "[a\",\r\n]{0,60}") {
            let whole = read_all(text.as_bytes());
            prop_assert_eq!(&whole, &read_all(SingleBytes(text.as_bytes())));
        }

        #[test]
        fn quoted_fields_round_trip(fields in proptest::collection::vec("[a\",\r\n]{0,8}", 1..5)) {
            let quoted: Vec<_> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
            let text = quoted.join(",");
            let is_blank = fields.iter().all(|field| field.trim_ascii().is_empty());
            let expected = if is_blank { Vec::new() } else { vec![format!("1: {}", fields.join("|"))] };
            prop_assert_eq!(read_all(text.as_bytes()), expected);
        }
    }
}
