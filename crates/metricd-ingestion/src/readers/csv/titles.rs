//! Finds titles above the header of a CSV file, which would make a table of one column.

use std::collections::BTreeMap;
use std::io::Read;

use super::super::text::TextInput;
use crate::buffer::strip_byte_order_mark;
use crate::{ReadError, Reason};

/// The number of bytes in which the rows are looked for.
const SAMPLE_BYTES: u64 = 64 << 10;

/// The characters that may separate fields.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Refuses a file whose first line has no separator, but of whose other lines several have equally many. Returns to the
/// beginning of the file.
pub(super) fn refuse(input: &mut TextInput) -> Result<(), ReadError> {
    let mut beginning = Vec::new();
    input.by_ref().take(SAMPLE_BYTES).read_to_end(&mut beginning)?;
    input.rewind()?;
    let is_complete = (beginning.len() as u64) < SAMPLE_BYTES;
    match rows_below_titles(strip_byte_order_mark(&beginning), is_complete) {
        None => Ok(()),
        Some(rows) => {
            let message = format!(
                "the first line has one column, but line {} has {}, separated by `{}`: remove the lines above the names \
                 of the columns; if the file has one column, pass `--delimiter`",
                rows.line,
                rows.separators + 1,
                char::from(rows.separator).escape_default()
            );
            Err(ReadError::content(Reason::HeaderMissing, message))
        }
    }
}

/// Lines with equally many separators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rows {
    separator: u8,
    separators: usize,
    /// The first of the lines.
    line: usize,
    count: usize,
}

fn rows_below_titles(text: &[u8], is_complete: bool) -> Option<Rows> {
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    if !is_complete {
        lines.pop();
    }
    let lines = lines.into_iter().enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    let (mut is_quoted, mut is_first) = (false, true);
    let mut found = BTreeMap::<(u8, usize), Rows>::new();
    for (index, line) in lines {
        if is_first && line.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case(b"sep=")) {
            return None;
        }
        let mut counts = [0; SEPARATORS.len()];
        for byte in line {
            is_quoted ^= *byte == b'"';
            if let Some(at) = SEPARATORS.iter().position(|separator| separator == byte && !is_quoted) {
                counts[at] += 1;
            }
        }
        if std::mem::take(&mut is_first) {
            if counts != [0; SEPARATORS.len()] || is_quoted {
                return None;
            }
            continue;
        }
        for (separator, separators) in SEPARATORS.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
            let first = Rows { separator, separators, line: index + 1, count: 0 };
            found.entry((separator, separators)).or_insert(first).count += 1;
        }
    }
    found.into_values().filter(|rows| rows.count > 1).max_by_key(|rows| (rows.count, rows.separators))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<(char, usize, usize)> {
        let rows = rows_below_titles(text.as_bytes(), true)?;
        Some((char::from(rows.separator), rows.separators, rows.line))
    }

    #[test]
    fn rows_below_a_title_are_found() {
        assert_eq!(found("# Pages\n# 2025\n\nPage,Views\n/,1\n/a,2\n"), Some((',', 1, 4)));
        assert_eq!(found("Report\n---\n|a|b|\n---\n|1|2|\n|3,5|4|\n"), Some(('|', 3, 3)));
        assert_eq!(found("Umsatz\r\n\r\na;b\r\n1,5;2\r\n2,5;3\r\n"), Some((';', 1, 3)));
    }

    #[test]
    fn a_file_of_one_column_has_no_title() {
        for text in
            ["", "a\n1\n2\n", "note\n\"a, b\"\n\"c, d\"\n", "note\na, b\nc\n", "a,b\n1,2\n1,2\n", "sep=;\na;b\n1;2\n"]
        {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
