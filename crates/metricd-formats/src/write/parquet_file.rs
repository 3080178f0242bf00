//! Writes Parquet files.

use std::sync::Arc;

use metricd_execution::{Column, EncodeError, Fields, ResultHead, RowWriter};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::batch::RowBatch;
use super::schema::metadata;
use super::{Output, writer_error};

/// The encoded size of a row group, in bytes. A row group is in memory until it is complete.
const ROW_GROUP_BYTES: usize = 8 << 20;

/// The same for a file that is in memory with others until it is complete: the encoders of a row group use several times as
/// much.
const BUFFERED_ROW_GROUP_BYTES: usize = 512 << 10;

/// A smaller row group is not ended for the rows that would then fit.
const MIN_ROW_GROUP_BYTES: usize = 128 << 10;

/// Writes a row group whenever its encoded rows fill one. The footer is written at the end.
#[derive(Debug)]
pub(super) struct ParquetWriter {
    head: ResultHead,
    batch: RowBatch,
    writer: Option<ArrowWriter<Output>>,
    output: Output,
    /// Whether the caller keeps all of the file, so that rows in an incomplete row group count too.
    is_buffered: bool,
    /// The estimated size of the incomplete row group, in bytes; 0 in a stream.
    row_group_bytes: usize,
}

impl ParquetWriter {
    pub(super) fn new(head: ResultHead) -> Self {
        let (batch, output) = (RowBatch::default(), Output::default());
        Self { head, batch, writer: None, output, is_buffered: false, row_group_bytes: 0 }
    }

    /// A writer of a file that the caller keeps until it is complete.
    pub(super) fn buffered(head: ResultHead) -> Self {
        Self { is_buffered: true, ..Self::new(head) }
    }

    fn properties(&self) -> WriterProperties {
        let row_group_bytes = if self.is_buffered { BUFFERED_ROW_GROUP_BYTES } else { ROW_GROUP_BYTES };
        // Readers that do not know Arrow's schema find the metadata here.
        let metadata = metadata(&self.head).map(|(key, value)| KeyValue::new(key, value)).collect();
        WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("metricd ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(metadata))
            .set_max_row_group_bytes(Some(row_group_bytes))
            .build()
    }

    fn write_batch(&mut self) -> Result<(), EncodeError> {
        if let (Some(writer), Some(batch)) = (&mut self.writer, self.batch.take()?) {
            writer.write(&batch).map_err(writer_error)?;
            if self.is_buffered {
                self.row_group_bytes = writer.in_progress_size();
            }
        }
        Ok(())
    }

    fn end_row_group(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.write_batch()?;
        if let Some(writer) = &mut self.writer {
            writer.flush().map_err(writer_error)?;
        }
        self.row_group_bytes = 0;
        self.output.drain_into(out);
        Ok(())
    }

    /// Whether the row fits. Encoded rows are mostly smaller than PostgreSQL's. In a stream, only those that are not encoded
    /// yet count.
    fn fits(&self, fields: &Fields<'_>, max_bytes: usize, out: &[u8]) -> bool {
        out.len() + self.row_group_bytes + self.batch.size_bytes() + fields.size_bytes() <= max_bytes
    }
}

impl RowWriter for ParquetWriter {
    fn head(&mut self, columns: &[Column], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.batch = RowBatch::new(&self.head, columns);
        let schema = Arc::clone(self.batch.schema());
        let writer = ArrowWriter::try_new(self.output.clone(), schema, Some(self.properties()));
        self.writer = Some(writer.map_err(writer_error)?);
        self.output.drain_into(out);
        Ok(())
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        if !self.fits(&fields, max_bytes, out) {
            if self.row_group_bytes < MIN_ROW_GROUP_BYTES {
                return Ok(false);
            }
            // It is mostly smaller than its estimate.
            self.end_row_group(out)?;
            if !self.fits(&fields, max_bytes, out) {
                return Ok(false);
            }
        }
        self.batch.push(fields)?;
        if self.batch.is_full() {
            self.write_batch()?;
            self.output.drain_into(out);
        }
        Ok(true)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.write_batch()?;
        if let Some(writer) = self.writer.take() {
            writer.close().map_err(writer_error)?;
        }
        self.output.drain_into(out);
        Ok(())
    }
}
