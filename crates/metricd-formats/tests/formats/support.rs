//! Columns and values as PostgreSQL sends them.

#![expect(clippy::unnecessary_wraps, reason = "the values of a row are optional")]

use metricd_execution::{Column, EncodeError, FieldType, FileFormat, FileWriters, ResultHead, Row};
use metricd_formats::ResultFiles;

/// A value in PostgreSQL's binary or text format; `None` is NULL.
pub(crate) type Value = Option<Vec<u8>>;

pub(crate) fn column(name: &str, type_name: &str, field_type: FieldType) -> Column {
    Column { name: name.into(), type_name: type_name.into(), field_type }
}

pub(crate) fn head() -> ResultHead {
    ResultHead {
        metric_id: "m1".into(),
        title: "Values: all/any".into(),
        query_id: "q1".into(),
        query_version: 7,
        descriptions: [("amount".to_owned(), "In EUR".to_owned())].into(),
        enums: [("mood".to_owned(), vec!["sad".to_owned(), "ok".to_owned(), "happy".to_owned()])].into(),
    }
}

/// Writes the rows, in pieces as a stream takes them.
pub(crate) fn write(format: FileFormat, columns: &[Column], rows: &[Vec<Value>]) -> Result<Vec<u8>, EncodeError> {
    let mut writer = ResultFiles.writer(format, head());
    let (mut file, mut piece) = (Vec::new(), Vec::new());
    writer.head(columns, &mut piece)?;
    for row in rows {
        let row: Row = row.iter().map(Option::as_deref).collect();
        assert!(writer.row(row.fields(), 16 << 20, &mut piece)?);
        file.append(&mut piece);
    }
    writer.finish(&mut piece)?;
    file.append(&mut piece);
    Ok(file)
}

/// A `numeric`, from groups of four digits.
pub(crate) fn numeric(weight: i16, is_negative: bool, scale: u16, digits: &[u16]) -> Value {
    let count = u16::try_from(digits.len()).unwrap();
    let head = [count, weight.cast_unsigned(), u16::from(is_negative) << 14, scale];
    Some(head.iter().chain(digits).flat_map(|part| part.to_be_bytes()).collect())
}

/// An array of one dimension.
pub(crate) fn array(elements: &[Value]) -> Value {
    let count = i32::try_from(elements.len()).unwrap();
    let mut bytes: Vec<u8> = [1, 0, 25, count, 1].into_iter().flat_map(i32::to_be_bytes).collect();
    for element in elements {
        let length = element.as_ref().map_or(-1, |element| i32::try_from(element.len()).unwrap());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(element.as_deref().unwrap_or_default());
    }
    Some(bytes)
}

pub(crate) fn text(text: &str) -> Value {
    Some(text.as_bytes().to_vec())
}
