//! Every type of Arrow with its extremes, and what becomes of them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{
    FixedSizeListBuilder, Int32Builder, ListBuilder, MapBuilder, StringBuilder, StringDictionaryBuilder,
};
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array, Decimal32Array,
    Decimal64Array, Decimal128Array, Decimal256Array, DurationMillisecondArray, FixedSizeBinaryArray, Float16Array,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, LargeBinaryArray, LargeStringArray,
    NullArray, StringArray, StringViewArray, StructArray, Time32MillisecondArray, Time32SecondArray,
    Time64MicrosecondArray, Time64NanosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_buffer::i256;
use arrow_schema::{DataType, Field, Fields};
use half::f16;
use metricd_domain::ColumnType;

/// A column with two values and no value in the third row.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) array: ArrayRef,
    pub(crate) extension: Option<&'static str>,
    pub(crate) data_type: ColumnType,
    pub(crate) texts: [&'static str; 2],
}

impl Case {
    pub(crate) fn field(&self) -> Field {
        let field = Field::new(self.name, self.array.data_type().clone(), true);
        let metadata = self.extension.map(|extension| ("ARROW:extension:name".to_owned(), extension.to_owned()));
        field.with_metadata(HashMap::from_iter(metadata))
    }
}

fn case(name: &'static str, array: impl Array + 'static, data_type: ColumnType, texts: [&'static str; 2]) -> Case {
    Case { name, array: Arc::new(array), extension: None, data_type, texts }
}

/// The types that both Parquet and Arrow IPC have.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = numbers();
    cases.extend(times());
    cases.extend(texts());
    cases.extend(nested());
    cases
}

fn numbers() -> Vec<Case> {
    use ColumnType::{Bigint, Boolean, Double, Numeric};
    let largest = i256::from_string(&"9".repeat(76)).unwrap();
    let decimal256 = Decimal256Array::from(vec![Some(largest), Some(i256::from_i128(-1)), None]);
    let decimal128 = Decimal128Array::from(vec![Some(-(10_i128.pow(38) - 1)), Some(0), None]);
    vec![
        case("boolean", BooleanArray::from(vec![Some(true), Some(false), None]), Boolean, ["true", "false"]),
        case("int8", Int8Array::from(vec![Some(i8::MIN), Some(i8::MAX), None]), Bigint, ["-128", "127"]),
        case("int16", Int16Array::from(vec![Some(i16::MIN), Some(i16::MAX), None]), Bigint, ["-32768", "32767"]),
        case(
            "int32",
            Int32Array::from(vec![Some(i32::MIN), Some(i32::MAX), None]),
            Bigint,
            ["-2147483648", "2147483647"],
        ),
        case(
            "int64",
            Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), None]),
            Bigint,
            ["-9223372036854775808", "9223372036854775807"],
        ),
        case("uint8", UInt8Array::from(vec![Some(0), Some(u8::MAX), None]), Bigint, ["0", "255"]),
        case("uint16", UInt16Array::from(vec![Some(0), Some(u16::MAX), None]), Bigint, ["0", "65535"]),
        case("uint32", UInt32Array::from(vec![Some(0), Some(u32::MAX), None]), Bigint, ["0", "4294967295"]),
        case("uint64", UInt64Array::from(vec![Some(0), Some(u64::MAX), None]), Numeric, ["0", "18446744073709551615"]),
        case(
            "float16",
            Float16Array::from(vec![Some(f16::from_f32(0.1)), Some(f16::NEG_INFINITY), None]),
            Double,
            ["0.1", "-Infinity"],
        ),
        case("float32", Float32Array::from(vec![Some(0.1), Some(f32::NAN), None]), Double, ["0.1", "NaN"]),
        case(
            "float64",
            Float64Array::from(vec![Some(0.1 + 0.2), Some(f64::INFINITY), None]),
            Double,
            ["0.30000000000000004", "Infinity"],
        ),
        case(
            "decimal32",
            Decimal32Array::from(vec![Some(-999_999_999), Some(5), None]).with_precision_and_scale(9, 2).unwrap(),
            Numeric,
            ["-9999999.99", "0.05"],
        ),
        case(
            "decimal64",
            Decimal64Array::from(vec![Some(10_i64.pow(18) - 1), Some(10), None])
                .with_precision_and_scale(18, 18)
                .unwrap(),
            Numeric,
            ["0.999999999999999999", "0.000000000000000010"],
        ),
        case(
            "decimal128",
            decimal128.with_precision_and_scale(38, 10).unwrap(),
            Numeric,
            ["-9999999999999999999999999999.9999999999", "0.0000000000"],
        ),
        case(
            "decimal256",
            decimal256.with_precision_and_scale(76, 38).unwrap(),
            Numeric,
            [
                "99999999999999999999999999999999999999.99999999999999999999999999999999999999",
                "-0.00000000000000000000000000000000000001",
            ],
        ),
    ]
}

