//! Writes results as files, from PostgreSQL's binary values and without a copy of the whole result.
//!
//! `parquet_file` and `arrow_stream` write batches of rows, which `batch` collects in the builders of `column`. `numeric`,
//! `list`, `time` and `labels` decode values. `xlsx` writes rows as they come.

mod arrow_stream;
mod batch;
mod column;
mod labels;
mod list;
mod numeric;
mod parquet_file;
mod schema;
mod time;
mod xlsx;

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use metricd_execution::{EncodeError, FileFormat, FileWriters, ResultHead, RowWriter};

use self::arrow_stream::ArrowStreamWriter;
use self::parquet_file::ParquetWriter;
use self::xlsx::XlsxWriter;

/// Writes results as Parquet, Arrow IPC and XLSX.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResultFiles;

impl FileWriters for ResultFiles {
    fn writer(&self, format: FileFormat, head: ResultHead) -> Box<dyn RowWriter> {
        match format {
            FileFormat::Parquet => Box::new(ParquetWriter::new(head)),
            FileFormat::Arrow => Box::new(ArrowStreamWriter::new(head)),
            FileFormat::Xlsx => Box::new(XlsxWriter::new(head)),
        }
    }
}

/// The bytes that a library has written, until the caller takes them between two rows.
#[derive(Debug, Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    /// Moves the bytes to the end of `out`.
    fn drain_into(&self, out: &mut Vec<u8>) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if out.is_empty() {
            mem::swap(&mut *written, out);
        } else {
            out.append(&mut written);
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The error of a library that writes a format. Writing into memory does not fail, so it is a fault of the program.
#[expect(clippy::needless_pass_by_value, reason = "is passed to `map_err`")]
fn writer_error(error: impl ToString) -> EncodeError {
    EncodeError::Writer(error.to_string())
}

/// Why a value cannot be written.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// The bytes are not in the format of their type.
    Malformed,
    /// The format cannot hold the value.
    Unrepresentable(&'static str),
}
