//! Writes the rows of a file as PostgreSQL's CSV.

use std::str::from_utf8;

use metricd_domain::{BrokenCheck, ColumnJudge, ColumnType, ReadOptions, TableColumn};

use super::format::{InvalidDateFormat, ValueFormat, trim};
use super::row_size::{MAX_ROW_BYTES, RowSize};
use super::values::{self, Written};
use crate::{CellKind, Reason, RowFault, SourceRow};

/// The number of characters of a refused value that is kept.
const MAX_VALUE_CHARS: usize = 400;

/// Checks rows against the columns of a table, and writes them for `COPY … FROM STDIN (FORMAT csv)`: commas between
/// the fields, a line feed at the end, an empty field without quotes for no value.
#[derive(Debug)]
pub struct TypedRowWriter {
    format: ValueFormat,
    columns: Vec<Target>,
}

/// A column of the table.
#[derive(Debug)]
struct Target {
    name: String,
    data_type: ColumnType,
    is_required: bool,
    /// `None` if every value of the type passes.
    judge: Option<ColumnJudge>,
    /// The position of the column in the file. `None` if the file does not have it.
    position: Option<usize>,
    padded: u64,
    first_padded: u64,
}

/// The values of a column that were stored with blanks at either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Padded<'a> {
    /// The name of the column.
    pub column: &'a str,
    /// The number of values.
    pub count: u64,
    /// The line of the first one.
    pub first_line: u64,
}

impl TypedRowWriter {
    /// Makes a writer for a table with these columns. `positions` has the position of each of them in the rows of the
    /// file, or `None` if the file does not have it. A column beyond the end of `positions` is not in the file.
    ///
    /// # Errors
    ///
    /// [`InvalidDateFormat`] if the format of dates is none.
    pub fn new(
        columns: &[TableColumn],
        positions: &[Option<usize>],
        format: &ReadOptions,
    ) -> Result<Self, InvalidDateFormat> {
        let positions = positions.iter().copied().chain(std::iter::repeat(None));
        let target = |(column, position): (&TableColumn, Option<usize>)| Target {
            name: column.name.to_string(),
            data_type: column.data_type,
            is_required: column.required,
            // A table has valid checks.
            judge: ColumnJudge::new(column.data_type, &column.checks).ok().filter(|_| !column.checks.is_empty()),
            position,
            padded: 0,
            first_padded: 0,
        };
        Ok(Self { format: ValueFormat::new(format)?, columns: columns.iter().zip(positions).map(target).collect() })
    }

    /// Appends a row that begins on this line to `output`. If a value is refused, nothing is appended, and all faults
    /// of the row are appended to `faults`. Returns whether the row was appended.
    pub fn write(&mut self, line: u64, row: &SourceRow, output: &mut Vec<u8>, faults: &mut Vec<RowFault>) -> bool {
        let (begin, fault_count) = (output.len(), faults.len());
        let (mut separator, mut size) = (None, RowSize::new(self.columns.len()));
        for column in &mut self.columns {
            output.extend(separator);
            separator = Some(b',');
            let (kind, text) = column.position.and_then(|position| row.cell(position)).unwrap_or((CellKind::Null, ""));
            let value_begin = output.len();
            match values::write(column.data_type, kind, text, &self.format, output) {
                Ok(Written::Value) => {
                    let written = output.get(value_begin..).unwrap_or_default();
                    faults.extend(column.judge(line, text, written));
                    size.add(column.data_type, output.len() - value_begin);
                    if kind == CellKind::Untyped
                        && column.data_type == ColumnType::Text
                        && trim(text).len() < text.len()
                    {
                        column.first_padded = if column.padded == 0 { line } else { column.first_padded };
                        column.padded += 1;
                    }
                }
                Ok(Written::Null) if !column.is_required => {}
                Ok(Written::Null) => {
                    let message = format!("`{}` has no value, but every row needs one", column.name).into();
                    faults.push(column.fault(line, text, (Reason::ValueMissing, message)));
                }
                Err(fault) => faults.push(column.fault(line, text, fault)),
            }
        }
        output.push(b'\n');
        if let Some(bytes) = size.excess() {
            faults.push(self.too_wide(line, bytes));
        }
        let is_valid = faults.len() == fault_count;
        if !is_valid {
            output.truncate(begin);
        }
        is_valid
    }

    #[cold]
    fn too_wide(&self, line: u64, bytes: usize) -> RowFault {
        let message = format!(
            "the row needs at least {bytes} bytes in PostgreSQL, which stores at most {MAX_ROW_BYTES} in a row however its \
             long texts are kept: leave out some of the {} columns, or split the file into two tables",
            self.columns.len()
        );
        RowFault { line, last_line: line, reason: Reason::RecordTooLong, message, value: None, column: None }
    }

    /// The columns of text with values that have blanks at either end, which are stored.
    pub fn padded(&self) -> impl Iterator<Item = Padded<'_>> {
        let padded = self.columns.iter().filter(|column| column.padded > 0);
        padded.map(|column| Padded { column: &column.name, count: column.padded, first_line: column.first_padded })
    }
}

impl Target {
    /// The fault of a value that breaks a check of the column.
    #[inline]
    fn judge(&self, line: u64, text: &str, written: &[u8]) -> Option<RowFault> {
        let judge = self.judge.as_ref()?;
        // Of a text, what was written may have quotes.
        let value = if self.data_type == ColumnType::Text { text } else { from_utf8(written).unwrap_or_default() };
        let broken = judge.judge(value)?;
        let reason = match broken {
            BrokenCheck::NotListed(_) => Reason::ValueNotListed,
            BrokenCheck::BelowMinimum(_) | BrokenCheck::AboveMaximum(_) => Reason::ValueOutOfRange,
        };
        Some(self.fault(line, text, (reason, format!("expected {broken}").into())))
    }

    #[cold]
    fn fault(&self, line: u64, text: &str, (reason, message): values::Fault) -> RowFault {
        RowFault {
            line,
            last_line: line,
            reason,
            message: message.into_owned(),
            value: Some(text.chars().take(MAX_VALUE_CHARS).collect()),
            column: Some(self.name.clone()),
        }
    }
}
