//! Arrays in PostgreSQL's binary format.

use super::FieldType;
use super::field::{Malformed, Reader, write_value};

/// PostgreSQL's limit on the dimensions of an array (`MAXDIM`).
const MAX_DIMENSIONS: usize = 6;

/// Writes an array as a JSON array. With several dimensions, it is an array of arrays.
///
/// The binary format is that of `array_send` in PostgreSQL's `arrayfuncs.c`. It has the number of dimensions, whether
/// there are NULLs, and the type of the elements; then the length and the lower bound of each dimension; then the
/// length of each element, -1 for NULL, and its bytes.
pub(super) fn write_array(element: &FieldType, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut reader = Reader(bytes);
    let dimensions = usize::try_from(reader.i32()?).ok().filter(|count| *count <= MAX_DIMENSIONS).ok_or(Malformed)?;
    let (_has_nulls, _element_type) = (reader.i32()?, reader.i32()?);
    let mut lengths = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        lengths.push(usize::try_from(reader.i32()?).map_err(|_| Malformed)?);
        let _lower_bound = reader.i32()?;
    }
    if lengths.is_empty() {
        out.extend_from_slice(b"[]");
    } else {
        write_dimension(element, &lengths, &mut reader, out)?;
    }
    if reader.0.is_empty() { Ok(()) } else { Err(Malformed) }
}

fn write_dimension(
    element: &FieldType,
    lengths: &[usize],
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let Some((&length, inner)) = lengths.split_first() else {
        let length = reader.i32()?;
        if length == -1 {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        let bytes = reader.bytes(usize::try_from(length).map_err(|_| Malformed)?)?;
        return write_value(element, bytes, out);
    };
    // Every element has at least four bytes. A greater length is malformed, and would take very long to write.
    if length.saturating_mul(4) > reader.0.len() {
        return Err(Malformed);
    }
    out.push(b'[');
    for index in 0..length {
        if index > 0 {
            out.push(b',');
        }
        write_dimension(element, inner, reader, out)?;
    }
    out.push(b']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(bytes: &[u8]) -> Result<String, Malformed> {
        let mut out = Vec::new();
        write_array(&FieldType::Integer, bytes, &mut out).map(|()| String::from_utf8_lossy(&out).into_owned())
    }

    fn integers(dimensions: &[i32], elements: &[Option<i32>]) -> Vec<u8> {
        let header = [i32::try_from(dimensions.len()).unwrap(), 0, 23];
        let dimensions = dimensions.iter().flat_map(|length| [*length, 1]);
        let elements = elements.iter().flat_map(|element| element.map_or(vec![-1], |value| vec![4, value]));
        header.into_iter().chain(dimensions).chain(elements).flat_map(i32::to_be_bytes).collect()
    }

    #[test]
    fn arrays_nest_by_dimension() {
        assert_eq!(json(&integers(&[], &[])).unwrap(), "[]");
        assert_eq!(json(&integers(&[3], &[Some(1), None, Some(-3)])).unwrap(), "[1,null,-3]");
        assert_eq!(json(&integers(&[2, 2], &[Some(1), Some(2), Some(3), Some(4)])).unwrap(), "[[1,2],[3,4]]");
        assert_eq!(json(&integers(&[1; 7], &[Some(1)])), Err(Malformed));
        assert_eq!(json(&integers(&[i32::MAX, i32::MAX], &[])), Err(Malformed));
        assert_eq!(json(&integers(&[1], &[Some(1), Some(2)])), Err(Malformed));
        assert_eq!(json(&integers(&[-1], &[])), Err(Malformed));
    }
}
