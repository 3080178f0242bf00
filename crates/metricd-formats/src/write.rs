//! Writes results as files, from PostgreSQL's binary values and without a copy of the whole result.
//!
//! `parquet_file` and `arrow_stream` write batches of rows, which `batch` collects in the builders of `column`. `numeric`,
//! `list`, `time` and `labels` decode values. `xlsx` writes rows as they come, into an archive of `zip_entry`. `archive` puts
//! several results into one file, with names of `names`.

mod archive;
mod arrow_stream;
mod batch;
mod column;
mod labels;
mod list;
mod names;
mod numeric;
mod parquet_file;
mod schema;
mod time;
mod xlsx;
mod zip_entry;

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use metricd_execution::{ArchiveFormat, ArchiveMember, EncodeError, FileFormat, FileWriters, ResultHead, RowWriter};

use self::arrow_stream::ArrowStreamWriter;
use self::parquet_file::ParquetWriter;
use self::xlsx::workbook_writer;

/// Writes results as Parquet, Arrow IPC and XLSX, and several of them as zip archives and workbooks.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResultFiles;

impl FileWriters for ResultFiles {
    fn writer(&self, format: FileFormat, head: ResultHead) -> Box<dyn RowWriter> {
        match format {
            FileFormat::Parquet => Box::new(ParquetWriter::new(head)),
            FileFormat::Arrow => Box::new(ArrowStreamWriter::new(head)),
            FileFormat::Xlsx => Box::new(workbook_writer(&head)),
        }
    }

    fn member(&self, format: ArchiveFormat, head: ResultHead) -> Box<dyn RowWriter> {
        Box::new(archive::member(format, head))
    }

    fn member_names(&self, format: ArchiveFormat, heads: &[ResultHead]) -> Vec<String> {
        archive::member_names(format, heads)
    }

    fn archive(&self, format: ArchiveFormat, title: &str, members: Vec<ArchiveMember>) -> Result<Vec<u8>, EncodeError> {
        archive::archive(format, title, members)
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
