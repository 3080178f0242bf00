//! Collects rows into record batches.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};
use metricd_execution::{Column, EncodeError, Fields, ResultHead};

use super::column::ColumnBuilder;
use super::schema::schema;
use super::{Refusal, writer_error};

/// The most rows of a batch.
const MAX_ROWS: usize = 8_192;

/// A batch of this size is complete, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// The rows that have not been written yet.
#[derive(Debug)]
pub(super) struct RowBatch {
    columns: Vec<Column>,
    builders: Vec<ColumnBuilder>,
    schema: SchemaRef,
    row_count: usize,
    size_bytes: usize,
}

impl Default for RowBatch {
    fn default() -> Self {
        let schema = Arc::new(Schema::empty());
        Self { columns: Vec::new(), builders: Vec::new(), schema, row_count: 0, size_bytes: 0 }
    }
}

impl RowBatch {
    /// A batch of these columns.
    pub(super) fn new(head: &ResultHead, columns: &[Column]) -> Self {
        let builders: Vec<_> = columns.iter().map(|column| ColumnBuilder::new(column, head)).collect();
        let schema = Arc::new(schema(head, columns, &builders));
        Self { columns: columns.to_vec(), builders, schema, ..Self::default() }
    }

    /// The schema.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The size of the rows in PostgreSQL's format, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Whether the batch has to be taken before the next row.
    pub(super) fn is_full(&self) -> bool {
        self.row_count >= MAX_ROWS || self.size_bytes >= MAX_BYTES
    }

    /// Appends a row.
    pub(super) fn push(&mut self, fields: Fields<'_>) -> Result<(), EncodeError> {
        self.size_bytes += fields.size_bytes();
        let mut fields = fields;
        for (column, builder) in self.columns.iter().zip(&mut self.builders) {
            let field = fields.next().ok_or_else(|| column.malformed())?;
            builder.append(field).map_err(|refusal| match refusal {
                Refusal::Malformed => column.malformed(),
                Refusal::Unrepresentable(reason) => {
                    EncodeError::Unrepresentable { column: column.name.clone(), reason: reason.to_owned() }
                }
            })?;
        }
        self.row_count += 1;
        Ok(())
    }

    /// Takes the rows; `None` if there are none.
    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>, EncodeError> {
        if self.row_count == 0 {
            return Ok(None);
        }
        let arrays = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.row_count));
        (self.row_count, self.size_bytes) = (0, 0);
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options);
        batch.map(Some).map_err(writer_error)
    }
}
