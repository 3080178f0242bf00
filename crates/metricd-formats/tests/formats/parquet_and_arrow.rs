//! Parquet and Arrow IPC.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Float64Array, Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow_ipc::reader::StreamReader;
use bytes::Bytes;
use metricd_execution::{Column, DeclaredDigits, FieldType, FileFormat, FileWriters, Row};
use metricd_formats::ResultFiles;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::support::{Value, array, column, head, numeric, text, write};

fn read_parquet(file: Vec<u8>) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
    reader.with_batch_size(1 << 20).build().unwrap().collect::<Result<_, _>>().unwrap()
}

fn read_arrow(file: &[u8]) -> Vec<RecordBatch> {
    StreamReader::try_new(file, None).unwrap().collect::<Result<_, _>>().unwrap()
}

fn list<T: Array + 'static>(values: T, lengths: &[Option<usize>]) -> ArrayRef {
    let field = arrow_schema::Field::new_list_field(values.data_type().clone(), true);
    let ends = arrow_buffer::OffsetBuffer::from_lengths(lengths.iter().map(|length| length.unwrap_or_default()));
    let nulls = lengths.iter().map(Option::is_some).collect::<Vec<_>>().into();
    Arc::new(ListArray::new(Arc::new(field), ends, Arc::new(values), Some(nulls)))
}

/// A column with two values and NULL, and the array that they are.
struct Case(Column, [Value; 2], ArrayRef);

