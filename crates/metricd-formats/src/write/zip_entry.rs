//! A file in a zip archive that is compressed as its rows come, so that the archive can be sent while it is written.

use std::io::Write;
use std::mem;

use metricd_execution::{Column, EncodeError, Fields, RowWriter};
use zip::write::{SimpleFileOptions, StreamWriter, ZipWriter};
use zip::{CompressionMethod, DateTime};

use super::{Output, writer_error};

/// Content of this size is compressed, in bytes.
const MAX_PENDING_BYTES: usize = 64 << 10;

/// The most bytes of a file before compression. Larger files need an extension of zip that not every reader knows.
const MAX_FILE_BYTES: u64 = u32::MAX as u64;

/// Zlib's level from 1 to 9: most of the time is spent on compression.
const COMPRESSION_LEVEL: i64 = 3;

/// How a file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    Compressed,
    /// As it is, since it is compressed already.
    Plain,
}

impl Storage {
    /// The options of a file. All files have the same time, so that the same content makes the same archive.
    pub(super) fn options(self) -> SimpleFileOptions {
        let options = SimpleFileOptions::default().last_modified_time(DateTime::default());
        match self {
            Self::Compressed => {
                options.compression_method(CompressionMethod::Deflated).compression_level(Some(COMPRESSION_LEVEL))
            }
            Self::Plain => options.compression_method(CompressionMethod::Stored),
        }
    }
}

/// Writes an archive whose last file has the rows.
pub(super) struct ZipEntryWriter {
    name: String,
    storage: Storage,
    /// Writes the content of the file.
    rows: Box<dyn RowWriter>,
    /// The names and contents of the files before it.
    before: Vec<(&'static str, String)>,
    archive: Option<ZipWriter<StreamWriter<Output>>>,
    output: Output,
    /// Content that is not compressed yet.
    pending: Vec<u8>,
    /// The size of the content before compression, without what is pending.
    size_bytes: u64,
}

impl ZipEntryWriter {
    pub(super) fn new(name: impl Into<String>, storage: Storage, rows: Box<dyn RowWriter>) -> Self {
        Self {
            name: name.into(),
            storage,
            rows,
            before: Vec::new(),
            archive: None,
            output: Output::default(),
            pending: Vec::new(),
            size_bytes: 0,
        }
    }

    /// Writes these files before that of the rows.
    pub(super) fn after(self, before: Vec<(&'static str, String)>) -> Self {
        Self { before, ..self }
    }

    fn archive(&mut self) -> &mut ZipWriter<StreamWriter<Output>> {
        let output = &self.output;
        self.archive.get_or_insert_with(|| ZipWriter::new_stream(output.clone()))
    }

    /// Compresses what is pending.
    fn compress(&mut self) -> Result<(), EncodeError> {
        self.size_bytes += self.pending.len() as u64;
        if self.size_bytes > MAX_FILE_BYTES {
            let message = "a file in a zip archive, such as a sheet, has at most 4 GiB before compression: request fewer rows or \
                           columns, or another format";
            return Err(EncodeError::TooLarge(message.to_owned()));
        }
        let pending = mem::take(&mut self.pending);
        self.archive().write_all(&pending).map_err(writer_error)?;
        self.pending = pending;
        self.pending.clear();
        Ok(())
    }
}

impl RowWriter for ZipEntryWriter {
    fn head(&mut self, columns: &[Column], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.rows.head(columns, &mut self.pending)?;
        for (name, content) in mem::take(&mut self.before) {
            self.archive().start_file(name, Storage::Compressed.options()).map_err(writer_error)?;
            self.archive().write_all(content.as_bytes()).map_err(writer_error)?;
        }
        let (name, options) = (self.name.clone(), self.storage.options());
        self.archive().start_file(name, options).map_err(writer_error)?;
        self.output.drain_into(out);
        Ok(())
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        if !self.rows.row(fields, max_bytes.saturating_sub(out.len()), &mut self.pending)? {
            return Ok(false);
        }
        if self.pending.len() >= MAX_PENDING_BYTES {
            self.compress()?;
            self.output.drain_into(out);
        }
        Ok(true)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.rows.finish(&mut self.pending)?;
        self.compress()?;
        if let Some(archive) = self.archive.take() {
            archive.finish().map_err(writer_error)?;
        }
        self.output.drain_into(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use metricd_execution::CsvWriter;

    use super::*;

    #[test]
    fn more_content_than_a_file_holds_is_refused() {
        let mut writer = ZipEntryWriter::new("a", Storage::Compressed, Box::new(CsvWriter::default()));
        let mut out = Vec::new();
        writer.head(&[], &mut out).unwrap();
        writer.size_bytes = MAX_FILE_BYTES;
        assert!(matches!(writer.finish(&mut out), Err(EncodeError::TooLarge(_))));
    }
}
