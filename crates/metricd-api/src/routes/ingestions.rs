//! `/ingestions`

pub(super) mod create;
pub(super) mod get;
mod redacted;
mod upload;
