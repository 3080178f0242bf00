//! Ingestions.

mod get;

pub(super) use get::get_ingestion;
