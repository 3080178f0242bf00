//! Writes the stream format of Arrow IPC.

use arrow_ipc::writer::StreamWriter;
use metricd_execution::{Column, EncodeError, Fields, ResultHead, RowWriter};

use super::batch::RowBatch;
use super::{Output, writer_error};

/// Writes a message for each batch of some thousand rows.
pub(super) struct ArrowStreamWriter {
    head: ResultHead,
    batch: RowBatch,
    writer: Option<StreamWriter<Output>>,
    output: Output,
}

impl ArrowStreamWriter {
    pub(super) fn new(head: ResultHead) -> Self {
        Self { head, batch: RowBatch::default(), writer: None, output: Output::default() }
    }

    fn write_batch(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if let (Some(writer), Some(batch)) = (&mut self.writer, self.batch.take()?) {
            writer.write(&batch).map_err(writer_error)?;
        }
        self.output.drain_into(out);
        Ok(())
    }
}

impl RowWriter for ArrowStreamWriter {
    fn head(&mut self, columns: &[Column], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.batch = RowBatch::new(&self.head, columns);
        let writer = StreamWriter::try_new(self.output.clone(), self.batch.schema());
        self.writer = Some(writer.map_err(writer_error)?);
        self.output.drain_into(out);
        Ok(())
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        if out.len() + self.batch.size_bytes() + fields.size_bytes() > max_bytes {
            return Ok(false);
        }
        self.batch.push(fields)?;
        if self.batch.is_full() {
            self.write_batch(out)?;
        }
        Ok(true)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.write_batch(out)?;
        if let Some(mut writer) = self.writer.take() {
            writer.finish().map_err(writer_error)?;
        }
        self.output.drain_into(out);
        Ok(())
    }
}
