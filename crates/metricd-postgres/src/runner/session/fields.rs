//! The values of a row.

/// The fields of a row as they came: each a length, -1 for NULL, and so many bytes.
pub(in crate::runner) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// Those of a row without their number, which precedes them.
    pub(in crate::runner) fn of(row: &'a [u8]) -> Self {
        Self(row)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (size_bytes, rest) = self.0.split_first_chunk()?;
        let size_bytes = i32::from_be_bytes(*size_bytes);
        let (field, rest) = match usize::try_from(size_bytes) {
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
