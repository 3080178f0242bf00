//! The commands, one a file.

mod ingest;
mod migrate;
mod serve;

pub(crate) use ingest::ingest;
pub(crate) use migrate::migrate;
pub(crate) use serve::serve;
