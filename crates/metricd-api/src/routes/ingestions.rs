//! `/ingestions`

pub(super) mod create;
pub(super) mod get;
mod redacted;
mod upload;

pub(super) use create::create_ingestion;
pub(super) use get::get_ingestion;
