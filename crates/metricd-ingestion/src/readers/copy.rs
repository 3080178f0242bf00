//! Reads the rows of a table in a plain dump of PostgreSQL: the lines between `COPY … FROM stdin;` and `\.`.

use std::io::{BufRead, BufReader, Read};
use std::str::from_utf8;

use metricd_domain::{MAX_TABLE_COLUMNS, ReadOptions};

use super::text::{TextInput, decoded_beginning};
use super::{not_utf8, row_fault, too_many_columns, untyped_column};
use crate::csv::{MAX_RECORD_BYTES, explain_width};
use crate::{CellKind, Next, ReadError, ReadSeek, Reason, RowFault, SourceColumn, SourceRow, TableFormat, TableReader};

/// A plain dump of one table, as `pg_dump --table` writes it. Other SQL in it is skipped.
#[derive(Debug, Clone, Copy, Default)]
pub struct CopyFormat;

impl TableFormat for CopyFormat {
    fn name(&self) -> &'static str {
        "PostgreSQL dump"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["sql"]
    }

    fn detect(&self, beginning: &[u8]) -> bool {
        let decoded = decoded_beginning(beginning);
        let beginning = decoded.as_deref().map_or(beginning, str::as_bytes);
        let mut lines = beginning.split(|byte| *byte == b'\n');
        lines.any(|line| line.starts_with(b"-- PostgreSQL database dump") || Statement::parse(line).is_some())
    }

    fn open(&self, file: Box<dyn ReadSeek>, options: &ReadOptions) -> Result<Box<dyn TableReader>, ReadError> {
        let input = TextInput::open(file, options.encoding.as_deref())?;
        let mut lines = Lines { input: BufReader::new(input), line: 0, text: Vec::new() };
        while lines.next()? != Line::End {
            let Some(statement) = Statement::parse(&lines.text) else { continue };
            if statement.columns.len() > MAX_TABLE_COLUMNS {
                return Err(too_many_columns(statement.columns.len()));
            }
            let columns = statement.columns.into_iter().map(untyped_column).collect();
            return Ok(Box::new(CopyReader { lines, table: statement.table, columns, has_ended: false }));
        }
        let message = "the dump has no rows: expected `COPY table (columns) FROM stdin;`, as `pg_dump` writes without \
                       `--inserts` and `--schema-only`";
        Err(ReadError::content(Reason::FileUnrecognised, message))
    }
}

/// The beginning of a block of rows.
#[derive(Debug, PartialEq, Eq)]
struct Statement {
    table: String,
    columns: Vec<String>,
}

impl Statement {
    /// Parses `COPY schema.name (a, "B") FROM stdin;`. `None` if the line is anything else.
    fn parse(line: &[u8]) -> Option<Self> {
        let line = from_utf8(line).ok()?.trim_end();
        let (table, rest) = line.strip_prefix("COPY ")?.split_once(" (")?;
        let mut rest = rest.strip_suffix(") FROM stdin;")?;
        let mut columns = Vec::new();
        loop {
            let (column, after) = identifier(rest)?;
            columns.push(column);
            match after.strip_prefix(", ") {
                Some(next) => rest = next,
                None => return after.is_empty().then(|| Self { table: table.to_owned(), columns }),
            }
        }
    }
}

/// Reads a name, which may be in quotes, and returns what follows.
fn identifier(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        return (!name.is_empty()).then(|| (name.to_owned(), rest));
    };
    let (mut name, mut rest) = (String::new(), quoted);
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, after)),
        }
    }
}

/// What was read into the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// A line without its end.
    Text,
    /// The beginning of a line that exceeds the maximum size. The rest was skipped.
    TooLong,
    End,
}

/// The lines of a file.
#[derive(Debug)]
struct Lines {
    input: BufReader<TextInput>,
    line: u64,
    text: Vec<u8>,
}

impl Lines {
    fn next(&mut self) -> Result<Line, ReadError> {
        self.text.clear();
        let count = self.input.by_ref().take(MAX_RECORD_BYTES as u64 + 1).read_until(b'\n', &mut self.text)?;
        if count == 0 {
            return Ok(Line::End);
        }
        self.line += 1;
        if self.text.pop_if(|last| *last == b'\n').is_some() {
            self.text.pop_if(|last| *last == b'\r');
            return Ok(Line::Text);
        }
        if count <= MAX_RECORD_BYTES {
            return Ok(Line::Text);
        }
        self.input.skip_until(b'\n')?;
        Ok(Line::TooLong)
    }
}

/// Reads the rows of a block.
#[derive(Debug)]
struct CopyReader {
    lines: Lines,
    table: String,
    columns: Vec<SourceColumn>,
    has_ended: bool,
}