#[expect(clippy::too_many_lines, reason = "a table of all types")]
fn cases() -> Vec<Case> {
    let declared = |precision, scale| FieldType::Numeric(Some(DeclaredDigits { precision, scale }));
    let decimals = |values: [i128; 2], precision, scale| {
        let array = Decimal128Array::from(vec![Some(values[0]), Some(values[1]), None]);
        Arc::new(array.with_precision_and_scale(precision, scale).unwrap()) as ArrayRef
    };
    let texts =
        |values: [&str; 2]| Arc::new(StringArray::from(vec![Some(values[0]), Some(values[1]), None])) as ArrayRef;
    let be = |bytes: &[u8]| Some(bytes.to_vec());
    let nines = [9999; 9];
    let mood = DictionaryArray::<Int32Type>::new(
        Int32Array::from(vec![Some(2), Some(0), None]),
        Arc::new(StringArray::from(vec!["sad", "ok", "happy"])),
    );
    vec![
        Case(
            column("b", "boolean", FieldType::Boolean),
            [be(&[1]), be(&[0])],
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        ),
        Case(
            column("i2", "smallint", FieldType::SmallInt),
            [be(&i16::MIN.to_be_bytes()), be(&i16::MAX.to_be_bytes())],
            Arc::new(Int16Array::from(vec![Some(i16::MIN), Some(i16::MAX), None])),
        ),
        Case(
            column("i4", "integer", FieldType::Integer),
            [be(&i32::MIN.to_be_bytes()), be(&i32::MAX.to_be_bytes())],
            Arc::new(Int32Array::from(vec![Some(i32::MIN), Some(i32::MAX), None])),
        ),
        Case(
            column("i8", "bigint", FieldType::BigInt),
            [be(&i64::MIN.to_be_bytes()), be(&i64::MAX.to_be_bytes())],
            Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), None])),
        ),
        Case(
            column("o", "oid", FieldType::Oid),
            [be(&[0; 4]), be(&[255; 4])],
            Arc::new(UInt32Array::from(vec![Some(0), Some(u32::MAX), None])),
        ),
        Case(
            column("f4", "real", FieldType::Real),
            [be(&f32::MIN.to_be_bytes()), be(&f32::INFINITY.to_be_bytes())],
            Arc::new(Float32Array::from(vec![Some(f32::MIN), Some(f32::INFINITY), None])),
        ),
        Case(
            column("f8", "double precision", FieldType::Double),
            [be(&f64::MAX.to_be_bytes()), be(&5e-324_f64.to_be_bytes())],
            Arc::new(Float64Array::from(vec![Some(f64::MAX), Some(5e-324), None])),
        ),
        Case(
            column("amount", "numeric", declared(12, 2)),
            [numeric(0, true, 2, &[123, 4500]), numeric(0, false, 0, &[])],
            decimals([-12_345, 0], 12, 2),
        ),
        Case(
            column("n38", "numeric", declared(38, 0)),
            [
                numeric(9, false, 0, &[99, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999]),
                numeric(0, true, 0, &[1]),
            ],
            decimals([10_i128.pow(38) - 1, -1], 38, 0),
        ),
        Case(
            column("any", "numeric", FieldType::Numeric(None)),
            [numeric(4, false, 20, &[[99].as_slice(), &nines].concat()), numeric(-5, true, 20, &[1])],
            decimals([10_i128.pow(38) - 1, -1], 38, 20),
        ),
        Case(
            column("n60", "numeric", declared(60, 2)),
            [numeric(0, false, 2, &[1, 5000]), numeric(0, false, 2, &[])],
            texts(["1.50", "0.00"]),
        ),
        Case(
            column("quoted", "bigint", FieldType::Quoted(Box::new(FieldType::BigInt))),
            [be(&i64::MAX.to_be_bytes()), be(&i64::MIN.to_be_bytes())],
            texts(["9223372036854775807", "-9223372036854775808"]),
        ),
        Case(column("t", "text", FieldType::Text), [text(""), text("é\0\u{1f600}")], texts(["", "é\0\u{1f600}"])),
        Case(column("mood", "mood", FieldType::Text), [text("happy"), text("sad")], Arc::new(mood)),
        Case(
            column("d", "date", FieldType::Date),
            [be(&(-2_451_545_i32).to_be_bytes()), be(&2_145_031_948_i32.to_be_bytes())],
            Arc::new(Date32Array::from(vec![Some(-2_440_588), Some(2_145_042_905), None])),
        ),
        Case(
            column("time", "time without time zone", FieldType::Text),
            [text("00:00:00"), text("23:59:59.999999")],
            Arc::new(Time64MicrosecondArray::from(vec![Some(0), Some(86_399_999_999), None])),
        ),
        Case(
            column("ts", "timestamp without time zone", FieldType::Timestamp),
            [be(&0_i64.to_be_bytes()), be(&(-1_i64).to_be_bytes())],
            Arc::new(TimestampMicrosecondArray::from(vec![Some(946_684_800_000_000), Some(946_684_799_999_999), None])),
        ),
        Case(
            column("tz", "timestamp with time zone", FieldType::TimestampTz),
            [be(&1_i64.to_be_bytes()), be(&(-211_813_488_000_000_000_i64).to_be_bytes())],
            Arc::new(
                TimestampMicrosecondArray::from(vec![Some(946_684_800_000_001), Some(-210_866_803_200_000_000), None])
                    .with_timezone("UTC"),
            ),
        ),
        Case(
            column("interval", "interval", FieldType::Text),
            [text("1 day"), text("-00:00:01")],
            texts(["1 day", "-00:00:01"]),
        ),
        Case(
            column("u", "uuid", FieldType::Uuid),
            [be(&[0; 16]), be(&[255; 16])],
            texts(["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
        ),
        Case(column("j", "json", FieldType::Json), [text("[1]"), text("{}")], texts(["[1]", "{}"])),
        Case(column("jb", "jsonb", FieldType::Jsonb), [text("\u{1}[1]"), text("\u{1}null")], texts(["[1]", "null"])),
        Case(
            column("ba", "bytea", FieldType::Bytea),
            [be(&[0, 255]), be(&[])],
            Arc::new(BinaryArray::from_opt_vec(vec![Some(&[0, 255]), Some(&[]), None])),
        ),
        Case(
            column("ai", "integer[]", FieldType::Array(Box::new(FieldType::Integer))),
            [array(&[be(&1_i32.to_be_bytes()), None]), be(&[0; 12])],
            list(Int32Array::from(vec![Some(1), None]), &[Some(2), Some(0), None]),
        ),
        Case(
            column("an", "numeric[]", FieldType::Array(Box::new(declared(4, 1)))),
            [array(&[numeric(0, false, 1, &[1, 5000])]), array(&[None])],
            list(
                Decimal128Array::from(vec![Some(15), None]).with_precision_and_scale(4, 1).unwrap(),
                &[Some(1), Some(1), None],
            ),
        ),
        Case(
            column("av", "interval[]", FieldType::ArrayLiteral { element: Box::new(FieldType::Text), delimiter: b',' }),
            [text("{\"1 day\",NULL}"), text("{}")],
            list(StringArray::from(vec![Some("1 day"), None]), &[Some(2), Some(0), None]),
        ),
        Case(column("v", "void", FieldType::Void), [be(&[]), be(&[])], texts(["", ""])),
    ]
}

#[test]
fn every_type_is_read_back_with_its_extremes() {
    let cases = cases();
    let columns: Vec<_> = cases.iter().map(|Case(column, ..)| column.clone()).collect();
    let mut rows: Vec<Vec<Value>> =
        (0..2).map(|row| cases.iter().map(|Case(_, values, _)| values[row].clone()).collect()).collect();
    rows.push(vec![None; cases.len()]);
    let parquet = read_parquet(write(FileFormat::Parquet, &columns, &rows).unwrap());
    let arrow = read_arrow(&write(FileFormat::Arrow, &columns, &rows).unwrap());
    for (format, batches) in [("parquet", parquet), ("arrow", arrow)] {
        let [batch] = batches.as_slice() else { panic!("{format}: {} batches", batches.len()) };
        assert_eq!((batch.num_rows(), batch.num_columns()), (3, cases.len()));
        for (index, Case(column, _, expected)) in cases.iter().enumerate() {
            assert_eq!(batch.schema().field(index).name(), &column.name);
            assert_eq!(batch.column(index), expected, "{format}: {}", column.name);
        }
    }
}

