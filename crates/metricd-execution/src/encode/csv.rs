//! Rows as CSV (RFC 4180).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::field::{Malformed, utf8, write_value};
use super::{Column, EncodeError, FieldType, Fields, RowWriter};

/// Writes a line of column names, and a line for each row. Lines end in CR LF.
///
/// NULL is an empty field, and an empty text is `""`. Numbers, dates and similar types are written as in JSON, without
/// quotes. Texts are written as they are, arrays and objects as JSON. No value is changed: a text that begins with `=`
/// is not escaped.
#[derive(Debug, Default)]
pub struct CsvWriter {
    columns: Vec<Column>,
    /// The JSON of a value that may need quotes.
    scratch: Vec<u8>,
}

impl RowWriter for CsvWriter {
    fn head(&mut self, columns: &[Column], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.columns = columns.to_vec();
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_text(column.name.as_bytes(), out);
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        let before = out.len();
        for (index, (column, field)) in self.columns.iter().zip(fields).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let Some(bytes) = field else { continue };
            // The row cannot fit, so encoding a value of hundreds of megabytes is skipped.
            if column.field_type.is_longer_as_text() && out.len() + bytes.len() > max_bytes {
                out.truncate(before);
                return Ok(false);
            }
            write_field(&column.field_type, bytes, &mut self.scratch, out).map_err(|Malformed| column.malformed())?;
        }
        out.extend_from_slice(b"\r\n");
        let fits = out.len() <= max_bytes;
        if !fits {
            out.truncate(before);
        }
        Ok(fits)
    }
}

fn write_field(
    field_type: &FieldType,
    bytes: &[u8],
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    match field_type {
        FieldType::Text => write_text(utf8(bytes)?.as_bytes(), out),
        FieldType::Bytea => write_text(STANDARD.encode(bytes).as_bytes(), out),
        FieldType::Void => write_text(b"", out),
        FieldType::Json | FieldType::Jsonb | FieldType::Array(_) | FieldType::ArrayLiteral { .. } => {
            scratch.clear();
            write_value(field_type, bytes, scratch)?;
            write_text(scratch, out);
        }
        // If the JSON of such a type is a string, no character of it is escaped in JSON or in CSV.
        _ => {
            let start = out.len();
            write_value(field_type, bytes, out)?;
            if out.get(start) == Some(&b'"') {
                out.pop();
                out.remove(start);
            }
        }
    }
    Ok(())
}

/// Writes a value as [`write_field`] does, but without quotes.
pub(super) fn write_unquoted(field_type: &FieldType, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    match field_type {
        FieldType::Text => out.extend_from_slice(utf8(bytes)?.as_bytes()),
        FieldType::Bytea => out.extend_from_slice(STANDARD.encode(bytes).as_bytes()),
        FieldType::Void => {}
        FieldType::Json | FieldType::Jsonb | FieldType::Array(_) | FieldType::ArrayLiteral { .. } => {
            write_value(field_type, bytes, out)?;
        }
        // No other type has fields with a special character.
        _ => return write_field(field_type, bytes, &mut Vec::new(), out),
    }
    Ok(())
}

/// Writes a text, and quotes it if readers would parse it differently without quotes.
fn write_text(text: &[u8], out: &mut Vec<u8>) {
    if !text.is_empty() && !text.iter().any(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n')) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for (index, part) in text.split(|byte| *byte == b'"').enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Row;

    fn column(name: &str, field_type: FieldType) -> Column {
        Column { name: name.into(), type_name: "any".into(), field_type }
    }

    fn csv(field_type: &FieldType, bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_field(field_type, bytes, &mut Vec::new(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn write(columns: &[Column], rows: &[Vec<Option<&[u8]>>]) -> String {
        let (mut writer, mut out) = (CsvWriter::default(), Vec::new());
        writer.head(columns, &mut out).unwrap();
        for row in rows {
            assert!(writer.row(row.iter().copied().collect::<Row>().fields(), usize::MAX, &mut out).unwrap());
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn null_is_empty_and_an_empty_text_is_quoted() {
        let columns =
            [column("a", FieldType::Text), column("b \"x\", y", FieldType::Text), column("", FieldType::Text)];
        let rows = [vec![None, Some(b"".as_slice()), None], vec![Some(b" = 1+1".as_slice()), None, Some(b"a\r\nb")]];
        assert_eq!(write(&columns, &rows), "a,\"b \"\"x\"\", y\",\"\"\r\n,\"\",\r\n = 1+1,,\"a\r\nb\"\r\n");
    }

    #[test]
    fn values_are_written_as_in_json_without_its_quotes() {
        assert_eq!(csv(&FieldType::Boolean, &[1]), "true");
        assert_eq!(csv(&FieldType::Double, &f64::NAN.to_be_bytes()), "NaN");
        assert_eq!(csv(&FieldType::Date, &0_i32.to_be_bytes()), "2000-01-01");
        assert_eq!(csv(&FieldType::TimestampTz, &1_i64.to_be_bytes()), "2000-01-01T00:00:00.000001Z");
        assert_eq!(csv(&FieldType::Uuid, &[0; 16]), "00000000-0000-0000-0000-000000000000");
        assert_eq!(csv(&FieldType::Bytea, &[1, 2, 3]), "AQID");
        assert_eq!(csv(&FieldType::Bytea, &[]), "\"\"");
        assert_eq!(csv(&FieldType::Void, &[]), "\"\"");
        assert_eq!(csv(&FieldType::Json, b"[1]"), "[1]");
        assert_eq!(csv(&FieldType::Jsonb, b"\x01{\"a\": \"b\"}"), "\"{\"\"a\"\": \"\"b\"\"}\"");
        let array = [[0, 0, 0, 1], [0; 4], [0, 0, 0, 25], [0, 0, 0, 2], [0, 0, 0, 1]].concat();
        let array = [array.as_slice(), &[0, 0, 0, 1, b'x', 255, 255, 255, 255]].concat();
        assert_eq!(csv(&FieldType::Array(Box::new(FieldType::Text)), &array), "\"[\"\"x\"\",null]\"");
    }

    #[test]
    fn a_row_that_does_not_fit_is_not_written() {
        let (mut writer, mut out) = (CsvWriter::default(), Vec::new());
        writer.head(&[column("a", FieldType::Text)], &mut out).unwrap();
        let mut row =
            |text: &'static [u8], max| writer.row(Row::from_iter([Some(text)]).fields(), max, &mut out).unwrap();
        assert!(row(b"xyz", 8));
        assert!(!row(b"xyz", 12));
        assert!(!row(b"\"\"", 13));
        assert_eq!(out, b"a\r\nxyz\r\n");
    }

    proptest! {
        #[test]
        fn texts_round_trip_through_a_csv_reader(rows in prop::collection::vec([".*", "[,\"\r\n=]{0,4}"], 0..8)) {
            let columns = [column("a", FieldType::Text), column("b", FieldType::Text)];
            let fields = |row: &[String; 2]| vec![Some(row[0].clone().into_bytes()), Some(row[1].clone().into_bytes())];
            let fields: Vec<_> = rows.iter().map(fields).collect();
            let fields: Vec<Vec<_>> = fields.iter().map(|row| row.iter().map(Option::as_deref).collect()).collect();
            let text = write(&columns, &fields);
            let mut reader = csv::ReaderBuilder::new().has_headers(true).from_reader(text.as_bytes());
            let read: Result<Vec<_>, _> = reader.records().collect();
            let read: Vec<[String; 2]> = read.unwrap().iter().map(|row| [row[0].to_owned(), row[1].to_owned()]).collect();
            prop_assert_eq!(read, rows);
        }
    }
}
