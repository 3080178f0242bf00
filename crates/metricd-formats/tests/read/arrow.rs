//! Arrow IPC, as a file and as a stream.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, Date64Array, DictionaryArray, Float64Array, Int32Array, Int64Array, IntervalDayTimeArray,
    IntervalMonthDayNanoArray, IntervalYearMonthArray, ListArray, NullArray, RecordBatch, RunArray, StringArray,
    TimestampSecondArray, new_empty_array,
};
use arrow_buffer::{IntervalDayTime, IntervalMonthDayNano, OffsetBuffer};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{DataType, Field, Schema};
use metricd_domain::ColumnType;
use metricd_ingestion::Reason;

use crate::support::{check_flips, check_truncations, read, refusal};
use crate::types::{Case, cases, deep_type};

fn write_file(batches: &[RecordBatch], options: IpcWriteOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = FileWriter::try_new_with_options(&mut bytes, &batches[0].schema(), options).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes
}

fn write_stream(batches: &[RecordBatch], options: IpcWriteOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new_with_options(&mut bytes, &batches[0].schema(), options).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes
}

fn both_with(batches: &[RecordBatch], options: &IpcWriteOptions) -> [Vec<u8>; 2] {
    [write_file(batches, options.clone()), write_stream(batches, options.clone())]
}

fn both(batches: &[RecordBatch]) -> [Vec<u8>; 2] {
    both_with(batches, &IpcWriteOptions::default())
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn colours(values: Vec<&str>) -> RecordBatch {
    let values: DictionaryArray<Int32Type> = values.into_iter().collect();
    batch(vec![("colour", Arc::new(values))])
}

#[test]
fn every_type_has_its_exact_text() {
    let cases = cases();
    let schema = Arc::new(Schema::new(cases.iter().map(Case::field).collect::<Vec<_>>()));
    let arrays = cases.iter().map(|case| case.array.clone()).collect();
    let batch = RecordBatch::try_new(schema, arrays).unwrap();
    for bytes in both(&[batch]) {
        let read = read(&bytes).unwrap();
        for (position, case) in cases.iter().enumerate() {
            assert_eq!(read.types()[position], Some(case.data_type), "{}", case.name);
            let [first, second] = case.texts;
            let expected = if case.name == "null" { [None; 3] } else { [Some(first), Some(second), None] };
            assert_eq!(read.texts(position), expected, "{}", case.name);
        }
    }
}

#[test]
fn intervals_are_text() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("months", Arc::new(IntervalYearMonthArray::from(vec![14]))),
        ("days", Arc::new(IntervalDayTimeArray::from(vec![IntervalDayTime::new(-1, 1_500)]))),
        ("all", Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, 2, 3)]))),
    ];
    for bytes in both(&[batch(columns)]) {
        let read = read(&bytes).unwrap();
        assert_eq!(read.types(), [Some(ColumnType::Text); 3]);
        assert_eq!(read.lines(), ["P1Y2M|P-1DT1.5S|P1M2DT0.000000003S"]);
    }
}

#[test]
fn runs_have_their_values() {
    let ends = Int32Array::from(vec![2, 3]);
    let runs = RunArray::<Int32Type>::try_new(&ends, &Int64Array::from(vec![Some(7), None])).unwrap();
    for bytes in both(&[batch(vec![("n", Arc::new(runs))])]) {
        let read = read(&bytes).unwrap();
        assert_eq!(read.types(), [Some(ColumnType::Bigint)]);
        assert_eq!(read.lines(), ["7", "7", "NULL"]);
    }
}

#[test]
fn a_stream_may_replace_its_dictionaries() {
    let batches = [colours(vec!["red", "green"]), colours(vec!["blue"])];
    let bytes = write_stream(&batches, IpcWriteOptions::default());
    assert_eq!(read(&bytes).unwrap().lines(), ["red", "green", "blue"]);
}

