//! The columns of a result, from PostgreSQL's `RowDescription` message.

use bytes::Bytes;
use postgres_protocol::Oid;

/// After the name of a column: table (4 bytes), attribute (2), type (4), type length (2), type modifier (4), format
/// (2).
const FIELD_BYTES: usize = 18;
const TYPE_BYTES: std::ops::Range<usize> = 6..10;
const MODIFIER_BYTES: std::ops::Range<usize> = 12..16;
const FORMAT_BYTES: std::ops::Range<usize> = 16..18;

/// The number of columns precedes them.
const COUNT_BYTES: usize = 2;

/// The columns of a result, in wire format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RowDescription(Bytes);

/// One of these columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ColumnDescription<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) type_oid: Oid,
    /// The modifier of the type, such as the digits of a `numeric(12,2)`; -1 if it has none.
    pub(crate) type_modifier: i32,
    format: [u8; 2],
}

/// The encoding of the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Binary,
}

impl Format {
    pub(super) fn code(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }
}

impl RowDescription {
    /// Parses the body of a message.
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(body))
    }

    pub(crate) fn columns(&self) -> Columns<'_> {
        Columns(self.0.get(COUNT_BYTES..).unwrap_or_default())
    }

    /// The same columns with these encodings.
    pub(super) fn with_formats(&self, formats: &[Format]) -> Self {
        let mut body = self.0.to_vec();
        let mut end = COUNT_BYTES;
        for (column, format) in self.columns().zip(formats) {
            end += column.name.len() + 1 + FIELD_BYTES;
            if let Some(bytes) = end.checked_sub(2).and_then(|begin| body.get_mut(begin..end)) {
                bytes.copy_from_slice(&format.code().to_be_bytes());
            }
        }
        Self(body.into())
    }

    /// Whether the body of a message describes as many columns with the same names, types and formats. The table of a
    /// column does not matter.
    pub(super) fn matches(&self, body: &[u8]) -> bool {
        // Usually they are equal byte for byte.
        self.0 == body || {
            let count = |body: &[u8]| body.get(..COUNT_BYTES).map(<[u8]>::to_vec);
            count(&self.0) == count(body) && self.columns().eq(Columns(body.get(COUNT_BYTES..).unwrap_or_default()))
        }
    }
}

/// An iterator over columns.
#[derive(Debug, Clone)]
pub(crate) struct Columns<'a>(&'a [u8]);

impl<'a> Iterator for Columns<'a> {
    type Item = ColumnDescription<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let (name, rest) = self.0.split_at_checked(end)?;
        let (field, rest) = rest.get(1..)?.split_at_checked(FIELD_BYTES)?;
        self.0 = rest;
        let type_oid = Oid::from_be_bytes(field.get(TYPE_BYTES)?.try_into().ok()?);
        let type_modifier = i32::from_be_bytes(field.get(MODIFIER_BYTES)?.try_into().ok()?);
        Some(ColumnDescription { name, type_oid, type_modifier, format: field.get(FORMAT_BYTES)?.try_into().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(columns: &[(&str, u32, u32, i16)]) -> Vec<u8> {
        let mut body = i16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
        for (name, table, type_oid, format) in columns {
            body.extend_from_slice(name.as_bytes());
            body.push(0);
            body.extend_from_slice(&table.to_be_bytes());
            body.extend_from_slice(&[0, 1]);
            body.extend_from_slice(&type_oid.to_be_bytes());
            body.extend_from_slice(&[0, 8, 255, 255, 255, 255]);
            body.extend_from_slice(&format.to_be_bytes());
        }
        body
    }

    #[test]
    fn reads_names_and_types() {
        let description = RowDescription::parse(&body(&[("a", 7, 20, 0), ("", 0, 25, 0)]));
        let columns: Vec<_> = description.columns().map(|column| (column.name, column.type_oid)).collect();
        assert_eq!(columns, [(b"a".as_slice(), 20), (b"".as_slice(), 25)]);
    }

    #[test]
    fn another_name_type_format_or_number_is_another_result() {
        let described = RowDescription::parse(&body(&[("a", 7, 20, 0), ("b", 7, 1186, 0)]));
        let expected = described.with_formats(&[Format::Binary, Format::Text]);
        assert!(expected.matches(&body(&[("a", 7, 20, 1), ("b", 7, 1186, 0)])));
        // A table that was created again.
        assert!(expected.matches(&body(&[("a", 8, 20, 1), ("b", 8, 1186, 0)])));
        for other in [
            vec![("a", 7, 701, 1), ("b", 7, 1186, 0)],
            vec![("a", 7, 20, 0), ("b", 7, 1186, 0)],
            vec![("c", 7, 20, 1), ("b", 7, 1186, 0)],
            vec![("a", 7, 20, 1)],
            vec![("a", 7, 20, 1), ("b", 7, 1186, 0), ("c", 7, 20, 0)],
            vec![],
        ] {
            assert!(!expected.matches(&body(&other)), "{other:?}");
        }
        assert!(!expected.matches(b""));
        assert!(!expected.matches(&body(&[("a", 7, 20, 1), ("b", 7, 1186, 0)])[..30]));
    }
}
