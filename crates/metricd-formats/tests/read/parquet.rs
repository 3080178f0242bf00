//! Parquet files.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{ArrayRef, Int64Array, IntervalDayTimeArray, RecordBatch, StringArray, new_empty_array};
use arrow_buffer::IntervalDayTime;
use arrow_schema::{DataType, Field, Schema};
use metricd_domain::ColumnType;
use metricd_ingestion::Reason;
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};

use crate::support::{check_flips, check_truncations, read, refusal};
use crate::types::{Case, cases, deep_type, dictionary_of};

fn write_with(batch: &RecordBatch, properties: WriterProperties) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn write(batch: &RecordBatch) -> Vec<u8> {
    write_with(batch, WriterProperties::default())
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn small() -> RecordBatch {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("ccc")]));
    batch(vec![("n", Arc::new(Int64Array::from(vec![1, 2, 3]))), ("t", texts)])
}

#[test]
fn every_type_has_its_exact_text() {
    let cases = cases();
    let schema = Arc::new(Schema::new(cases.iter().map(Case::field).collect::<Vec<_>>()));
    let arrays = cases.iter().map(|case| case.array.clone()).collect();
    let batch = RecordBatch::try_new(schema, arrays).unwrap();
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        let bytes = write_with(&batch, WriterProperties::builder().set_writer_version(version).build());
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
fn every_compression_is_read() {
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let bytes = write_with(&small(), WriterProperties::builder().set_compression(compression).build());
        assert_eq!(read(&bytes).unwrap().lines(), ["1|a", "2|NULL", "3|ccc"], "{compression}");
    }
}

#[test]
fn a_description_is_that_of_the_field() {
    let described = |key: &str| {
        let metadata = HashMap::from([(key.to_owned(), " Net of tax ".to_owned())]);
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true).with_metadata(metadata)]);
        let array: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let bytes = write(&RecordBatch::try_new(Arc::new(schema), vec![array]).unwrap());
        read(&bytes).unwrap().columns[0].description.clone()
    };
    assert_eq!(described("description").as_deref(), Some("Net of tax"));
    assert_eq!(described("comment").as_deref(), Some("Net of tax"));
    assert_eq!(described("unit"), None);
}

#[test]
fn a_file_without_rows_has_its_columns() {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let batch = RecordBatch::try_new(schema, vec![new_empty_array(&DataType::Int64)]).unwrap();
    let read = read(&write(&batch)).unwrap();
    assert_eq!((read.types(), read.rows.len()), (vec![Some(ColumnType::Bigint)], 0));
}

#[test]
fn many_row_groups_are_read_in_their_order() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..5_000));
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(700)).build();
    let read = read(&write_with(&batch(vec![("n", numbers)]), properties)).unwrap();
    let expected: Vec<_> = (0..5_000).map(|number| number.to_string()).collect();
    assert_eq!(read.lines(), expected);
}

#[test]
fn values_that_cannot_be_stored_are_faults_of_their_rows() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b\0", "c"]));
    let read = read(&write(&batch(vec![("t", texts)]))).unwrap();
    assert_eq!(read.faults(), [(2, Reason::TextNul)]);
    assert_eq!(read.rows[1].as_ref().unwrap_err().column.as_deref(), Some("t"));
    assert_eq!(read.rows.len(), 3);
}

#[test]
fn every_truncation_is_refused() {
    check_truncations(&write(&small()));
}

#[test]
fn no_flipped_bit_causes_a_panic() {
    check_flips(&write(&small()));
    let lists = cases().into_iter().filter(|case| matches!(case.name, "list" | "struct" | "timestamp_ns"));
    let lists: Vec<_> = lists.map(|case| (case.name, case.array)).collect();
    check_flips(&write(&batch(lists)));
}

#[test]
fn a_file_with_too_many_columns_is_refused() {
    let array: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let names: Vec<_> = (0..9_000).map(|index| format!("c{index}")).collect();
    let columns = names.iter().map(|name| (name.as_str(), array.clone())).collect();
    let (reason, message) = refusal(&write(&batch(columns)));
    assert_eq!(reason, Reason::FileMalformed);
    assert_eq!(message, "the file has 9000 columns: expected at most 1600");
}

#[test]
fn a_schema_that_is_nested_too_deep_is_refused() {
    let bytes = |levels| {
        let schema = Arc::new(Schema::new(vec![Field::new("l", deep_type(levels), true)]));
        let batch = RecordBatch::try_new(schema, vec![new_empty_array(&deep_type(levels))]).unwrap();
        write(&batch)
    };
    read(&bytes(60)).unwrap();
    assert!(refusal(&bytes(100)).1.contains("nested deeper than 64 levels"));
}

#[test]
fn a_large_value_that_many_rows_share_is_not_copied_for_each_of_them() {
    let value: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1 << 20)]));
    let bytes = write(&batch(vec![("t", dictionary_of(value, 100))]));
    assert!(bytes.len() < 4 << 20);
    assert_eq!(read(&bytes).unwrap().rows.len(), 100);
}

#[test]
fn a_list_that_expands_too_far_is_refused() {
    let mut list = ListBuilder::new(Int64Builder::new());
    list.values().append_nulls(2_000_000);
    list.append(true);
    let bytes = write(&batch(vec![("l", Arc::new(list.finish()))]));
    assert!(bytes.len() < 2_000);
    assert_eq!(refusal(&bytes).0, Reason::FileExpands);
}

#[test]
fn an_interval_is_refused_with_advice() {
    let days: ArrayRef = Arc::new(IntervalDayTimeArray::from(vec![IntervalDayTime::new(1, 2)]));
    let message = "the column `i` has a type of INTERVAL: write it as text";
    assert_eq!(refusal(&write(&batch(vec![("i", days)]))), (Reason::FileMalformed, message.to_owned()));
}

#[test]
fn an_encrypted_file_is_refused_with_advice() {
    let mut bytes = write(&small());
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(b"PARE");
    assert!(refusal(&bytes).1.contains("encrypted"));
}
