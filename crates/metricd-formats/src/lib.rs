//! The file formats that need large libraries, as adapters of ports.
//!
//! [`ResultFiles`] writes results as Parquet, Arrow IPC and XLSX, for the port
//! [`FileWriters`](metricd_execution::FileWriters).

mod write;

pub use write::ResultFiles;

/// The examples of the README, which `cargo test --doc` runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