fn times() -> Vec<Case> {
    use ColumnType::{Date, Text, Timestamp, Timestamptz};
    let micros =
        TimestampMicrosecondArray::from(vec![Some(1_748_779_200_000_001), Some(-62_135_683_200_000_000), None]);
    let nanos = TimestampNanosecondArray::from(vec![Some(1_748_779_200_000_001_000), Some(-1_000), None]);
    let lost = TimestampNanosecondArray::from(vec![Some(1_748_779_200_000_001_000), Some(-1), None]);
    let times = Time64NanosecondArray::from(vec![Some(86_399_999_999_999), Some(1), None]);
    vec![
        case("date32", Date32Array::from(vec![Some(0), Some(-719_163), None]), Date, ["1970-01-01", "0001-12-31 BC"]),
        case(
            "date64",
            Date64Array::from(vec![Some(86_400_000), Some(253_402_300_800_000), None]),
            Date,
            ["1970-01-02", "10000-01-01"],
        ),
        case(
            "timestamp_s",
            TimestampSecondArray::from(vec![Some(0), Some(-1), None]),
            Timestamp,
            ["1970-01-01 00:00:00", "1969-12-31 23:59:59"],
        ),
        case(
            "timestamp_ms",
            TimestampMillisecondArray::from(vec![Some(1_748_779_200_120), Some(-1), None]),
            Timestamp,
            ["2025-06-01 12:00:00.12", "1969-12-31 23:59:59.999"],
        ),
        case("timestamp_us", micros.clone(), Timestamp, ["2025-06-01 12:00:00.000001", "0001-12-31 00:00:00 BC"]),
        case(
            "timestamptz_us",
            micros.with_timezone("Europe/Berlin"),
            Timestamptz,
            ["2025-06-01 12:00:00.000001+00", "0001-12-31 00:00:00+00 BC"],
        ),
        case("timestamp_ns", nanos.clone(), Timestamp, ["2025-06-01 12:00:00.000001", "1969-12-31 23:59:59.999999"]),
        case(
            "timestamptz_ns",
            nanos.with_timezone("+02:00"),
            Timestamptz,
            ["2025-06-01 12:00:00.000001+00", "1969-12-31 23:59:59.999999+00"],
        ),
        case("lost_ns", lost.clone(), Text, ["2025-06-01 12:00:00.000001", "1969-12-31 23:59:59.999999999"]),
        case(
            "lost_tz_ns",
            lost.with_timezone("UTC"),
            Text,
            ["2025-06-01 12:00:00.000001+00", "1969-12-31 23:59:59.999999999+00"],
        ),
        case("time32_s", Time32SecondArray::from(vec![Some(0), Some(86_399), None]), Text, ["00:00:00", "23:59:59"]),
        case(
            "time32_ms",
            Time32MillisecondArray::from(vec![Some(1), Some(43_200_500), None]),
            Text,
            ["00:00:00.001", "12:00:00.5"],
        ),
        case(
            "time64_us",
            Time64MicrosecondArray::from(vec![Some(1), Some(86_399_999_999), None]),
            Text,
            ["00:00:00.000001", "23:59:59.999999"],
        ),
        case("time64_ns", times, Text, ["23:59:59.999999999", "00:00:00.000000001"]),
        case(
            "duration_ms",
            DurationMillisecondArray::from(vec![Some(-1), Some(360_000_000), None]),
            Text,
            ["-00:00:00.001", "100:00:00"],
        ),
    ]
}

