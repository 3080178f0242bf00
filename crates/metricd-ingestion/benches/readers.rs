//! Benchmarks of the readers of text files, without a database: `cargo bench -p metricd-ingestion --bench readers`.
//!
//! The same 20 000 rows of 6 values are read as CSV, with and without quotes, as NDJSON, and compressed.

#![expect(clippy::expect_used, reason = "a benchmark fails by a panic")]

use std::io::Cursor;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use metricd_domain::ReadOptions;
use metricd_ingestion::{CsvFormat, JsonFormat, Next, SourceRow, TableFormat, decompress};

/// The number of rows.
const ROWS: usize = 20_000;

fn main() {
    divan::main();
}

fn csv() -> Vec<u8> {
    let row = |row: usize| {
        let day = row % 28 + 1;
        format!("{row},2025-06-{day:02},{}.{:02},Price change,{},Supplier {}\n", row * 31, row % 100, row % 7, row % 50)
    };
    let rows: String = (0..ROWS).map(row).collect();
    format!("id,day,amount,alert,parts,supplier\n{rows}").into_bytes()
}

fn quoted_csv() -> Vec<u8> {
    let csv = String::from_utf8(csv()).expect("the text is UTF-8");
    let quoted = |line: &str| format!("\"{}\"\n", line.replace(',', "\",\""));
    csv.lines().map(quoted).collect::<String>().into_bytes()
}

fn ndjson() -> Vec<u8> {
    let row = |row: usize| {
        let (day, amount) = (row % 28 + 1, row * 31);
        format!(
            "{{\"id\":{row},\"day\":\"2025-06-{day:02}\",\"amount\":{amount}.{:02},\"alert\":\"Price change\",\"parts\":{},\
             \"supplier\":\"Supplier {}\"}}\n",
            row % 100,
            row % 7,
            row % 50
        )
    };
    (0..ROWS).map(row).collect::<String>().into_bytes()
}

/// Reads every row of a file.
fn read(bencher: Bencher<'_, '_>, format: &dyn TableFormat, file: &[u8], size: usize) {
    let mut row = SourceRow::default();
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        let file = decompress(Box::new(Cursor::new(black_box(file).to_owned()))).expect("the file can be read");
        let mut reader = format.open(file, &ReadOptions::default()).expect("the file has the format");
        let mut rows = 0;
        while let Next::Row { .. } = reader.read(&mut row).expect("the file can be read") {
            rows += 1;
        }
        assert_eq!(rows, ROWS);
    });
}

#[divan::bench]
fn read_csv(bencher: Bencher<'_, '_>) {
    let file = csv();
    read(bencher, &CsvFormat, &file, file.len());
}

#[divan::bench]
fn read_quoted_csv(bencher: Bencher<'_, '_>) {
    let file = quoted_csv();
    read(bencher, &CsvFormat, &file, file.len());
}

#[divan::bench]
fn read_compressed_csv(bencher: Bencher<'_, '_>) {
    let file = csv();
    let compressed = zstd::encode_all(file.as_slice(), 3).expect("the file can be compressed");
    read(bencher, &CsvFormat, &compressed, file.len());
}

#[divan::bench]
fn read_ndjson(bencher: Bencher<'_, '_>) {
    let file = ndjson();
    read(bencher, &JsonFormat, &file, file.len());
}
