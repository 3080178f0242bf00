//! Validates the content of files: decides what may be stored, and reports the rest.

mod contracts;
mod csv_faults;
mod dashboards;
mod definitions;
mod edits;
mod merge;
mod queries;
mod references;
mod suggestions;
mod table_readers;
mod validation_cache;

pub(crate) use definitions::{DraftDashboard, parse_definitions};
pub(crate) use merge::{Located, merge};
pub(crate) use queries::parse_queries;
pub(crate) use references::{FileDefinitions, ValidatedDefinitions};
pub(crate) use table_readers::{BrokenReader, validate_readers};
pub(crate) use validation_cache::{ValidationCache, ValidationFailure};
