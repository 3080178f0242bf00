//! Benchmarks of the choice of types and of the writing of rows, without a database:
//! `cargo bench -p metricd-ingestion`.
//!
//! The baseline reads each cell as a Rust value and formats it again, which is what the writer avoids.

#![expect(clippy::expect_used, reason = "a benchmark fails by a panic")]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use metricd_domain::{ColumnName, ColumnType, ReadOptions, TableColumn};
use metricd_ingestion::{CellKind, SourceColumn, SourceRow, TypeChooser, TypedRowWriter};

/// The number of rows.
const ROWS: usize = 4_000;

/// The number of columns of the same type in each row.
const COLUMNS: usize = 8;

/// Types whose values are benchmarked.
const TYPES: [ColumnType; 8] = [
    ColumnType::Boolean,
    ColumnType::Bigint,
    ColumnType::Numeric,
    ColumnType::Date,
    ColumnType::Timestamp,
    ColumnType::Timestamptz,
    ColumnType::Uuid,
    ColumnType::Text,
];

fn main() {
    divan::main();
}

/// A value of the type.
fn value(data_type: ColumnType, number: usize) -> String {
    let day = number % 28 + 1;
    match data_type {
        ColumnType::Boolean => (number.is_multiple_of(3)).to_string(),
        ColumnType::Bigint => (number * 7_919).to_string(),
        ColumnType::Numeric => format!("{}.{:02}", number * 31, number % 100),
        ColumnType::Date => format!("2025-06-{day:02}"),
        ColumnType::Timestamp => format!("2025-06-{day:02} 12:30:{:02}.125", number % 60),
        ColumnType::Timestamptz => format!("2025-06-{day:02}T12:30:{:02}Z", number % 60),
        ColumnType::Uuid => format!("0190f5fe-7c00-7a00-8000-{number:012x}"),
        _ => format!("Supplier {number}"),
    }
}

fn rows(data_type: ColumnType) -> Vec<SourceRow> {
    let row = |row: usize| {
        let mut cells = SourceRow::default();
        for column in 0..COLUMNS {
            cells.push(CellKind::Untyped, &value(data_type, row * COLUMNS + column));
        }
        cells
    };
    (0..ROWS).map(row).collect()
}

#[divan::bench(args = TYPES)]
fn choose(bencher: Bencher<'_, '_>, data_type: ColumnType) {
    let rows = rows(data_type);
    let columns = vec![SourceColumn { name: String::new(), data_type: None, description: None }; COLUMNS];
    bencher.counter(ItemsCount::new(ROWS * COLUMNS)).bench_local(|| {
        let mut chooser = TypeChooser::new(&columns, &ReadOptions::default()).expect("the format is valid");
        for (line, row) in (2..).zip(&rows) {
            chooser.observe(line, black_box(row));
        }
        chooser.finish()
    });
}

#[divan::bench(args = TYPES)]
fn write(bencher: Bencher<'_, '_>, data_type: ColumnType) {
    let rows = rows(data_type);
    let column =
        |index: usize| TableColumn::new(ColumnName::parse(format!("c{index}")).expect("the name is valid"), data_type);
    let columns: Vec<_> = (0..COLUMNS).map(column).collect();
    let positions: Vec<_> = (0..COLUMNS).map(Some).collect();
    let mut writer = TypedRowWriter::new(&columns, &positions, &ReadOptions::default()).expect("the format is valid");
    let (mut output, mut faults) = (Vec::new(), Vec::new());
    bencher.counter(ItemsCount::new(ROWS * COLUMNS)).bench_local(|| {
        output.clear();
        for (line, row) in (2..).zip(&rows) {
            writer.write(line, black_box(row), &mut output, &mut faults);
        }
        output.len()
    });
}

/// The baseline for [`write`]: whole numbers are parsed and formatted.
#[divan::bench]
fn parse_and_format_bigint(bencher: Bencher<'_, '_>) {
    let rows = rows(ColumnType::Bigint);
    let mut output = String::new();
    bencher.counter(ItemsCount::new(ROWS * COLUMNS)).bench_local(|| {
        use std::fmt::Write as _;
        output.clear();
        for row in &rows {
            for (_, text) in black_box(row).cells() {
                let number: i64 = text.parse().expect("the value is a number");
                write!(output, "{number},").expect("a string can be written");
            }
        }
        output.len()
    });
}
