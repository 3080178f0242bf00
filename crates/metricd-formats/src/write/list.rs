//! Decodes arrays of one dimension as lists of values.

use std::mem;
use std::sync::Arc;

use arrow_array::ListArray;
use arrow_buffer::{NullBufferBuilder, OffsetBuffer};
use arrow_schema::{Field, FieldRef};

use super::Refusal;
use super::column::ColumnBuilder;

/// A list has one dimension for every row.
const ONE_DIMENSION: &str = "an array has several dimensions, and lists of this format have one: cast the column to text in the SQL, or request another \
     format";

/// The lists of a column, until its batch is complete.
#[derive(Debug)]
pub(super) struct ListBuilder {
    values: ColumnBuilder,
    /// The number of values after each list, and 0 before the first.
    ends: Vec<i32>,
    validity: NullBufferBuilder,
    count: i32,
}

impl ListBuilder {
    pub(super) fn new(values: ColumnBuilder) -> Self {
        Self { values, ends: vec![0], validity: NullBufferBuilder::new(0), count: 0 }
    }

    /// The field of the values.
    pub(super) fn field(&self) -> FieldRef {
        Arc::new(Field::new_list_field(self.values.data_type(), true))
    }

    /// Appends a list.
    pub(super) fn append<'a>(
        &mut self,
        elements: impl Iterator<Item = Result<Option<&'a [u8]>, Refusal>>,
    ) -> Result<(), Refusal> {
        for element in elements {
            self.values.append(element?)?;
            self.count += 1;
        }
        self.ends.push(self.count);
        self.validity.append_non_null();
        Ok(())
    }

    pub(super) fn append_null(&mut self) {
        self.ends.push(self.count);
        self.validity.append_null();
    }

    /// Takes the lists.
    pub(super) fn finish(&mut self) -> ListArray {
        let ends = OffsetBuffer::new(mem::replace(&mut self.ends, vec![0]).into());
        self.count = 0;
        ListArray::new(self.field(), ends, self.values.finish(), self.validity.finish())
    }
}

/// The values of an array in binary format, each in the format of the element type; `None` is NULL.
///
/// The format is that of `array_send` in PostgreSQL's `arrayfuncs.c`: the number of dimensions, whether there are NULLs,
/// the type of the elements, the length and lower bound of each dimension, and each value after its length.
pub(super) fn elements(bytes: &[u8]) -> Result<Elements<'_>, Refusal> {
    let mut rest = bytes;
    let (dimensions, _has_nulls, _element_type) = (take(&mut rest)?, take(&mut rest)?, take(&mut rest)?);
    let count = match dimensions {
        0 => 0,
        1 => {
            let (length, _lower_bound) = (take(&mut rest)?, take(&mut rest)?);
            usize::try_from(length).map_err(|_| Refusal::Malformed)?
        }
        2..=6 => return Err(Refusal::Unrepresentable(ONE_DIMENSION)),
        _ => return Err(Refusal::Malformed),
    };
    Ok(Elements { rest, count })
}

fn take(bytes: &mut &[u8]) -> Result<i32, Refusal> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(Refusal::Malformed)?;
    *bytes = rest;
    Ok(i32::from_be_bytes(*taken))
}

/// The values of an array.
#[derive(Debug)]
pub(super) struct Elements<'a> {
    rest: &'a [u8],
    count: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Option<&'a [u8]>, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.count == 0 {
            let is_read = mem::take(&mut self.rest).is_empty();
            return (!is_read).then_some(Err(Refusal::Malformed));
        }
        self.count -= 1;
        let element = self.read();
        if element.is_err() {
            (self.rest, self.count) = (&[], 0);
        }
        Some(element)
    }
}

impl<'a> Elements<'a> {
    fn read(&mut self) -> Result<Option<&'a [u8]>, Refusal> {
        let length = take(&mut self.rest)?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Refusal::Malformed)?;
        let (element, rest) = self.rest.split_at_checked(length).ok_or(Refusal::Malformed)?;
        self.rest = rest;
        Ok(Some(element))
    }
}

/// The values of an array of texts, from its JSON.
pub(super) fn texts(json: &[u8]) -> Result<Vec<Option<String>>, Refusal> {
    let elements: Vec<serde_json::Value> = serde_json::from_slice(json).map_err(|_| Refusal::Malformed)?;
    let text = |element| match element {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::String(text) => Ok(Some(text)),
        serde_json::Value::Array(_) => Err(Refusal::Unrepresentable(ONE_DIMENSION)),
        _ => Err(Refusal::Malformed),
    };
    elements.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(dimensions: &[i32], values: &[u8]) -> Vec<u8> {
        let head = [i32::try_from(dimensions.len()).unwrap(), 0, 25];
        let dimensions = dimensions.iter().flat_map(|length| [*length, 1]);
        head.into_iter().chain(dimensions).flat_map(i32::to_be_bytes).chain(values.iter().copied()).collect()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Option<&[u8]>>, Refusal> {
        elements(bytes)?.collect()
    }

    #[test]
    fn an_array_of_one_dimension_is_a_list() {
        assert_eq!(read(&array(&[], &[])), Ok(vec![]));
        let values = [0, 0, 0, 1, b'x', 255, 255, 255, 255, 0, 0, 0, 0];
        assert_eq!(read(&array(&[3], &values)), Ok(vec![Some(b"x".as_slice()), None, Some(b"")]));
        assert_eq!(texts(br#"["a",null,""]"#), Ok(vec![Some("a".to_owned()), None, Some(String::new())]));
    }

    #[test]
    fn more_dimensions_and_malformed_arrays_are_refused() {
        assert_eq!(read(&array(&[1, 1], &[])), Err(Refusal::Unrepresentable(ONE_DIMENSION)));
        assert_eq!(texts(b"[[]]"), Err(Refusal::Unrepresentable(ONE_DIMENSION)));
        for malformed in
            [array(&[1], &[]), array(&[1], &[0, 0, 0, 9]), array(&[-1], &[]), array(&[], &[1]), array(&[1; 7], &[])]
        {
            assert_eq!(read(&malformed), Err(Refusal::Malformed));
        }
        assert_eq!(texts(b"[1]"), Err(Refusal::Malformed));
    }
}
