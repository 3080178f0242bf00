//! The sample that a private PostgreSQL begins with: the files of the folder `data`, byte for byte.
//!
//! The queries' windows, such as the last 30 days, end with the last day of the data. Moving the records to today instead would
//! make the sample differ from the files, so that ingesting the files would add every record a second time.

use std::fs;

use anyhow::Result;
use tempfile::TempDir;

const METRICS: &str = include_str!("../../../data/metrics.json");
const QUERIES: &str = include_str!("../../../data/queries.csv");
const RECORDS: &str = include_str!("../../../data/records.csv");

/// Writes the sample into a temporary folder.
pub(crate) fn write() -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("metricd-sample-").tempdir()?;
    for (name, content) in [("metrics.json", METRICS), ("queries.csv", QUERIES), ("records.csv", RECORDS)] {
        fs::write(folder.path().join(name), content)?;
    }
    Ok(folder)
}
