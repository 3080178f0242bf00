//! Writes a result as a JSON array of objects.

use super::json_columns::JsonColumns;
use super::{Column, EncodeError, Fields, RowSink};
use crate::RunTiming;

/// A sink that writes rows as `[{"day":"2025-06-02","amount":123.45},…]` into one buffer.
#[derive(Debug, Default)]
pub struct JsonRows {
    columns: JsonColumns,
    out: Vec<u8>,
    /// The byte offset at which the array begins.
    begin: usize,
    timing: RunTiming,
}

impl JsonRows {
    /// The columns. Empty until they are received.
    #[must_use]
    pub fn result_columns(&self) -> &[Column] {
        self.columns.columns()
    }

    /// Writes text before the array, so that the document is built in one buffer. The text does not count towards the
    /// size of the rows. Call it before the first row.
    pub fn begin_after(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
        self.begin = self.out.len();
    }

    /// The timing of the run, as last received.
    #[must_use]
    pub fn timing(&self) -> RunTiming {
        self.timing
    }

    /// Ends the array, and returns the buffer with the text before the array.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        if self.out.len() == self.begin {
            self.out.push(b'[');
        }
        self.out.push(b']');
        self.out
    }
}

impl RowSink for JsonRows {
    fn columns(&mut self, columns: &[Column]) -> Result<(), EncodeError> {
        self.columns = JsonColumns::new(columns)?;
        Ok(())
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize) -> Result<bool, EncodeError> {
        let before = self.out.len();
        self.out.push(if before == self.begin { b'[' } else { b',' });
        // The closing bracket counts too.
        let max_bytes = max_bytes.saturating_sub(1).saturating_add(self.begin);
        let fits = self.columns.write(fields, max_bytes, &mut self.out)?;
        if !fits {
            self.out.truncate(before);
        }
        Ok(fits)
    }

    fn timed(&mut self, timing: RunTiming) {
        self.timing = timing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FieldType, Row};

    fn columns() -> Vec<Column> {
        let column = |name: &str, field_type| Column { name: name.into(), type_name: "any".into(), field_type };
        vec![column("a \"b\"", FieldType::Integer), column("c", FieldType::Text)]
    }

    #[test]
    fn writes_rows_in_the_order_of_the_columns() {
        let mut rows = JsonRows::default();
        rows.columns(&columns()).unwrap();
        rows.row(Row::from_iter([Some(1_i32.to_be_bytes().as_slice()), None]).fields(), 1_000).unwrap();
        rows.row(Row::from_iter([None, Some(b"x".as_slice())]).fields(), 1_000).unwrap();
        assert_eq!(rows.finish(), br#"[{"a \"b\"":1,"c":null},{"a \"b\"":null,"c":"x"}]"#);
    }

    #[test]
    fn no_rows_are_an_empty_array_and_no_columns_empty_objects() {
        let mut rows = JsonRows::default();
        rows.columns(&columns()).unwrap();
        assert_eq!(rows.finish(), b"[]");
        let mut rows = JsonRows::default();
        rows.columns(&[]).unwrap();
        rows.row(Row::default().fields(), 1_000).unwrap();
        assert_eq!(rows.finish(), b"[{}]");
    }

    #[test]
    fn a_row_that_does_not_fit_is_not_written() {
        let mut rows = JsonRows::default();
        rows.columns(&columns()[1..]).unwrap();
        let mut row = |max_bytes| rows.row(Row::from_iter([Some(b"xyz".as_slice())]).fields(), max_bytes).unwrap();
        assert!(row(13));
        assert!(!row(13));
        assert_eq!(rows.finish(), br#"[{"c":"xyz"}]"#);
    }

    #[test]
    fn the_text_before_the_array_does_not_count() {
        for before in ["", "{\"rows\":", &"x".repeat(100)] {
            let mut rows = JsonRows::default();
            rows.columns(&columns()[1..]).unwrap();
            rows.begin_after(before.as_bytes());
            let mut row = |max_bytes| rows.row(Row::from_iter([Some(b"xyz".as_slice())]).fields(), max_bytes).unwrap();
            assert!(!row(12));
            assert!(row(13));
            assert!(!row(24));
            assert!(row(25));
            assert_eq!(rows.finish(), format!(r#"{before}[{{"c":"xyz"}},{{"c":"xyz"}}]"#).as_bytes());
            let mut rows = JsonRows::default();
            rows.begin_after(before.as_bytes());
            assert_eq!(rows.finish(), format!("{before}[]").as_bytes());
        }
    }

    #[test]
    fn a_malformed_value_names_its_column() {
        let mut rows = JsonRows::default();
        rows.columns(&columns()).unwrap();
        let error = rows.row(Row::from_iter([Some(b"x".as_slice()), None]).fields(), 1_000).unwrap_err();
        assert_eq!(error, columns()[0].malformed());
    }
}