#[test]
fn the_file_names_its_metric_and_describes_its_columns() {
    let columns = [
        column("amount", "numeric", FieldType::Numeric(Some(DeclaredDigits { precision: 12, scale: 2 }))),
        column("note", "text", FieldType::Text),
    ];
    let parquet = write(FileFormat::Parquet, &columns, &[]).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(parquet)).unwrap();
    let keys = reader.metadata().file_metadata().key_value_metadata().unwrap();
    assert!(
        keys.iter().any(|entry| (entry.key.as_str(), entry.value.as_deref()) == ("metricd.query_version", Some("7")))
    );
    let arrow = write(FileFormat::Arrow, &columns, &[]).unwrap();
    let arrow_schema = StreamReader::try_new(arrow.as_slice(), None).unwrap().schema();
    for schema in [reader.schema(), &arrow_schema] {
        let entry = |metadata: &HashMap<String, String>, key: &str| metadata.get(key).cloned();
        let metadata: HashMap<_, _> =
            schema.metadata().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        assert_eq!(entry(&metadata, "metricd.metric_id").as_deref(), Some("m1"));
        assert_eq!(entry(&metadata, "metricd.title").as_deref(), Some("Values: all/any"));
        let field = |index: usize, key: &str| schema.field(index).metadata().get(key).map(ToString::to_string);
        assert_eq!(field(0, "description").as_deref(), Some("In EUR"));
        assert_eq!(field(0, "postgresql.type").as_deref(), Some("numeric(12,2)"));
        assert_eq!((field(1, "description"), field(1, "postgresql.type").as_deref()), (None, Some("text")));
    }
}

#[test]
fn a_label_that_the_contract_lacks_is_added_to_the_dictionary() {
    let columns = [column("mood", "mood", FieldType::Text)];
    // The first batch has the labels of the contract; the second one has another.
    let mut rows = vec![vec![text("ok")]; 8_192];
    rows.push(vec![text("new")]);
    let parquet = read_parquet(write(FileFormat::Parquet, &columns, &rows).unwrap());
    let arrow = read_arrow(&write(FileFormat::Arrow, &columns, &rows).unwrap());
    for batches in [parquet, arrow] {
        let labels = batches.iter().flat_map(|batch| {
            let array = batch.column(0).as_any().downcast_ref::<DictionaryArray<Int32Type>>().unwrap();
            let values = array.downcast_dict::<StringArray>().unwrap();
            values.into_iter().map(|label| label.unwrap().to_owned()).collect::<Vec<_>>()
        });
        let labels: Vec<_> = labels.collect();
        assert_eq!(
            (labels.len(), labels.first().map(String::as_str), labels.last().map(String::as_str)),
            (8_193, Some("ok"), Some("new"))
        );
    }
}

#[test]
fn a_long_result_is_written_in_bounded_pieces() {
    let columns = [column("n", "bigint", FieldType::BigInt), column("t", "text", FieldType::Text)];
    let count = 60_000_u64;
    for format in [FileFormat::Parquet, FileFormat::Arrow] {
        let mut writer = ResultFiles.writer(format, head());
        let (mut file, mut piece, mut longest) = (Vec::new(), Vec::new(), 0);
        writer.head(&columns, &mut piece).unwrap();
        for number in 0..count {
            // Texts that do not compress.
            let noise: Vec<_> = (0..10).map(|part| (number * 10 + part).wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
            let noise = format!("{noise:x?}");
            let row = Row::from_iter([Some(number.to_be_bytes().as_slice()), Some(noise.as_bytes())]);
            assert!(writer.row(row.fields(), 16 << 20, &mut piece).unwrap());
            longest = longest.max(piece.len());
            file.append(&mut piece);
        }
        assert!(longest < 12 << 20, "{format:?}: {longest}");
        writer.finish(&mut piece).unwrap();
        file.append(&mut piece);
        let batches = if format == FileFormat::Parquet { read_parquet(file) } else { read_arrow(&file) };
        let numbers = batches
            .iter()
            .flat_map(|batch| batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec());
        assert!(numbers.eq(0..i64::try_from(count).unwrap()), "{format:?}");
    }
}

#[test]
fn a_file_that_is_not_finished_is_not_valid() {
    let columns = [column("n", "bigint", FieldType::BigInt)];
    let file = write(FileFormat::Parquet, &columns, &[vec![Some(vec![0; 8])]]).unwrap();
    let incomplete = Bytes::copy_from_slice(&file[..file.len() - 1]);
    assert!(ParquetRecordBatchReaderBuilder::try_new(incomplete).is_err());
    let mut writer = ResultFiles.writer(FileFormat::Parquet, head());
    let mut file = Vec::new();
    writer.head(&columns, &mut file).unwrap();
    assert!(writer.row(Row::from_iter([Some([0; 8].as_slice())]).fields(), 1_000, &mut file).unwrap());
    assert!(ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).is_err());
}
