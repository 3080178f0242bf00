//! Readers of tables in text files: CSV, JSON and the `COPY` blocks of PostgreSQL's dumps.
//!
//! All of them read any encoding. [`decompress`] is a layer below each format.

mod copy;
mod csv;
mod decompress;
mod json;
mod text;

#[cfg(test)]
mod tests;

pub use copy::CopyFormat;
pub use csv::CsvFormat;
pub use decompress::decompress;
pub use json::JsonFormat;

use std::sync::Arc;

use metricd_domain::{MAX_TABLE_COLUMNS, ReadOptions};

use crate::{ReadError, Reason, RowFault, SourceColumn, TableFormat, TypeChooser};

/// The formats of text. The last one detects any text.
pub(crate) fn text_formats() -> [Arc<dyn TableFormat>; 3] {
    [Arc::new(CopyFormat), Arc::new(JsonFormat), Arc::new(CsvFormat)]
}

/// Checks the choices that no file can satisfy, whatever its content.
///
/// # Errors
///
/// What is wrong and what was expected, for people.
pub(crate) fn check_options(options: &ReadOptions) -> Result<(), String> {
    TypeChooser::new(&[], options).map_err(|error| error.to_string())?;
    options.encoding.as_deref().map(text::find_encoding).transpose()?;
    csv::separator(options).map(drop)
}

/// The number of characters of a faulty text that is kept.
const MAX_VALUE_CHARS: usize = 400;

/// A column without a type.
fn untyped_column(name: impl Into<String>) -> SourceColumn {
    SourceColumn { name: name.into(), data_type: None, description: None }
}

/// The error of a file with too many columns.
fn too_many_columns(count: usize) -> ReadError {
    let message = format!("the file has {count} columns: expected at most {MAX_TABLE_COLUMNS}");
    ReadError::content(Reason::ColumnsTooMany, message)
}

/// A fault of one row.
fn row_fault(line: u64, reason: Reason, message: impl Into<String>, text: &[u8]) -> RowFault {
    let value = String::from_utf8_lossy(&text[..text.len().min(4 * MAX_VALUE_CHARS)]);
    RowFault {
        line,
        last_line: line,
        reason,
        message: message.into(),
        value: Some(value.trim_end().chars().take(MAX_VALUE_CHARS).collect()),
        column: None,
    }
}

/// The message about a text that is not UTF-8 after `valid` bytes.
fn not_utf8(valid: usize) -> String {
    format!(
        "the text is not UTF-8 from byte {} on: pass the encoding of the file, such as `--encoding windows-1252`",
        valid + 1
    )
}
