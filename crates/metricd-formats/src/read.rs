//! Readers of Parquet, Arrow IPC and XLSX.

mod arrow;
mod file;
mod parquet;
mod table;
mod values;
mod xlsx;

use std::sync::Arc;

use metricd_ingestion::FileFormat;

/// The formats, in the order in which they are tried.
#[must_use]
pub fn read_formats() -> Vec<Arc<dyn FileFormat>> {
    vec![Arc::new(parquet::Parquet), Arc::new(arrow::Arrow), Arc::new(xlsx::Xlsx)]
}
