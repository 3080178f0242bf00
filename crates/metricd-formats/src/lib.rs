//! The file formats that need large libraries, as adapters of ports.
//!
//! [`read_formats`] reads Parquet, Arrow IPC and XLSX, for the port [`TableFormat`](metricd_ingestion::TableFormat).
//! [`ResultFiles`] writes results in these formats, for the port [`FileWriters`](metricd_execution::FileWriters).

mod read;
mod write;

pub use read::read_formats;
pub use write::ResultFiles;

/// The examples of the README, which `cargo test --doc` runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