impl TableReader for CopyReader {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn read(&mut self, row: &mut SourceRow) -> Result<Next, ReadError> {
        row.clear();
        if self.has_ended {
            return Ok(Next::End);
        }
        let next = self.lines.next()?;
        let (line, text) = (self.lines.line, self.lines.text.as_slice());
        match next {
            Line::End => {
                let message = "the file ends before its rows do: expected a line with `\\.`";
                Err(ReadError::content(Reason::FileTruncated, message))
            }
            Line::TooLong => {
                let message = format!("a record has more than {MAX_RECORD_BYTES} bytes");
                Ok(Next::Fault(row_fault(line, Reason::RecordTooLong, message, text)))
            }
            Line::Text if text == b"\\." => {
                self.has_ended = true;
                self.refuse_other_tables()?;
                Ok(Next::End)
            }
            Line::Text => Ok(match read_line(&self.columns, line, text, row) {
                Ok(()) => Next::Row { line },
                Err(fault) => Next::Fault(fault),
            }),
        }
    }
}

impl CopyReader {
    fn refuse_other_tables(&mut self) -> Result<(), ReadError> {
        let mut tables = vec![self.table.clone()];
        while self.lines.next()? != Line::End {
            tables.extend(Statement::parse(&self.lines.text).map(|statement| statement.table));
        }
        if tables.len() == 1 {
            return Ok(());
        }
        let message = format!(
            "the dump has the rows of several tables (`{}`): dump each with `pg_dump --data-only --table`",
            tables.join("`, `")
        );
        Err(ReadError::content(Reason::TablesSeveral, message))
    }
}

/// Appends the fields of a line to the row.
fn read_line(columns: &[SourceColumn], line: u64, text: &[u8], row: &mut SourceRow) -> Result<(), RowFault> {
    let count = text.split(|byte| *byte == b'\t').count();
    if count != columns.len() {
        let message = explain_width(count, columns.len(), false);
        return Err(row_fault(line, Reason::RowRagged, message, text));
    }
    for (field, column) in text.split(|byte| *byte == b'\t').zip(columns) {
        if field == b"\\N" {
            row.push_null();
            continue;
        }
        let unescaped = if field.contains(&b'\\') { Some(unescape(field)) } else { None };
        match from_utf8(unescaped.as_deref().unwrap_or(field)) {
            // Only `\N` means no value, so blanks and a text `\N` are texts.
            Ok(text) if text.trim().is_empty() || text.trim() == "\\N" => row.push(CellKind::String, text),
            Ok(text) => row.push(CellKind::Untyped, text),
            Err(error) => {
                let fault = row_fault(line, Reason::TextEncoding, not_utf8(error.valid_up_to()), field);
                return Err(RowFault { column: Some(column.name.clone()), ..fault });
            }
        }
    }
    Ok(())
}

/// Resolves the escapes of PostgreSQL's text format.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let Some((escape, after_escape)) = after.split_first().filter(|_| *first == b'\\') else {
            text.push(*first);
            rest = after;
            continue;
        };
        rest = after_escape;
        text.push(match escape {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'0'..=b'7' => {
                rest = after;
                code(&mut rest, 8, 3)
            }
            b'x' if rest.first().is_some_and(u8::is_ascii_hexdigit) => code(&mut rest, 16, 2),
            other => *other,
        });
    }
    text
}

/// Reads the digits of the code of a byte. PostgreSQL keeps its lowest 8 bits.
fn code(rest: &mut &[u8], base: u32, max_digits: usize) -> u8 {
    let mut code = 0_u32;
    for _ in 0..max_digits {
        let Some((digit, after)) = rest.split_first() else { break };
        let Some(digit) = char::from(*digit).to_digit(base) else { break };
        code = code * base + digit;
        *rest = after;
    }
    u8::try_from(code & 0xff).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_begins_with_the_names_of_its_columns() {
        let statement =
            Statement::parse(b"COPY public.sales (id, \"Order, \"\"Date\"\"\", amount) FROM stdin;\n").unwrap();
        assert_eq!(statement.table, "public.sales");
        assert_eq!(statement.columns, ["id", "Order, \"Date\"", "amount"]);
        for line in
            ["COPY sales FROM stdin;", "COPY sales (a) FROM '/tmp/a';", "COPY a (b,c) FROM stdin; x", "SELECT 1;", ""]
        {
            assert_eq!(Statement::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn escapes_are_resolved() {
        for (field, expected) in [
            (&br"a\tb\nc\\N"[..], &b"a\tb\nc\\N"[..]),
            (br"\b\f\r\v", b"\x08\x0c\r\x0b"),
            (br"\101\x42\x4g\9", b"AB\x04g9"),
            (br"\\.", br"\."),
            (br"a\", br"a\"),
        ] {
            assert_eq!(unescape(field), expected);
        }
    }
}
