//! Types of columns, chosen from the values of a whole file, and typed rows for PostgreSQL.
//!
//! [`TypeChooser`] sees every row of a file and chooses the type of each column. It guesses nothing: a type is chosen
//! only if every value fits it without loss, and what only a person can decide becomes a hint. [`TypedRowWriter`] checks the
//! values of a row against the types of a table, and writes the row in PostgreSQL's CSV format.
//!
//! Both share one grammar per type, so the writer accepts each value of a column whose type the chooser chose.

mod because;
mod chooser;
mod describe;
mod documents;
mod fits;
mod format;
mod looks;
mod numbers;
mod row_size;
mod times;
mod values;
mod writer;

#[cfg(test)]
mod tests;

pub use chooser::{ColumnChoice, TypeChooser};
pub(crate) use fits::is_data;
pub use format::InvalidDateFormat;
pub(crate) use values::written_value;
pub use writer::{Padded, TypedRowWriter};
