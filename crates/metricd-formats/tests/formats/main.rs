//! Writes results as files, and reads them back with the libraries of the formats.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod archives;
mod parquet_and_arrow;
mod refusals;
mod sheets;
mod support;
