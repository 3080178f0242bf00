//! The progress of an ingestion.

use std::fmt::Debug;

/// Receives the progress of an ingestion. The calls come in the order of the methods, except for `advance`.
pub trait Progress: Debug + Send + Sync {
    /// Reading begins. All files together have `total_bytes` bytes.
    fn begin(&self, total_bytes: u64);

    /// `bytes` more bytes will be read: a file with rows is read several times.
    fn expect(&self, _bytes: u64) {}

    /// `bytes` more bytes were read.
    fn advance(&self, bytes: u64);

    /// The ingestion waits for another one to end.
    fn wait(&self);

    /// The database has validated `done` of `total` queries. Records are read afterwards.
    fn validate(&self, done: u64, total: u64);

    /// All files were read and are being stored.
    fn store(&self);
}

/// Ignores all progress.
impl Progress for () {
    fn begin(&self, _total_bytes: u64) {}

    fn advance(&self, _bytes: u64) {}

    fn wait(&self) {}

    fn validate(&self, _done: u64, _total: u64) {}

    fn store(&self) {}
}
