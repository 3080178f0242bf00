//! Writes rows as NDJSON: one JSON object a line.

use super::json_columns::JsonColumns;
use super::{Column, EncodeError, FieldType, Fields, RowWriter};

/// Writes rows as `{"day":"2025-06-02","amount":123.45}`, each on its own line. Lines end in LF.
///
/// PostgreSQL keeps the white space of a `json` value, including line breaks. In JSON, a line break can only be white
/// space between two tokens (RFC 8259, section 7), so it is replaced by a blank without changing a value.
#[derive(Debug, Default)]
pub struct NdjsonWriter {
    columns: JsonColumns,
    /// Whether values may have line breaks. `jsonb` has none, and those in texts are escaped.
    has_json: bool,
}

/// Replaces each line break after `begin`, and the white space around it, by a blank.
fn join_lines(out: &mut Vec<u8>, begin: usize) {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let Some(first) = out.iter().skip(begin).position(is_break) else { return };
    let lines = out.split_off(begin + first);
    for line in lines.split(is_break).skip(1).map(<[u8]>::trim_ascii_start).filter(|line| !line.is_empty()) {
        let end = out.trim_ascii_end().len().max(begin);
        out.truncate(end);
        out.push(b' ');
        out.extend_from_slice(line);
    }
}

fn is_json(field_type: &FieldType) -> bool {
    match field_type {
        FieldType::Array(element) => is_json(element),
        field_type => *field_type == FieldType::Json,
    }
}

impl RowWriter for NdjsonWriter {
    fn head(&mut self, columns: &[Column], _: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.columns = JsonColumns::new(columns)?;
        self.has_json = columns.iter().any(|column| is_json(&column.field_type));
        Ok(())
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        let before = out.len();
        let fits = self.columns.write(fields, max_bytes.saturating_sub(1), out)?;
        if fits {
            if self.has_json {
                join_lines(out, before);
            }
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
    #[test]
    fn a_line_break_and_the_blanks_around_it_become_a_blank() {
        for (text, joined) in [
            ("x\n[{\"a\":1}, \n {\"a\":2}]", "x\n[{\"a\":1}, {\"a\":2}]"),
            ("x\n{\r\n\r\n  \"a  b\":\t1  \r}", "x\n{ \"a  b\":\t1 }"),
            ("x\n{}", "x\n{}"),
        ] {
            let mut out = text.as_bytes().to_vec();
            join_lines(&mut out, 2);
            assert_eq!(String::from_utf8(out).unwrap(), joined, "{text:?}");
        }
    }

    #[test]
    fn a_row_with_json_of_several_lines_is_one_line() {
        let array = |element: &[u8]| {
            let head = [[0, 0, 0, 1], [0; 4], [0, 0, 0, 114], [0, 0, 0, 1], [0, 0, 0, 1]].concat();
            let size_bytes = u32::try_from(element.len()).unwrap().to_be_bytes();
            [head.as_slice(), &size_bytes, element].concat()
        };
        let documents = "{\n  \"a\": \"b\\nc\u{2028}\",\r\n\t\"d\": [1,\r2]\n}";
        for (field_type, bytes) in [
            (FieldType::Json, documents.as_bytes().to_vec()),
            (FieldType::Array(Box::new(FieldType::Json)), array(documents.as_bytes())),
        ] {
            let column = Column { name: "two\nlines".into(), type_name: "any".into(), field_type };
            let (mut writer, mut out) = (NdjsonWriter::default(), Vec::new());
            writer.head(std::slice::from_ref(&column), &mut out).unwrap();
            for _ in 0..2 {
                assert!(writer.row(Row::from_iter([Some(bytes.as_slice())]).fields(), 1_000, &mut out).unwrap());
            }
            let text = String::from_utf8(out).unwrap();
            let lines: Vec<_> = text.split_terminator(['\n', '\r']).collect();
            assert_eq!(lines.len(), 2, "{text}");
            for line in lines {
                let row: serde_json::Value = serde_json::from_str(line).unwrap();
                let value = &row["two\nlines"];
                let value = if value.is_array() { &value[0] } else { value };
                assert_eq!(*value, serde_json::json!({"a": "b\nc\u{2028}", "d": [1, 2]}));
            }
        }
    }
}
