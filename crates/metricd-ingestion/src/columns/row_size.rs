//! The size of a row in PostgreSQL, which stores a row in one page.

use metricd_domain::ColumnType;

/// The greatest size of a row, in bytes.
pub(super) const MAX_ROW_BYTES: usize = 8_160;

/// The size of the header of a row, in bytes, without the bits of columns without a value.
const HEADER_BYTES: usize = 24;

/// The size of a pointer to a long value, which PostgreSQL keeps apart from its row, in bytes.
const POINTER_BYTES: usize = 18;

/// The size up to which a value is always kept in its row, in bytes.
const MAX_KEPT_BYTES: usize = 24;

/// The number of columns from which a row may be too long.
const MIN_COLUMNS: usize = MAX_ROW_BYTES / (MAX_KEPT_BYTES + 8);

/// The least size of a row: texts are counted as if PostgreSQL kept all long ones apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowSize {
    is_counted: bool,
    bytes: usize,
}

impl RowSize {
    pub(super) fn new(column_count: usize) -> Self {
        Self { is_counted: column_count >= MIN_COLUMNS, bytes: HEADER_BYTES }
    }

    /// Adds a value whose text has this size.
    #[inline]
    pub(super) fn add(&mut self, data_type: ColumnType, text_bytes: usize) {
        if self.is_counted {
            self.count(data_type, text_bytes);
        }
    }

    fn count(&mut self, data_type: ColumnType, text_bytes: usize) {
        let align = |bytes: usize, alignment: usize| bytes.next_multiple_of(alignment);
        let varying = |bytes: usize| if bytes > MAX_KEPT_BYTES { POINTER_BYTES } else { bytes };
        self.bytes = match data_type {
            ColumnType::Boolean => self.bytes + 1,
            ColumnType::Date => align(self.bytes, 4) + 4,
            ColumnType::Bigint | ColumnType::Double | ColumnType::Timestamp | ColumnType::Timestamptz => {
                align(self.bytes, 8) + 8
            }
            ColumnType::Uuid => self.bytes + 16,
            // Four digits have two bytes, after three bytes of lengths and sign.
            ColumnType::Numeric => self.bytes + 3 + varying(text_bytes.saturating_sub(2) / 2),
            // The text may have been quoted.
            ColumnType::Text | ColumnType::Bytea | ColumnType::Jsonb => {
                self.bytes + 1 + varying(text_bytes.saturating_sub(2)).min(POINTER_BYTES - 1)
            }
        };
    }

    /// The size, if it is too great.
    pub(super) fn excess(&self) -> Option<usize> {
        (self.bytes > MAX_ROW_BYTES).then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excess(count: usize, data_type: ColumnType, text_bytes: usize) -> Option<usize> {
        let mut size = RowSize::new(count);
        (0..count).for_each(|_| size.add(data_type, text_bytes));
        size.excess()
    }

    #[test]
    fn rows_that_fit_no_page_have_an_excess() {
        // The sizes that PostgreSQL reports.
        assert_eq!(excess(1_600, ColumnType::Bigint, 16), Some(12_824));
        assert_eq!(excess(1_200, ColumnType::Timestamptz, 22), Some(9_624));
        assert_eq!(excess(1_600, ColumnType::Text, 48), Some(28_824));
        assert_eq!(excess(1_017, ColumnType::Bigint, 16), None);
        assert_eq!(excess(450, ColumnType::Text, 1_000_000), None);
        assert_eq!(excess(1_600, ColumnType::Boolean, 4), None);
    }
}
