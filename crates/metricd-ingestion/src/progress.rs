//! How far an ingestion has come.

use std::fmt::Debug;
use std::io::{self, Read};

/// Is told how far an ingestion has come, by the bytes read.
pub trait Progress: Debug + Send + Sync {
    /// Reading begins; all files together have this many bytes.
    fn begin(&self, total_bytes: u64);

    /// This many more bytes have been read.
    fn advance(&self, bytes: u64);

    /// So many of the queries have been judged by the database. What is read after that are records.
    fn judge(&self, done: u64, total: u64);

    /// All has been read, and is being stored.
    fn store(&self);
}

/// Tells nobody.
impl Progress for () {
    fn begin(&self, _total_bytes: u64) {}

    fn advance(&self, _bytes: u64) {}

    fn judge(&self, _done: u64, _total: u64) {}

    fn store(&self) {}
}

/// A reader that tells how much has been read.
#[derive(Debug)]
pub(crate) struct Counted<R, P> {
    pub(crate) reader: R,
    pub(crate) progress: P,
}

impl<R: Read, P: AsRef<dyn Progress>> Read for Counted<R, P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.progress.as_ref().advance(read as u64);
        Ok(read)
    }
}
