//! A file that several readers share, each with its own position.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use metricd_ingestion::ReadSeek;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

/// A file that many readers read at once.
#[derive(Clone)]
pub(super) struct SharedFile {
    file: Arc<Mutex<Box<dyn ReadSeek>>>,
    size: u64,
}

impl std::fmt::Debug for SharedFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SharedFile").field("size", &self.size).finish_non_exhaustive()
    }
}

impl SharedFile {
    /// Measures the file.
    pub(super) fn new(mut file: Box<dyn ReadSeek>) -> io::Result<Self> {
        let size = file.seek(SeekFrom::End(0))?;
        Ok(Self { file: Arc::new(Mutex::new(file)), size })
    }

    /// The size in bytes, when the file was opened.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// A reader that begins at this offset.
    pub(super) fn reader_at(&self, position: u64) -> FileReader {
        FileReader { file: self.clone(), position }
    }

    /// Reads so many bytes, which are in the file. Nothing is allocated for bytes that the file does not have.
    pub(super) fn read_exact_at(&self, position: u64, length: usize) -> io::Result<Vec<u8>> {
        let end = position.checked_add(length as u64).filter(|end| *end <= self.size);
        if end.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length];
        self.reader_at(position).read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Reads a [`SharedFile`] from a position of its own.
#[derive(Debug, Clone)]
pub(super) struct FileReader {
    file: SharedFile,
    position: u64,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.position))?;
        let count = file.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for FileReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.file.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl Length for SharedFile {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for SharedFile {
    type T = io::BufReader<FileReader>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        // Page headers are read through it, which are small.
        Ok(io::BufReader::with_capacity(512, self.reader_at(start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        match self.read_exact_at(start, length) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(ParquetError::EOF(format!("expected {length} bytes at {start}, which the file does not have")))
            }
            Err(error) => Err(ParquetError::External(Box::new(error))),
        }
    }
}
