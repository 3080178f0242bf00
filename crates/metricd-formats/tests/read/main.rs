//! The readers, from outside.

#![expect(clippy::unwrap_used, reason = "a failure in a helper fails the test that calls it")]

mod arrow;
mod files;
mod parquet;
mod support;
mod types;
mod xlsx;
