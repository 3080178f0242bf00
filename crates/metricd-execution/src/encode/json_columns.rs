//! Rows as JSON objects.

use super::field::{Malformed, write_text, write_value};
use super::{Column, EncodeError, Fields};

/// Columns with encoded names, which write rows as `{"day":"2025-06-02","amount":123.45}`. Encoding the names takes as
/// long as writing a few rows.
#[derive(Debug, Default)]
pub(super) struct JsonColumns {
    columns: Vec<Column>,
    /// The text before the value of each column: `{"day":`, `,"amount":`.
    prefixes: Vec<Vec<u8>>,
}

impl JsonColumns {
    /// Encodes the names of the columns, or fails with the first that cannot be encoded.
    pub(super) fn new(columns: &[Column]) -> Result<Self, EncodeError> {
        let mut prefixes = Vec::with_capacity(columns.len());
        for (index, column) in columns.iter().enumerate() {
            let mut prefix = vec![if index == 0 { b'{' } else { b',' }];
            write_text(&column.name, &mut prefix).map_err(|Malformed| column.malformed())?;
            prefix.push(b':');
            prefixes.push(prefix);
        }
        Ok(Self { columns: columns.to_vec(), prefixes })
    }

    /// The columns.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Writes a row. If the buffer would exceed `max_bytes`, it returns `false`, and the buffer has the beginning of
    /// the row.
    pub(super) fn write(&self, fields: Fields<'_>, max_bytes: usize, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        if self.columns.is_empty() {
            out.push(b'{');
        }
        for ((column, prefix), field) in self.columns.iter().zip(&self.prefixes).zip(fields) {
            out.extend_from_slice(prefix);
            match field {
                None => out.extend_from_slice(b"null"),
                // The row cannot fit, so encoding a value of hundreds of megabytes is skipped.
                Some(bytes) if column.field_type.is_longer_as_text() && out.len() + bytes.len() > max_bytes => {
                    return Ok(false);
                }
                Some(bytes) => {
                    write_value(&column.field_type, bytes, out).map_err(|Malformed| column.malformed())?;
                }
            }
        }
        out.push(b'}');
        Ok(out.len() <= max_bytes)
    }
}
