//! The sample that a private PostgreSQL begins with: the files of the folder `data`, which stand in the program.
//!
//! The records are moved so that the last of them is of today; the queries' windows, such as the last 30 days, are not empty
//! then, on whatever day they are first loaded.

use std::fs;

use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDate, Utc};
use tempfile::TempDir;

const METRICS: &str = include_str!("../../../data/metrics.json");
const QUERIES: &str = include_str!("../../../data/queries.csv");
const RECORDS: &str = include_str!("../../../data/records.csv");

/// Writes the sample into a temporary folder.
pub(crate) fn write(now: fn() -> DateTime<Utc>) -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("metricd-sample-").tempdir()?;
    fs::write(folder.path().join("metrics.json"), METRICS)?;
    fs::write(folder.path().join("queries.csv"), QUERIES)?;
    fs::write(folder.path().join("records.csv"), moved(RECORDS, now().date_naive())?)?;
    Ok(folder)
}

/// The records with every date moved by as many days as bring the last one to `last`.
fn moved(records: &str, last: NaiveDate) -> Result<Vec<u8>> {
    let mut reader = csv::Reader::from_reader(records.as_bytes());
    let header = reader.headers()?.clone();
    let date = header.iter().position(|name| name == "date").context("the sample has no column `date`")?;
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>()?;
    let day = |row: &csv::StringRecord| row.get(date).unwrap_or_default().parse::<NaiveDate>();
    let days = rows.iter().map(day).collect::<Result<Vec<_>, _>>()?;
    let newest = days.iter().max().copied().context("the sample has no records")?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&header)?;
    for (row, day) in rows.iter().zip(days) {
        let moved = (day + (last - newest)).to_string();
        writer.write_record(row.iter().enumerate().map(|(index, field)| if index == date { &moved } else { field }))?;
    }
    Ok(writer.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_is_of_today_and_the_distances_stay() {
        let records = "id,date,x\nq1,2025-02-27,a\nq1,2025-03-01,\"b,\"\"c\"\n";
        let moved = moved(records, NaiveDate::from_ymd_opt(2028, 3, 1).unwrap()).unwrap();
        assert_eq!(String::from_utf8(moved).unwrap(), "id,date,x\nq1,2028-02-28,a\nq1,2028-03-01,\"b,\"\"c\"\n");
    }
}
