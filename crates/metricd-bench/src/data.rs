//! Generates the files to ingest, with the requested numbers of records and definitions.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::json;

use crate::workload::Workload;

/// The number of records of each query, and so of rows of the listing.
pub(crate) const LISTING_ROWS: u32 = 4_000;

/// The number of metrics in one call of `/results`.
pub(crate) const METRICS_PER_CALL: u32 = 10;

/// The number of workloads. Their definitions come before all others.
const WORKLOAD_COUNT: u32 = 3;

/// The minimum number of definitions: the workloads, and the metrics of one call of `/results`.
pub(crate) const MIN_DEFINITIONS: u32 = WORKLOAD_COUNT + METRICS_PER_CALL;

/// The number of records of a query for each day.
const RECORDS_PER_DAY: u32 = 10;

const ALERT_TYPES: [&str; 4] = ["End of life", "Shortage", "Price change", "Not recommended for new designs"];
const CATEGORIES: [&str; 3] = ["Resolved", "Need approval", "Informational"];

/// The amount of data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) records: u32,
    pub(crate) definitions: u32,
}

/// Writes the files for `metricd ingest` into the folder.
pub(crate) fn write(folder: &Path, size: Size) -> io::Result<()> {
    let file = |name: &str| File::create(folder.join(name)).map(BufWriter::new);
    let queries = size.definitions.max(size.records.div_ceil(LISTING_ROWS));
    let mut out = file("queries.csv")?;
    writeln!(out, "id,query")?;
    for number in 0..queries {
        writeln!(out, "{},\"{}\"", id(number), sql(number))?;
    }
    out.flush()?;

    let item = |number| json!({"id": id(number), "queryId": id(number), "isEditable": false});
    let items: Vec<_> = (0..size.definitions).map(item).collect();
    let mut out = file("metrics.json")?;
    let definitions = json!({"name": "Benchmark", "items": items, "tables": [table()]});
    serde_json::to_writer(&mut out, &definitions)?;
    out.flush()?;

    let mut out = file("records.csv")?;
    writeln!(out, "id,date,obsolescence,alert_type,parts_flagged,obsolescence_val,alert_category")?;
    for number in 0..size.records {
        writeln!(out, "{}", record(number))?;
    }
    out.flush()
}

/// The declaration of the table that the queries read.
fn table() -> serde_json::Value {
    let column = |(name, data_type): (&str, &str)| {
        let is_required = ["id", "date"].contains(&name);
        json!({"name": name, "type": data_type, "required": is_required})
    };
    let columns = [
        ("id", "text"),
        ("date", "date"),
        ("obsolescence", "numeric"),
        ("alert_type", "text"),
        ("parts_flagged", "bigint"),
        ("obsolescence_val", "numeric"),
        ("alert_category", "text"),
    ];
    let columns: Vec<_> = columns.into_iter().map(column).collect();
    json!({"name": "metrics", "file": "records.csv", "columns": columns, "time_column": "date",
        "indexes": [["id", "date"]]})
}

/// The ids of the metrics in one call of `/results`.
pub(crate) fn metrics_of_one_call() -> Vec<String> {
    (WORKLOAD_COUNT..MIN_DEFINITIONS).map(id).collect()
}

/// The id of a metric, its query and its records. The first ids are those of the workloads.
fn id(number: u32) -> String {
    let workload = usize::try_from(number).ok().and_then(|index| Workload::ALL.get(index));
    workload.map_or_else(|| format!("bench-other-{number}"), |workload| workload.id())
}

/// The SQL of a query. That of the other metrics is cheap for PostgreSQL: the totals of one day, which has 10 records.
fn sql(number: u32) -> String {
    let workload = usize::try_from(number).ok().and_then(|index| Workload::ALL.get(index));
    let totals = || {
        format!(
            "SELECT COUNT(*) AS alerts, SUM(parts_flagged) AS parts_flagged FROM metrics \
             WHERE id = '{}' AND date = '2026-02-03'",
            id(number)
        )
    };
    workload.map_or_else(totals, |workload| workload.sql())
}

/// A record. The records are grouped by query, and those of a query are in order of their days.
fn record(number: u32) -> String {
    let of_query = number % LISTING_ROWS;
    // A simple deterministic sequence, so that the data are the same in each run.
    let noise = number.wrapping_mul(2_654_435_761) >> 8;
    let choose = |names: &[&'static str]| names[usize::try_from(noise).unwrap_or_default() % names.len()];
    format!(
        "{},{},{}.{:02},{},{},{}.{:02},{}",
        id(number / LISTING_ROWS),
        day(of_query / RECORDS_PER_DAY),
        noise % 5_000,
        noise % 97,
        choose(&ALERT_TYPES),
        noise % 40,
        9_000 + noise % 3_000,
        noise % 89,
        choose(&CATEGORIES),
    )
}

/// The date of the day with this number, counted from 2025-01-01.
fn day(mut number: u32) -> String {
    for (year, month, days) in [
        (2025, 1, 31),
        (2025, 2, 28),
        (2025, 3, 31),
        (2025, 4, 30),
        (2025, 5, 31),
        (2025, 6, 30),
        (2025, 7, 31),
        (2025, 8, 31),
        (2025, 9, 30),
        (2025, 10, 31),
        (2025, 11, 30),
        (2025, 12, 31),
        (2026, 1, 31),
    ] {
        if number < days {
            return format!("{year}-{month:02}-{:02}", number + 1);
        }
        number -= days;
    }
    format!("2026-02-{:02}", number + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_consecutive_and_end_with_the_windows_of_the_queries() {
        assert_eq!(
            [0, 30, 31, 58, 59, 364, 365].map(day),
            ["2025-01-01", "2025-01-31", "2025-02-01", "2025-02-28", "2025-03-01", "2025-12-31", "2026-01-01",]
        );
        assert_eq!(day(LISTING_ROWS / RECORDS_PER_DAY - 1), "2026-02-04");
    }

    #[test]
    fn each_query_has_as_many_records_as_the_listing_has_rows() {
        let records = (0..3 * LISTING_ROWS).map(record);
        let of_series = records.filter(|record| record.starts_with("bench-series,"));
        assert_eq!(of_series.count(), usize::try_from(LISTING_ROWS).unwrap());
    }

    #[test]
    fn the_metrics_of_one_call_are_no_workloads_and_have_records() {
        let ids: std::collections::BTreeSet<_> = metrics_of_one_call().into_iter().collect();
        assert_eq!(ids.len(), usize::try_from(METRICS_PER_CALL).unwrap());
        assert!(Workload::ALL.iter().all(|workload| !ids.contains(&workload.id())));
        let days = (0..MIN_DEFINITIONS * LISTING_ROWS).map(record).filter(|record| record.contains(",2026-02-03,"));
        let with_records: std::collections::BTreeSet<_> =
            days.filter_map(|record| Some(record.split_once(',')?.0.to_owned())).collect();
        assert!(ids.is_subset(&with_records));
    }

    #[test]
    fn the_series_has_thirty_days() {
        let days: std::collections::BTreeSet<_> = (0..400).map(day).filter(|day| day.as_str() > "2026-01-05").collect();
        assert_eq!(days.len(), usize::try_from(Workload::Series.rows()).unwrap());
    }
}
