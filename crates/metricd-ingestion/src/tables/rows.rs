//! Reads the rows of a content in the form in which a store loads them.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use metricd_domain::{Location, TableName};
use metricd_repository::RowForm;

use super::file::{Pass, TableFile};
use super::planned::{PlannedContent, PlannedTable};
use crate::columns::TypedRowWriter;
use crate::findings::Findings;
use crate::source::{Next, ReadError, RowFault, SourceRow, TableReader};
use crate::{Progress, Reason};

/// The number of bytes after which a chunk of rows is complete.
const CHUNK_BYTES: usize = 64 << 10;

/// Reads contents one after another. A content may be read again: only what the last reading found is kept.
#[derive(Debug, Default)]
pub(crate) struct RowReader {
    open: Option<OpenContent>,
    found: BTreeMap<(TableName, usize), FoundRows>,
}

/// What reading a content found.
#[derive(Debug, Default)]
pub(crate) struct FoundRows {
    pub(crate) read: u64,
    pub(crate) refused: u64,
    pub(crate) findings: Findings,
}

#[derive(Debug)]
struct OpenContent {
    key: (TableName, usize),
    file: String,
    form: RowForm,
    reader: Box<dyn TableReader>,
    writer: TypedRowWriter,
    row: SourceRow,
    faults: Vec<RowFault>,
}

impl RowReader {
    /// What was found in each content, by the name of the table and the index of the content.
    pub(crate) fn into_found(self) -> BTreeMap<(TableName, usize), FoundRows> {
        self.found
    }

    /// The number of rows of a content that were read, with those that were refused.
    pub(crate) fn read_rows(&self, table: &TableName, content: usize) -> u64 {
        self.found.get(&(table.clone(), content)).map_or(0, |found| found.read)
    }

    pub(crate) fn open(
        &mut self,
        table: &PlannedTable,
        (index, content): (usize, &PlannedContent),
        file: &TableFile,
        form: RowForm,
        progress: &Arc<dyn Progress>,
    ) -> io::Result<()> {
        let key = (table.table.name().clone(), index);
        self.found.insert(key.clone(), FoundRows::default());
        let name = file.input.name().to_owned();
        let reader = file.open(&content.options, Pass::Load, progress).map_err(|error| readable(&name, error))?;
        let writer = TypedRowWriter::new(table.table.columns(), &content.positions, &content.options);
        let writer = writer.map_err(|error| io::Error::other(error.to_string()))?;
        let (row, faults) = (SourceRow::default(), Vec::new());
        self.open = Some(OpenContent { key, file: name, form, reader, writer, row, faults });
        Ok(())
    }

    /// Appends the next rows, and returns their number, which is 0 at the end.
    pub(crate) fn next(&mut self, rows: &mut Vec<u8>) -> io::Result<u64> {
        let Some(open) = &mut self.open else { return Ok(0) };
        let found = self.found.entry(open.key.clone()).or_default();
        let mut count = 0;
        while rows.len() < CHUNK_BYTES {
            match open.reader.read(&mut open.row).map_err(|error| readable(&open.file, error))? {
                Next::Row { line } => {
                    found.read += 1;
                    count += u64::from(open.write(line, rows, found)?);
                }
                Next::Fault(fault) => {
                    found.read += 1;
                    found.refused += 1;
                    refuse(&open.file, fault, &mut found.findings);
                }
                Next::End => {
                    for padded in open.writer.padded() {
                        let values =
                            if padded.count == 1 { "1 value has" } else { &format!("{} values have", padded.count) };
                        let message = format!("{values} leading or trailing blanks, first here; they are kept");
                        let column = Some(padded.column.to_owned());
                        let location =
                            Location { file: open.file.clone(), line: Some(padded.first_line), column, pointer: None };
                        found.findings.notice(location, Reason::TextPadded, message);
                    }
                    self.open = None;
                    break;
                }
            }
        }
        Ok(count)
    }
}

impl OpenContent {
    /// Appends the row, unless a value is refused. Returns whether it was appended.
    fn write(&mut self, line: u64, rows: &mut Vec<u8>, found: &mut FoundRows) -> io::Result<bool> {
        let begin = rows.len();
        if self.form == RowForm::PositionAndValues {
            write!(rows, "{line},")?;
        }
        let is_valid = self.writer.write(line, &self.row, rows, &mut self.faults);
        if !is_valid {
            rows.truncate(begin);
            found.refused += 1;
            for fault in self.faults.drain(..) {
                refuse(&self.file, fault, &mut found.findings);
            }
        }
        Ok(is_valid)
    }
}

fn refuse(file: &str, fault: RowFault, findings: &mut Findings) {
    let location = Location { file: file.to_owned(), line: Some(fault.line), column: fault.column, pointer: None };
    let skipped = if fault.last_line > fault.line {
        format!("; lines {} to {} were skipped", fault.line, fault.last_line)
    } else {
        String::new()
    };
    findings.refuse(location, fault.value.as_deref(), fault.reason, fault.message + &skipped);
}

/// The error of a file that cannot be read to its end.
fn readable(file: &str, error: ReadError) -> io::Error {
    match error {
        ReadError::Io(error) if error.raw_os_error().is_some() => {
            io::Error::new(error.kind(), format!("`{file}`: {error}"))
        }
        ReadError::Io(error) => error,
        ReadError::Content { message, .. } => io::Error::other(format!("`{file}`: {message}")),
    }
}