fn texts() -> Vec<Case> {
    use ColumnType::{Bytea, Jsonb, Text, Uuid};
    let uuid = || {
        FixedSizeBinaryArray::try_from_sparse_iter_with_size(
            vec![Some([0_u8; 16]), Some([0xff; 16]), None].into_iter(),
            16,
        )
        .unwrap()
    };
    let mut dictionary = StringDictionaryBuilder::<Int8Type>::new();
    dictionary.append_value("red");
    dictionary.append_value("green");
    dictionary.append_null();
    let json = StringArray::from(vec![Some(r#"{"a": 1.50}"#), Some("null"), None]);
    let mut cases = vec![
        case("null", NullArray::new(3), Text, ["", ""]),
        case("utf8", StringArray::from(vec![Some(""), Some("007"), None]), Text, ["", "007"]),
        case("large_utf8", LargeStringArray::from(vec![Some(" a\n"), Some("😀"), None]), Text, [" a\n", "😀"]),
        case(
            "utf8_view",
            StringViewArray::from(vec![Some("short"), Some("longer than twelve bytes"), None]),
            Text,
            ["short", "longer than twelve bytes"],
        ),
        case("dictionary", dictionary.finish(), Text, ["red", "green"]),
        case("binary", BinaryArray::from(vec![Some(&b""[..]), Some(b"\x00\xff"), None]), Bytea, ["\\x", "\\x00ff"]),
        case(
            "large_binary",
            LargeBinaryArray::from(vec![Some(&b"a"[..]), Some(b"\\"), None]),
            Bytea,
            ["\\x61", "\\x5c"],
        ),
        case("binary_view", BinaryViewArray::from(vec![Some(&b"a"[..]), Some(b"b"), None]), Bytea, ["\\x61", "\\x62"]),
        case(
            "fixed_binary",
            uuid(),
            Bytea,
            ["\\x00000000000000000000000000000000", "\\xffffffffffffffffffffffffffffffff"],
        ),
        case("uuid", uuid(), Uuid, ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
        case("json", json, Jsonb, [r#"{"a": 1.50}"#, "null"]),
    ];
    for case in &mut cases {
        case.extension = match case.name {
            "uuid" => Some("arrow.uuid"),
            "json" => Some("arrow.json"),
            _ => None,
        };
    }
    cases
}

fn nested() -> Vec<Case> {
    use ColumnType::Jsonb;
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("a\"b\\c\n\u{1}"), None]);
    list.append_value([None::<&str>; 0]);
    list.append_null();
    let mut fixed = FixedSizeListBuilder::new(Int32Builder::new(), 2);
    for (first, is_valid) in [(1, true), (3, true), (0, false)] {
        fixed.values().append_value(first);
        fixed.values().append_null();
        fixed.append(is_valid);
    }
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("b");
    map.values().append_value(1);
    map.keys().append_value("a");
    map.values().append_null();
    map.append(true).unwrap();
    map.append(true).unwrap();
    map.append(false).unwrap();
    let amounts = Decimal128Array::from(vec![Some(150), Some(-(10_i128.pow(38) - 1)), None]);
    let amounts = amounts.with_precision_and_scale(38, 2).unwrap();
    let times = TimestampMicrosecondArray::from(vec![Some(1), None, None]).with_timezone("UTC");
    let floats = Float32Array::from(vec![Some(0.1), Some(1e30), None]);
    let arrays: Vec<ArrayRef> = vec![Arc::new(amounts), Arc::new(times), Arc::new(floats)];
    let fields = ["amount", "at", "ratio"].iter().zip(&arrays);
    let fields: Fields = fields.map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let nulls = Some(vec![true, true, false].into());
    let lists = ListBuilder::new(ListBuilder::new(Int32Builder::new()));
    vec![
        case("list", list.finish(), Jsonb, [r#"["a\"b\\c\n\u0001",null]"#, "[]"]),
        case("fixed_list", fixed.finish(), Jsonb, ["[1,null]", "[3,null]"]),
        case("map", map.finish(), Jsonb, [r#"{"b":1,"a":null}"#, "{}"]),
        case(
            "struct",
            StructArray::new(fields, arrays, nulls),
            Jsonb,
            [
                r#"{"amount":1.50,"at":"1970-01-01T00:00:00.000001+00:00","ratio":0.1}"#,
                r#"{"amount":-999999999999999999999999999999999999.99,"at":null,"ratio":1e30}"#,
            ],
        ),
        case("lists", nested_lists(lists), Jsonb, ["[[1,2],null,[]]", "[]"]),
    ]
}

fn nested_lists(mut lists: ListBuilder<ListBuilder<Int32Builder>>) -> arrow_array::ListArray {
    lists.values().append_value([Some(1), Some(2)]);
    lists.values().append_null();
    lists.values().append_value([None::<i32>; 0]);
    lists.append(true);
    lists.append(true);
    lists.append(false);
    lists.finish()
}

/// The same value in each row, as a dictionary with keys of 32 bits.
pub(crate) fn dictionary_of(values: ArrayRef, rows: usize) -> ArrayRef {
    let keys = Int32Array::from(vec![0; rows]);
    Arc::new(arrow_array::DictionaryArray::<Int32Type>::new(keys, values))
}

/// A list in lists, so many levels deep.
pub(crate) fn deep_type(levels: usize) -> DataType {
    (0..levels).fold(DataType::Int32, |item, _| DataType::List(Arc::new(Field::new("item", item, true))))
}
