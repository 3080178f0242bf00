//! The rows of a result as a JSON array of objects.

use super::field::{Malformed, write_text, write_value};
use super::{Column, EncodeError, RowSink};

/// Writes rows as `[{"day":"2025-06-02","amount":123.45},…]`, into one buffer.
#[derive(Debug, Default)]
pub struct JsonRows {
    columns: Vec<Column>,
    /// For each column what stands before its value: `{"day":`, `,"amount":`.
    prefixes: Vec<Vec<u8>>,
    out: Vec<u8>,
}

impl JsonRows {
    /// The columns, once they are known.
    #[must_use]
    pub fn result_columns(&self) -> &[Column] {
        &self.columns
    }

    /// The array, whole.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.out.push(if self.out.is_empty() { b'[' } else { b']' });
        if self.out.len() == 1 {
            self.out.push(b']');
        }
        self.out
    }

    /// Writes a row, or the beginning of one that is too long: `false` then.
    fn write_row(
        &mut self,
        fields: &mut dyn Iterator<Item = Option<&[u8]>>,
        max_bytes: usize,
    ) -> Result<bool, EncodeError> {
        self.out.push(if self.out.is_empty() { b'[' } else { b',' });
        if self.columns.is_empty() {
            self.out.push(b'{');
        }
        for ((column, prefix), field) in self.columns.iter().zip(&self.prefixes).zip(fields) {
            self.out.extend_from_slice(prefix);
            match field {
                None => self.out.extend_from_slice(b"null"),
                // A value of hundreds of megabytes is not worth the time that encoding it would take.
                Some(bytes) if column.field_type.is_longer_as_json() && self.out.len() + bytes.len() > max_bytes => {
                    return Ok(false);
                }
                Some(bytes) => {
                    write_value(&column.field_type, bytes, &mut self.out).map_err(|Malformed| malformed(column))?;
                }
            }
        }
        self.out.push(b'}');
        // The closing bracket counts as well.
        Ok(self.out.len() < max_bytes)
    }
}

fn malformed(column: &Column) -> EncodeError {
    EncodeError { column: column.name.clone(), type_name: column.type_name.clone() }
}

impl RowSink for JsonRows {
    fn columns(&mut self, columns: &[Column]) -> Result<(), EncodeError> {
        self.columns = columns.to_vec();
        self.prefixes = Vec::with_capacity(columns.len());
        for (index, column) in columns.iter().enumerate() {
            let mut prefix = vec![if index == 0 { b'{' } else { b',' }];
            write_text(&column.name, &mut prefix).map_err(|Malformed| malformed(column))?;
            prefix.push(b':');
            self.prefixes.push(prefix);
        }
        Ok(())
    }

    fn row(&mut self, fields: &mut dyn Iterator<Item = Option<&[u8]>>, max_bytes: usize) -> Result<bool, EncodeError> {
        let before = self.out.len();
        let fits = self.write_row(fields, max_bytes)?;
        if !fits {
            self.out.truncate(before);
        }
        Ok(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FieldType;

    fn columns() -> Vec<Column> {
        let column = |name: &str, field_type| Column { name: name.into(), type_name: "any".into(), field_type };
        vec![column("a \"b\"", FieldType::Integer), column("c", FieldType::Text)]
    }

    #[test]
    fn writes_rows_in_the_order_of_the_columns() {
        let mut rows = JsonRows::default();
        rows.columns(&columns()).unwrap();
        rows.row(&mut [Some(1_i32.to_be_bytes().as_slice()), None].into_iter(), 1_000).unwrap();
        rows.row(&mut [None, Some(b"x".as_slice())].into_iter(), 1_000).unwrap();
        assert_eq!(rows.finish(), br#"[{"a \"b\"":1,"c":null},{"a \"b\"":null,"c":"x"}]"#);
    }

    #[test]
    fn no_rows_are_an_empty_array_and_no_columns_empty_objects() {
        let mut rows = JsonRows::default();
        rows.columns(&columns()).unwrap();
        assert_eq!(rows.finish(), b"[]");
        let mut rows = JsonRows::default();
        rows.columns(&[]).unwrap();
        rows.row(&mut std::iter::empty(), 1_000).unwrap();
        assert_eq!(rows.finish(), b"[{}]");
    }

    #[test]
    fn a_row_that_does_not_fit_leaves_no_trace() {
        let mut rows = JsonRows::default();
        rows.columns(&columns()[1..]).unwrap();
        let mut row = |max_bytes| rows.row(&mut [Some(b"xyz".as_slice())].into_iter(), max_bytes).unwrap();
        assert!(row(13));
        assert!(!row(13));
        assert_eq!(rows.finish(), br#"[{"c":"xyz"}]"#);
    }

    #[test]
    fn a_malformed_value_names_its_column() {
        let mut rows = JsonRows::default();
        rows.columns(&columns()).unwrap();
        let error = rows.row(&mut [Some(b"x".as_slice()), None].into_iter(), 1_000).unwrap_err();
        assert_eq!(error.column, "a \"b\"");
    }
}
