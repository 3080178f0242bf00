//! Rows per second and the growth of the resident memory, for each format that is read.
//!
//! `cargo bench -p metricd-formats --bench read`. It makes its files once, in the folder `tmp` of the target folder.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints, and fails by a panic")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_ipc::writer::FileWriter;
use metricd_domain::ReadOptions;
use metricd_formats::read_formats;
use metricd_ingestion::{Next, SourceRow};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use rust_xlsxwriter::Workbook;

const ROWS: i64 = 1_000_000;
const BATCH_ROWS: i64 = 65_536;
const SHEET_ROWS: u32 = 200_000;

fn main() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = |extension: &str| folder.join(format!("metricd-formats.{extension}"));
    let mut arguments = std::env::args().skip_while(|argument| argument != "--file").skip(1);
    if let Some(file) = arguments.next() {
        measure(&PathBuf::from(file));
        return;
    }
    for (extension, make) in [("parquet", make_parquet as fn(&Path)), ("arrow", make_arrow), ("xlsx", make_xlsx)] {
        let path = path(extension);
        if !path.exists() {
            make(&path);
        }
        // A process of its own, whose memory only the reader has used.
        let program = std::env::current_exe().expect("the path of the benchmark");
        let status = Command::new(program).arg("--file").arg(&path).status().expect("a process");
        assert!(status.success(), "{}", path.display());
    }
}

/// Reads a file, and prints rows per second and the growth of the resident memory.
fn measure(path: &Path) {
    let extension = path.extension().and_then(|extension| extension.to_str()).expect("an extension");
    let format = read_formats().into_iter().find(|format| format.extensions().contains(&extension)).expect("a format");
    let before = resident_kib("VmRSS:");
    let began = Instant::now();
    let file = File::open(path).expect("the file");
    let size = file.metadata().expect("the size").len();
    let mut reader = format.open(Box::new(file), &ReadOptions::default()).expect("the format");
    let opened = began.elapsed();
    let (mut rows, mut bytes, mut row) = (0_u32, 0, SourceRow::default());
    while let Next::Row { .. } = reader.read(&mut row).expect("a row") {
        rows += 1;
        bytes += row.cells().map(|(_, text)| text.len()).sum::<usize>();
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{}: {rows} rows, {} KiB, {} KiB of text, opened in {:.2} s, {:.0} rows/s, {} KiB more resident memory",
        format.name(),
        size >> 10,
        bytes >> 10,
        opened.as_secs_f64(),
        f64::from(rows) / seconds,
        resident_kib("VmHWM:") - before
    );
}

/// A size of `/proc/self/status` in KiB.
fn resident_kib(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the size");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

fn batches() -> impl Iterator<Item = RecordBatch> {
    (0..ROWS).step_by(usize::try_from(BATCH_ROWS).expect("a size")).map(|start| {
        let rows = start..ROWS.min(start + BATCH_ROWS);
        let texts = rows.clone().map(|row| format!("customer {}", row * 7_919 % 100_000));
        let amounts = Decimal128Array::from_iter_values(rows.clone().map(|row| i128::from(row * 31 % 10_000_000)));
        let times = TimestampMicrosecondArray::from_iter_values(rows.clone().map(|row| row * 61_000_003));
        #[expect(clippy::cast_precision_loss, reason = "any number does")]
        let floats = Float64Array::from_iter_values(rows.clone().map(|row| row as f64 / 7.0));
        let columns: [(&str, ArrayRef); 5] = [
            ("id", Arc::new(Int64Array::from_iter_values(rows))),
            ("customer", Arc::new(StringArray::from_iter_values(texts))),
            ("amount", Arc::new(amounts.with_precision_and_scale(18, 2).expect("a scale"))),
            ("at", Arc::new(times.with_timezone("UTC"))),
            ("ratio", Arc::new(floats)),
        ];
        RecordBatch::try_from_iter(columns).expect("a batch")
    })
}

fn make_parquet(path: &Path) {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut batches = batches().peekable();
    let schema = batches.peek().expect("a batch").schema();
    let file = File::create(path).expect("the file");
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).expect("a writer");
    batches.for_each(|batch| writer.write(&batch).expect("a batch"));
    writer.close().expect("the end of the file");
}

fn make_arrow(path: &Path) {
    let mut batches = batches().peekable();
    let schema = batches.peek().expect("a batch").schema();
    let mut writer = FileWriter::try_new(File::create(path).expect("the file"), &schema).expect("a writer");
    batches.for_each(|batch| writer.write(&batch).expect("a batch"));
    writer.finish().expect("the end of the file");
}

fn make_xlsx(path: &Path) {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    for (column, name) in (0..).zip(["id", "customer", "amount", "ratio", "active"]) {
        sheet.write(0, column, name).expect("a name");
    }
    for row in 1..=SHEET_ROWS {
        sheet.write(row, 0, row).expect("a cell");
        sheet.write(row, 1, format!("customer {}", row % 1_000)).expect("a cell");
        sheet.write(row, 2, f64::from(row) / 100.0).expect("a cell");
        sheet.write(row, 3, f64::from(row) / 7.0).expect("a cell");
        sheet.write(row, 4, row % 2 == 0).expect("a cell");
    }
    workbook.save(path).expect("the file");
}
