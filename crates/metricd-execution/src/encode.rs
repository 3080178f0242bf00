//! Encodes values from PostgreSQL's binary and text formats as JSON, NDJSON and CSV, directly into the buffer of the
//! response.
//!
//! `field` selects the encoder of a value by its type. The encoders are in `number`, `calendar`, `array`,
//! `array_literal` and `digits`. `csv`, `ndjson`, `json_rows` and `json_columns` write rows. `numbers`
//! decides which numbers are texts. `file` is the port of the formats that an adapter writes, and `archive` has
//! those of several results in one file.

mod archive;
mod array;
mod array_literal;
mod calendar;
mod csv;
mod digits;
mod field;
mod fields;
mod file;
mod json_columns;
mod json_rows;
mod ndjson;
mod number;
mod numbers;

use async_trait::async_trait;

pub use archive::{ArchiveFormat, ArchiveMember, MemberContent};
pub use csv::CsvWriter;
pub use field::{DeclaredDigits, FieldType};
pub use fields::{Fields, Row};
pub use file::{FileFormat, FileWriters, ResultHead};
pub use json_rows::JsonRows;
pub use ndjson::NdjsonWriter;
pub use numbers::Numbers;

use self::field::Malformed;
use crate::RunTiming;

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name, as in the result of the statement.
    pub name: String,
    /// The type, as PostgreSQL's `format_type` prints it, without modifiers, such as `numeric` or `text[]`.
    pub type_name: String,
    /// The format of its values.
    pub field_type: FieldType,
}

impl Column {
    /// Appends a value as text: as CSV shows it, without quotes.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Malformed`] if the value is not in the format of the type.
    pub fn write_text(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        csv::write_unquoted(&self.field_type, bytes, out).map_err(|Malformed| self.malformed())
    }

    /// Appends a value as JSON.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Malformed`] if the value is not in the format of the type.
    pub fn write_json(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        field::write_value(&self.field_type, bytes, out).map_err(|Malformed| self.malformed())
    }

    /// The error of a value that is not in the format of the type.
    #[must_use]
    pub fn malformed(&self) -> EncodeError {
        EncodeError::Malformed { column: self.name.clone(), type_name: self.type_name.clone() }
    }
}

/// Why a row cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A value is not in the format of its column's type.
    #[error("a value of the column `{column}` is not in the format of its type `{type_name}`")]
    Malformed {
        /// The name of the column.
        column: String,
        /// The type of the column.
        type_name: String,
    },
    /// The format of the file cannot hold a value.
    #[error("the column `{column}` has a value that the format cannot hold: {reason}")]
    Unrepresentable {
        /// The name of the column.
        column: String,
        /// What the format cannot hold, and what to request instead. It does not quote the value.
        reason: String,
    },
    /// The format of the file cannot hold the whole result.
    #[error("the format cannot hold the result: {0}")]
    TooLarge(String),
    /// The library that writes the format failed.
    #[error("the file could not be written: {0}")]
    Writer(String),
}

/// Receives the rows of a result.
///
/// A sink that streams reports when it is full. The runner then flushes it before the next row, so it holds at most a
/// chunk and a row, regardless of the size of the result.
#[async_trait]
pub trait RowSink: Send {
    /// Receives the columns. Called once, before the first row.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the sink cannot encode the columns.
    fn columns(&mut self, columns: &[Column]) -> Result<(), EncodeError>;

    /// Receives the next row, with a value for each column. Returns whether it was accepted. A row that would make the
    /// sink exceed `max_bytes` is refused, and nothing of it is kept.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if a value is not in the format of its type.
    fn row(&mut self, fields: Fields<'_>, max_bytes: usize) -> Result<bool, EncodeError>;

    /// Whether the sink has to be flushed before the next row. It is called after each row, so it must be cheap.
    fn is_full(&self) -> bool {
        false
    }

    /// Called just before the statement is sent. The result includes everything that was committed until then. It is
    /// called again if the statement is sent again.
    fn sent(&mut self) {}

    /// Receives the timing of the run so far. It is not called for each row.
    fn timed(&mut self, _timing: RunTiming) {}

    /// Waits until the sink accepts rows again, which depends on how fast the client reads. Dropping the future ends
    /// the run.
    async fn flush(&mut self) {}
}

/// Writes rows into a buffer, which the caller may drain between two rows. A writer may hold rows back until it has
/// enough of them, and then writes them with a later row or at the end.
pub trait RowWriter: Send {
    /// Receives the columns, and writes the head of the document. Called once, before the first row.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the columns cannot be encoded.
    fn head(&mut self, columns: &[Column], out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Writes the next row, with a value for each column. Returns `false`, without writing anything, if the buffer
    /// would exceed `max_bytes`.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if a value is not in the format of its type.
    fn row(&mut self, fields: Fields<'_>, max_bytes: usize, out: &mut Vec<u8>) -> Result<bool, EncodeError>;

    /// Writes what the document needs after the last row. Called once, and only if the result is complete.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the format cannot hold the result.
    fn finish(&mut self, _out: &mut Vec<u8>) -> Result<(), EncodeError> {
        Ok(())
    }
}
