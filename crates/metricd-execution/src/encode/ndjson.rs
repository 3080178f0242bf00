//! Rows as NDJSON: a JSON object a line.

use super::json_columns::JsonColumns;
use super::{Column, EncodeError, Fields, RowWriter};

/// Writes rows as `{"day":"2025-06-02","amount":123.45}`, each on a line of its own, which ends in a line feed.
#[derive(Debug, Default)]
pub struct NdjsonWriter {
    columns: JsonColumns,
}

impl RowWriter for NdjsonWriter {
    fn head(&mut self, columns: &[Column], _: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.columns = JsonColumns::new(columns)?;
        Ok(())
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        let before = out.len();
        let fits = self.columns.write(fields, max_bytes.saturating_sub(1), out)?;
        if fits {
            out.push(b'\n');
        } else {
            out.truncate(before);
        }
        Ok(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FieldType, Row};

    #[test]
    fn each_row_is_an_object_on_a_line() {
        let column = |name: &str, field_type| Column { name: name.into(), type_name: "any".into(), field_type };
        let columns = [column("a", FieldType::Integer), column("b", FieldType::Text)];
        let (mut writer, mut out) = (NdjsonWriter::default(), Vec::new());
        writer.head(&columns, &mut out).unwrap();
        let mut row = |text: &'static [u8], max_bytes| {
            let row = Row::from_iter([Some([0, 0, 0, 1].as_slice()), Some(text)]);
            writer.row(row.fields(), max_bytes, &mut out).unwrap()
        };
        assert!(row(b"two\nlines", 1_000));
        assert!(row(b"x", 42));
        assert!(!row(b"x", 56));
        assert_eq!(String::from_utf8(out).unwrap(), "{\"a\":1,\"b\":\"two\\nlines\"}\n{\"a\":1,\"b\":\"x\"}\n");
    }
}
