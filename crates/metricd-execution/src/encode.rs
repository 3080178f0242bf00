//! From PostgreSQL's binary format to what clients read, straight into the buffer of the response.

mod array;
mod calendar;
mod field;
mod json_rows;
mod number;

pub use field::FieldType;
pub use json_rows::JsonRows;

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

/// Takes the rows of a result.
pub trait RowSink: Send {
    /// Takes the columns. Called once, before any row.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] where the sink cannot show such columns.
    fn columns(&mut self, columns: &[Column]) -> Result<(), EncodeError>;

    /// Takes the next row: a value for each column, in PostgreSQL's binary format, `None` for NULL. Answers whether it was
    /// taken; a row that would take the sink past `max_bytes` is not, and leaves no trace.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] where a value does not have the form of its type.
    fn row(&mut self, fields: &mut dyn Iterator<Item = Option<&[u8]>>, max_bytes: usize) -> Result<bool, EncodeError>;
}
