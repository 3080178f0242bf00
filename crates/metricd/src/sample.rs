//! The sample for an empty private PostgreSQL: the files of the folder `data`, byte for byte.
//!
//! The queries' windows, such as the last 30 days, end with the last day of the data. The alternative, to move the records to
//! today, was rejected: the sample would differ from the files, and ingesting the files would add every record again.

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
