//! Benchmarks of the writers of files, without a database: `cargo bench -p metricd-formats`.
//!
//! The rows are those of a listing: 100 000 rows of 6 values. The baseline is CSV of the same rows.

#![expect(clippy::expect_used, reason = "a benchmark fails by a panic")]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use metricd_execution::{Column, CsvWriter, FieldType, FileFormat, FileWriters, ResultHead, Row, RowWriter};
use metricd_formats::ResultFiles;

/// The number of rows.
const ROWS: u32 = 100_000;

/// The most bytes of a row.
const MAX_BYTES: usize = 16 << 20;

fn main() {
    divan::main();
}

fn columns() -> Vec<Column> {
    [
        ("id", "integer", FieldType::Integer),
        ("amount", "numeric", FieldType::Numeric(None)),
        ("name", "text", FieldType::Text),
        ("day", "date", FieldType::Date),
        ("share", "double precision", FieldType::Double),
        ("note", "text", FieldType::Text),
    ]
    .into_iter()
    .map(|(name, type_name, field_type)| Column { name: name.into(), type_name: type_name.into(), field_type })
    .collect()
}

fn rows() -> Vec<Row> {
    let row = |number: u32| {
        let group = |value: u32| u16::try_from(value % 10_000).unwrap_or_default();
        // Two groups before the point and one after it, which ends in a quarter.
        let amount: Vec<u8> = [3, 1, 0, 2, group(number / 10_000 + 1), group(number), 2_500]
            .into_iter()
            .flat_map(u16::to_be_bytes)
            .collect();
        let (name, share) = (format!("part \"{number}\""), f64::from(number) / 3.0);
        let day = i32::try_from(number % 365).unwrap_or_default();
        Row::from_iter([
            Some(number.to_be_bytes().as_slice()),
            Some(&amount),
            Some(name.as_bytes()),
            Some(&day.to_be_bytes()),
            Some(&share.to_be_bytes()),
            None,
        ])
    };
    (0..ROWS).map(row).collect()
}

fn bench(bencher: Bencher<'_, '_>, writer: impl Fn() -> Box<dyn RowWriter> + Sync) {
    let (columns, rows) = (columns(), rows());
    bencher.counter(ItemsCount::new(ROWS)).bench(|| {
        let (mut writer, mut piece, mut size_bytes) = (writer(), Vec::new(), 0);
        writer.head(&columns, &mut piece).expect("a head");
        for row in &rows {
            assert!(writer.row(row.fields(), MAX_BYTES, &mut piece).expect("a row"));
            if piece.len() >= 64 << 10 {
                size_bytes += black_box(&piece).len();
                piece.clear();
            }
        }
        writer.finish(&mut piece).expect("an end");
        size_bytes + piece.len()
    });
}

#[divan::bench]
fn csv(bencher: Bencher<'_, '_>) {
    bench(bencher, || Box::new(CsvWriter::default()));
}

#[divan::bench]
fn parquet(bencher: Bencher<'_, '_>) {
    bench(bencher, || ResultFiles.writer(FileFormat::Parquet, ResultHead::default()));
}

#[divan::bench]
fn arrow(bencher: Bencher<'_, '_>) {
    bench(bencher, || ResultFiles.writer(FileFormat::Arrow, ResultHead::default()));
}

#[divan::bench]
fn xlsx(bencher: Bencher<'_, '_>) {
    bench(bencher, || ResultFiles.writer(FileFormat::Xlsx, ResultHead::default()));
}
