//! Rows of record batches, which Parquet and Arrow have in common.

use std::any::Any;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema, TimeUnit};
use metricd_domain::MAX_TABLE_COLUMNS;
use metricd_ingestion::{CellKind, Next, ReadError, Reason, RowFault, SourceColumn, SourceRow, TableReader};

use super::values::{self, Fault, Form};

/// The maximum number of rows for each byte of a file. Formats that encode runs could otherwise have any number of rows
/// in a few bytes.
const MAX_ROWS_PER_BYTE: u64 = 1_000;

/// The number of rows that any file may have.
const MIN_ROW_LIMIT: u64 = 1 << 20;

/// An error for content that the format does not allow.
pub(super) fn malformed(message: impl Into<String>) -> ReadError {
    ReadError::Content { reason: Reason::FileMalformed, message: message.into() }
}

/// An error for content that would take too much memory or disk.
pub(super) fn expands(message: impl Into<String>) -> ReadError {
    ReadError::Content { reason: Reason::FileExpands, message: message.into() }
}

/// Refuses a number of rows that no file of this size has.
pub(super) fn check_rows(rows: u64, file_bytes: u64) -> Result<(), ReadError> {
    let limit = file_bytes.saturating_mul(MAX_ROWS_PER_BYTE).max(MIN_ROW_LIMIT);
    if rows > limit {
        let message = format!("the file claims {rows} rows in {file_bytes} bytes: expected at most {limit} rows");
        return Err(expands(message));
    }
    Ok(())
}

/// Refuses a number of columns that no table can have.
pub(super) fn check_columns(count: usize) -> Result<(), ReadError> {
    match count {
        0 => Err(malformed("the file has no columns")),
        1..=MAX_TABLE_COLUMNS => Ok(()),
        _ => Err(malformed(format!("the file has {count} columns: expected at most {MAX_TABLE_COLUMNS}"))),
    }
}

/// Runs code of a library that may panic on hostile content. A panic becomes an error.
///
/// The panic hook of the process still runs. Nothing can catch an allocation that fails, or a full stack.
pub(super) fn guard<T>(run: impl FnOnce() -> Result<T, ReadError>) -> Result<T, ReadError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
        Err(malformed(format!("the content cannot be decoded: {text}")))
    })
}

/// A source of record batches.
pub(super) trait Batches: Debug + Send {
    /// The next batch. `None` at the end of the file.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ReadError>;
}

/// The positions of the columns with timestamps in nanoseconds.
pub(super) fn nanosecond_columns(schema: &Schema) -> Vec<usize> {
    let is_nanoseconds = |data_type: &DataType| match data_type {
        DataType::Dictionary(_, values) => matches!(**values, DataType::Timestamp(TimeUnit::Nanosecond, _)),
        DataType::RunEndEncoded(_, values) => {
            matches!(values.data_type(), DataType::Timestamp(TimeUnit::Nanosecond, _))
        }
        other => matches!(other, DataType::Timestamp(TimeUnit::Nanosecond, _)),
    };
    let fields = schema.fields().iter().enumerate();
    fields.filter(|(_, field)| is_nanoseconds(field.data_type())).map(|(index, _)| index).collect()
}

/// The rows of record batches as text.
#[derive(Debug)]
pub(super) struct BatchTable<B> {
    batches: B,
    columns: Vec<SourceColumn>,
    forms: Vec<Form>,
    batch: Option<RecordBatch>,
    next_row: usize,
    line: u64,
    failed: bool,
}

impl<B: Batches> BatchTable<B> {
    /// Describes the columns. `has_nanoseconds` says for each column whether PostgreSQL would lose digits of its
    /// timestamps.
    pub(super) fn new(batches: B, schema: &Schema, has_nanoseconds: &[bool]) -> Result<Self, ReadError> {
        check_columns(schema.fields().len())?;
        let described: Vec<_> = schema
            .fields()
            .iter()
            .enumerate()
            .map(|(index, field)| values::describe(field, has_nanoseconds.get(index).copied().unwrap_or_default()))
            .collect::<Result<_, _>>()?;
        let (columns, forms) = described.into_iter().unzip();
        Ok(Self { batches, columns, forms, batch: None, next_row: 0, line: 0, failed: false })
    }

    fn next_row(&mut self, row: &mut SourceRow) -> Result<Next, ReadError> {
        while self.batch.as_ref().is_none_or(|batch| self.next_row >= batch.num_rows()) {
            self.batch = None;
            self.next_row = 0;
            self.batch = self.batches.next_batch()?;
            if self.batch.is_none() {
                return Ok(Next::End);
            }
        }
        let Some(batch) = &self.batch else { return Ok(Next::End) };
        if batch.num_columns() != self.columns.len() {
            return Err(malformed("a batch of rows lacks a column"));
        }
        let index = self.next_row;
        self.next_row += 1;
        self.line += 1;
        for (position, (array, form)) in batch.columns().iter().zip(&self.forms).enumerate() {
            let Some((array, index)) = values::resolve(array.as_ref(), index) else {
                row.push_null();
                continue;
            };
            let mut outcome = Ok(());
            row.push_with(CellKind::Typed, |text| outcome = values::write(array, index, *form, text));
            if let Err(Fault { reason, message, value }) = outcome {
                let column = self.columns.get(position).map(|column| column.name.clone());
                let (line, last_line) = (self.line, self.line);
                return Ok(Next::Fault(RowFault { line, last_line, reason, message, value, column }));
            }
        }
        Ok(Next::Row { line: self.line })
    }
}

impl<B: Batches> TableReader for BatchTable<B> {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn read(&mut self, row: &mut SourceRow) -> Result<Next, ReadError> {
        row.clear();
        if self.failed {
            return Err(malformed("the rest of the file cannot be read"));
        }
        let next = guard(|| self.next_row(row));
        self.failed = next.is_err();
        next
    }
}
