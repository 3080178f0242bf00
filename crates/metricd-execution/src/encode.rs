//! From PostgreSQL's formats to what clients read, straight into the buffer of the response.

mod array;
mod array_literal;
mod calendar;
mod csv;
mod digits;
mod field;
mod fields;
mod json_columns;
mod json_rows;
mod literal;
mod ndjson;
mod number;

use async_trait::async_trait;

pub use csv::CsvWriter;
pub use field::FieldType;
pub use fields::{Fields, Row};
pub use json_columns::JsonColumns;
pub use json_rows::JsonRows;
pub use ndjson::NdjsonWriter;

use crate::RunTiming;

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name, as the SELECT gives it.
    pub name: String,
    /// The type, as PostgreSQL's `format_type` prints it, without modifiers: `numeric`, `text[]`.
    pub type_name: String,
    /// The form in which its values arrive.
    pub field_type: FieldType,
}

/// A value did not have the form that its column's type promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a value of the column `{column}` does not have the form of its type `{type_name}`")]
pub struct EncodeError {
    /// The column's name.
    pub column: String,
    /// The column's type.
    pub type_name: String,
}

impl EncodeError {
    fn of(column: &Column) -> Self {
        Self { column: column.name.clone(), type_name: column.type_name.clone() }
    }
}

/// Takes the rows of a result.
///
/// A sink that hands on what it has taken, as when it streams, says when it is full. It is then flushed before the next row,
/// so that it holds a chunk and a row at most, however long the result is.
#[async_trait]
pub trait RowSink: Send {
    /// Takes the columns. Called once, before any row.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] where the sink cannot show such columns.
    fn columns(&mut self, columns: &[Column]) -> Result<(), EncodeError>;

    /// Takes the next row: a value for each column. Answers whether it was taken; a row that would take the sink past
    /// `max_bytes` is not, and leaves no trace.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] where a value does not have the form of its type.
    fn row(&mut self, fields: Fields<'_>, max_bytes: usize) -> Result<bool, EncodeError>;

    /// Whether the sink takes no further row before it is flushed. Asked after each row, so it must cost next to nothing.
    fn is_full(&self) -> bool {
        false
    }

    /// Takes notice that the statement is sent from now on: what is committed before this is in the result. Told again where it
    /// has to be sent once more.
    fn sent(&mut self) {}

    /// Takes notice of where the run's time has gone so far. Not called for each row.
    fn timed(&mut self, _timing: RunTiming) {}

    /// Waits until the sink takes rows again. It may take as long as a client takes to read: whoever gives up waiting drops
    /// the future, and the run with it.
    async fn flush(&mut self) {}
}

/// Writes rows into a buffer that belongs to the caller, who may empty it between any two rows.
pub trait RowWriter: Send {
    /// Takes the columns, and writes what stands before the rows. Called once, before any row.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] where such columns cannot be shown.
    fn head(&mut self, columns: &[Column], out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Writes the next row, as [`RowSink::row`] takes it; one that would make the buffer longer than `max_bytes` is not
    /// written.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] where a value does not have the form of its type.
    fn row(&mut self, fields: Fields<'_>, max_bytes: usize, out: &mut Vec<u8>) -> Result<bool, EncodeError>;
}
