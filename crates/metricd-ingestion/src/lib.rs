//! Validates files of definitions, queries and tables, stores them and reports the outcome of each entry.
//!
//! [`Inputs::find`] finds the files. [`ingest`] reads and validates them, stores them through a
//! [`MetricRepository`](metricd_repository::MetricRepository) in one transaction, and returns an
//! [`IngestionReport`](metricd_domain::IngestionReport). [`render`] formats the report for people.
//!
//! A fault in the content of a file is a refusal in the report with a [`Reason`], and never an error.
//!
//! # Ingest a folder
//!
//! ```
//! use std::collections::BTreeSet;
//! use std::sync::Arc;
//!
//! use metricd_execution::{SqlValidator, Resolver};
//! use metricd_ingestion::{Inputs, IngestOptions, ingest};
//! use metricd_repository::MetricRepository;
//!
//! async fn ingest_folder(
//!     repository: &dyn MetricRepository,
//!     resolver: Arc<dyn Resolver>,
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let folder = tempfile::tempdir()?;
//!     std::fs::write(folder.path().join("queries.csv"), "id,query\nq1,SELECT 1 AS one\nq2,\n")?;
//!
//!     let validator = SqlValidator::new(resolver, &BTreeSet::new()).await?;
//!     let inputs = Inputs::find(&[folder.path().to_owned()])?;
//!     let report = ingest(repository, validator, inputs, IngestOptions::default(), Arc::new(())).await?;
//!     assert_eq!((report.queries.added, report.queries.refused), (1, 1));
//!     assert_eq!(report.refusals[0].reason, "sql-blank");
//!     Ok(())
//! }
//! ```
//!
//! # Validate the stored definitions again
//!
//! [`check_definitions`] validates the stored definitions again, against the current database.
//!
//! ```
//! use metricd_execution::{SqlValidator, MetricRunner};
//! use metricd_ingestion::check_definitions;
//! use metricd_repository::MetricRepository;
//!
//! async fn count_drifted(
//!     repository: &dyn MetricRepository,
//!     validator: &SqlValidator,
//!     runner: &dyn MetricRunner,
//! ) -> Result<usize, Box<dyn std::error::Error>> {
//!     Ok(check_definitions(repository, validator, runner, || {}).await?.drifts.len())
//! }
//! ```
//!
//! The crate knows neither HTTP nor a database. It holds definitions and queries in memory, and streams records.

mod buffer;
mod check;
mod columns;
mod csv;
mod findings;
mod ingest;
mod input;
mod json;
mod json_records;
mod kind;
mod progress;
mod readers;
mod reason;
mod render;
mod source;
mod tables;
mod validate;

pub use check::{CheckError, CheckReport, Drift, check_definitions};
pub use columns::{ColumnChoice, InvalidDateFormat, Padded, TypeChooser, TypedRowWriter};
pub use ingest::{IngestError, IngestOptions, ingest};
pub use input::{Input, InputError, Inputs};
pub use progress::Progress;
pub use readers::{CopyFormat, CsvFormat, JsonFormat, decompress};
pub use reason::Reason;
pub use render::render;
pub use source::{CellKind, Next, ReadError, ReadSeek, RowFault, SourceColumn, SourceRow, TableFormat, TableReader};
