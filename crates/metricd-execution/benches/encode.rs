//! Benchmarks of the encoders, without a database: `cargo bench -p metricd-execution`.
//!
//! The rows are those of a listing: 4 000 rows of 7 values. The baseline is `serde_json`, which writes the same result
//! from Rust values instead of PostgreSQL's binary format.

#![expect(clippy::expect_used, reason = "a benchmark fails by a panic")]

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use metricd_execution::{Column, CsvWriter, FieldType, JsonRows, NdjsonWriter, Row, RowSink, RowWriter};
use serde::Serialize;

/// The number of rows.
const ROWS: u16 = 4_000;

/// Typical texts of such a column.
const ALERTS: [&str; 4] = ["Price change", "End of life", "Last time buy", "Country of origin"];

fn main() {
    divan::main();
}

/// The values of a row in Rust.
#[derive(Serialize)]
struct Record {
    id: String,
    date: String,
    obsolescence: f64,
    alert_type: String,
    parts_flagged: i64,
    obsolescence_val: f64,
    alert_category: String,
}

/// The same values in PostgreSQL's binary format.
fn row(number: u16) -> Row {
    let day = (9_132 + i32::from(number / 10)).to_be_bytes();
    let (amount, value) = (numeric(number), numeric(number + 1));
    let fields: [&[u8]; 7] = [
        b"bench-listing",
        &day,
        &amount,
        alert(number).as_bytes(),
        &i64::from(number % 40).to_be_bytes(),
        &value,
        b"Need approval",
    ];
    fields.into_iter().map(Some).collect()
}

fn alert(number: u16) -> &'static str {
    ALERTS[usize::from(number) % ALERTS.len()]
}

/// `number` and a quarter, as a `numeric` with two digits after the point.
fn numeric(number: u16) -> Vec<u8> {
    let (digits, weight, sign, scale) = (2_u16, 0, 0, 2);
    [digits, weight, sign, scale, number, 2_500].into_iter().flat_map(u16::to_be_bytes).collect()
}

fn columns() -> Vec<Column> {
    let columns = [
        ("id", "text", FieldType::Text),
        ("date", "date", FieldType::Date),
        ("obsolescence", "numeric", FieldType::Numeric(None)),
        ("alert_type", "text", FieldType::Text),
        ("parts_flagged", "bigint", FieldType::BigInt),
        ("obsolescence_val", "numeric", FieldType::Numeric(None)),
        ("alert_category", "text", FieldType::Text),
    ];
    let column = |(name, type_name, field_type)| Column {
        name: String::from(name),
        type_name: String::from(type_name),
        field_type,
    };
    columns.into_iter().map(column).collect()
}

fn rows() -> Vec<Row> {
    (0..ROWS).map(row).collect()
}

fn records() -> Vec<Record> {
    let record = |number: u16| Record {
        id: "bench-listing".to_owned(),
        date: "2025-01-01".to_owned(),
        obsolescence: f64::from(number) + 0.25,
        alert_type: alert(number).to_owned(),
        parts_flagged: i64::from(number % 40),
        obsolescence_val: f64::from(number + 1) + 0.25,
        alert_category: "Need approval".to_owned(),
    };
    (0..ROWS).map(record).collect()
}

fn json_rows(rows: &[Row], columns: &[Column]) -> Vec<u8> {
    let mut json = JsonRows::default();
    json.columns(columns).expect("the names can be shown");
    for row in rows {
        let is_taken = json.row(row.fields(), usize::MAX);
        assert!(is_taken.expect("the values have the form of their types"));
    }
    json.finish()
}

fn written(writer: &mut impl RowWriter, rows: &[Row], columns: &[Column]) -> Vec<u8> {
    let mut out = Vec::new();
    writer.head(columns, &mut out).expect("the names can be shown");
    for row in rows {
        let is_taken = writer.row(row.fields(), usize::MAX, &mut out);
        assert!(is_taken.expect("the values have the form of their types"));
    }
    out
}

/// Measures the throughput of `write`, by the size of its output.
fn measure(bencher: Bencher<'_, '_>, write: impl Fn() -> Vec<u8> + Sync) {
    bencher.counter(BytesCount::new(write().len())).bench(|| black_box(write()));
}

#[divan::bench]
fn serde_json_from_structs(bencher: Bencher<'_, '_>) {
    let records = records();
    measure(bencher, || serde_json::to_vec(black_box(&records)).expect("it has only text for keys"));
}

#[divan::bench]
fn json(bencher: Bencher<'_, '_>) {
    let (rows, columns) = (rows(), columns());
    measure(bencher, || json_rows(black_box(&rows), &columns));
}

#[divan::bench]
fn ndjson(bencher: Bencher<'_, '_>) {
    let (rows, columns) = (rows(), columns());
    measure(bencher, || written(&mut NdjsonWriter::default(), black_box(&rows), &columns));
}

#[divan::bench]
fn csv(bencher: Bencher<'_, '_>) {
    let (rows, columns) = (rows(), columns());
    measure(bencher, || written(&mut CsvWriter::default(), black_box(&rows), &columns));
}
