//! The values of a row as PostgreSQL sends them.

/// The values of a row, in the order of the columns. Each is in the format of its column; `None` is NULL.
///
/// They are read in place from the `DataRow` message, which has the length of each value, -1 for NULL, and its bytes.
#[derive(Debug, Clone)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Reads the body of a `DataRow` message, without its field count. A truncated message yields fewer values.
    #[must_use]
    pub fn of(row: &'a [u8]) -> Self {
        Self(row)
    }

    /// The number of bytes of the values and their lengths.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0.len()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<&'a [u8]>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (size_bytes, rest) = self.0.split_first_chunk()?;
        let (field, rest) = match usize::try_from(i32::from_be_bytes(*size_bytes)) {
            Ok(size_bytes) => {
                let (field, rest) = rest.split_at_checked(size_bytes)?;
                (Some(field), rest)
            }
            Err(_) => (None, rest),
        };
        self.0 = rest;
        Some(field)
    }
}

/// A row whose values do not come from PostgreSQL, for example in a test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row(Vec<u8>);

impl Row {
    /// The values of the row.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        Fields::of(&self.0)
    }
}

impl<'a> FromIterator<Option<&'a [u8]>> for Row {
    /// Makes a row of values. A value of more than 2 GiB, which PostgreSQL cannot store, is truncated.
    fn from_iter<I: IntoIterator<Item = Option<&'a [u8]>>>(fields: I) -> Self {
        let mut row = Vec::new();
        for field in fields {
            let size_bytes = field.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
            row.extend_from_slice(&size_bytes.to_be_bytes());
            let bytes = field.unwrap_or_default();
            row.extend(bytes.iter().take(usize::try_from(size_bytes).unwrap_or_default()));
        }
        Self(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_returns_its_values() {
        let values = [Some(b"one".as_slice()), None, Some(b"".as_slice())];
        let row = Row::from_iter(values);
        assert!(row.fields().eq(values));
        assert_eq!(Row::default().fields().count(), 0);
    }

    #[test]
    fn a_truncated_row_has_fewer_values() {
        let row = Row::from_iter([Some(b"one".as_slice()), Some(b"two".as_slice())]);
        for end in 0..row.0.len() {
            assert_eq!(Fields::of(&row.0[..end]).count(), end / 7, "{end}");
        }
    }
}