#[test]
fn every_compression_is_read() {
    for compression in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        let options = IpcWriteOptions::default().try_with_compression(Some(compression)).unwrap();
        let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(10_000)]));
        for bytes in both_with(&[batch(vec![("t", text)])], &options) {
            assert!(bytes.len() < 5_000);
            assert_eq!(read(&bytes).unwrap().lines(), ["x".repeat(10_000)]);
        }
    }
}

#[test]
fn values_that_cannot_be_stored_are_faults_of_their_rows() {
    let list = |values: Vec<f64>| {
        let item = Arc::new(Field::new("item", DataType::Float64, true));
        let offsets = OffsetBuffer::from_lengths(vec![1; values.len()]);
        Arc::new(ListArray::new(item, offsets, Arc::new(Float64Array::from(values)), None))
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("date", Arc::new(Date64Array::from(vec![0, 1, 0, 0]))),
        ("at", Arc::new(TimestampSecondArray::from(vec![0, 0, i64::MAX, 0]))),
        ("list", list(vec![0.5, 0.5, 0.5, f64::NAN])),
    ];
    for bytes in both(&[batch(columns)]) {
        let read = read(&bytes).unwrap();
        let expected = [(2, Reason::DateTimestamp), (3, Reason::DateInvalid), (4, Reason::NumberNotFinite)];
        assert_eq!(read.faults(), expected);
        assert_eq!(read.lines()[0], "1970-01-01|1970-01-01 00:00:00|[0.5]");
    }
}

#[test]
fn every_truncation_is_refused() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = batch(vec![("n", numbers)]);
    for bytes in both(&[batch.clone(), batch]) {
        check_truncations(&bytes);
    }
}

#[test]
fn no_flipped_bit_causes_a_panic() {
    let some = cases().into_iter().filter(|case| matches!(case.name, "list" | "struct" | "dictionary" | "utf8_view"));
    let some: Vec<_> = some.map(|case| (case.name, case.array)).collect();
    for bytes in both(&[batch(some)]) {
        check_flips(&bytes);
    }
}

#[test]
fn a_batch_that_expands_too_far_is_refused() {
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    let size = 10_000_u64;
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(10_000)]));
    let mut bytes = write_stream(&[batch(vec![("t", text)])], options);
    let position = bytes.windows(8).rposition(|window| window == size.to_le_bytes()).unwrap();
    bytes[position..position + 8].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    assert_eq!(refusal(&bytes).0, Reason::FileExpands);
}

#[test]
fn rows_that_take_no_bytes_are_limited() {
    let nulls: ArrayRef = Arc::new(NullArray::new(2_000_000));
    for bytes in both(&[batch(vec![("n", nulls)])]) {
        assert_eq!(refusal(&bytes).0, Reason::FileExpands);
    }
}

#[test]
fn columns_that_cannot_be_stored_are_refused() {
    let refused = |data_type: DataType| {
        let schema = Arc::new(Schema::new(vec![Field::new("c", data_type.clone(), true)]));
        let batch = RecordBatch::try_new(schema, vec![new_empty_array(&data_type)]).unwrap();
        refusal(&write_file(&[batch], IpcWriteOptions::default())).1
    };
    let twice = vec![Field::new("a", DataType::Int32, true), Field::new("a", DataType::Int32, true)];
    assert!(refused(DataType::Struct(twice.into())).contains("two fields named `a`"));
    refused(deep_type(100));
}

#[test]
fn the_first_version_of_feather_is_refused_with_advice() {
    assert!(refusal(b"FEA1....").1.contains("write it as Arrow IPC"));
}

#[test]
fn a_file_with_too_many_columns_is_refused() {
    let array: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let names: Vec<_> = (0..2_000).map(|index| format!("c{index}")).collect();
    let columns = names.iter().map(|name| (name.as_str(), array.clone())).collect();
    for bytes in both(&[batch(columns)]) {
        assert_eq!(refusal(&bytes).1, "the file has 2000 columns: expected at most 1600");
    }
}
