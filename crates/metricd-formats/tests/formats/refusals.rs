//! Values that a format cannot hold, and malformed ones.

use metricd_execution::{Column, DeclaredDigits, EncodeError, FieldType, FileFormat, FileWriters, Row};
use metricd_formats::ResultFiles;
use proptest::prelude::*;

use crate::support::{Value, column, head, numeric, text, write};

fn refusal(format: FileFormat, type_name: &str, field_type: FieldType, value: Value) -> String {
    let columns = [column("a", "integer", FieldType::Integer), column("c", type_name, field_type)];
    match write(format, &columns, &[vec![None, value]]) {
        Err(EncodeError::Unrepresentable { column, reason }) => {
            assert_eq!(column, "c");
            reason
        }
        other => panic!("{type_name}: {:?}", other.map(|file| file.len())),
    }
}

#[test]
fn a_value_that_would_lose_something_is_refused() {
    let bytes = |bytes: &[u8]| Some(bytes.to_vec());
    let nested: Vec<u8> = [2, 0, 23, 1, 1, 1, 1].into_iter().flat_map(i32::to_be_bytes).collect();
    let literal = FieldType::ArrayLiteral { element: Box::new(FieldType::Text), delimiter: b',' };
    for format in [FileFormat::Parquet, FileFormat::Arrow] {
        for (type_name, field_type, value, reason) in [
            ("numeric", FieldType::Numeric(None), bytes(&[0, 0, 0, 0, 0xC0, 0, 0, 0]), "numbers=string"),
            ("numeric", FieldType::Numeric(None), bytes(&[0, 0, 0, 0, 0xD0, 0, 0, 0x20]), "numbers=string"),
            ("numeric", FieldType::Numeric(None), numeric(4, false, 0, &[100]), "numbers=string"),
            ("numeric", FieldType::Numeric(None), numeric(-6, false, 24, &[1]), "numbers=string"),
            ("date", FieldType::Date, bytes(&i32::MAX.to_be_bytes()), "infinity"),
            ("timestamp without time zone", FieldType::Timestamp, bytes(&i64::MIN.to_be_bytes()), "infinity"),
            ("timestamp with time zone", FieldType::TimestampTz, bytes(&(i64::MAX - 1).to_be_bytes()), "294246"),
            ("time without time zone", FieldType::Text, text("24:00:00"), "24:00"),
            ("integer[]", FieldType::Array(Box::new(FieldType::Integer)), Some(nested.clone()), "dimension"),
            ("interval[]", literal.clone(), text("{{1 day}}"), "dimension"),
        ] {
            let found = refusal(format, type_name, field_type, value);
            assert!(found.contains(reason), "{type_name}: {found}");
        }
    }
    let found = refusal(FileFormat::Xlsx, "text", FieldType::Text, text(&"x".repeat(32_768)));
    assert!(found.contains("32767"), "{found}");
}

#[test]
fn a_row_that_exceeds_the_limit_is_not_taken() {
    for format in FileFormat::ALL {
        let mut writer = ResultFiles.writer(format, head());
        let mut out = Vec::new();
        writer.head(&[column("t", "text", FieldType::Text)], &mut out).unwrap();
        let mut row =
            |text: &str| writer.row(Row::from_iter([Some(text.as_bytes())]).fields(), 8_000, &mut out).unwrap();
        assert!(row("x"), "{format:?}");
        assert!(!row(&"x".repeat(8_000)), "{format:?}");
    }
}

fn columns() -> impl Strategy<Value = Column> {
    use FieldType::*;
    let digits = Some(DeclaredDigits { precision: 12, scale: 2 });
    let plain = vec![
        Boolean,
        SmallInt,
        Integer,
        BigInt,
        Oid,
        Real,
        Double,
        Numeric(None),
        Numeric(digits),
        Text,
        Date,
        Timestamp,
        TimestampTz,
        Uuid,
        Json,
        Jsonb,
        Bytea,
        Void,
        Quoted(Box::new(Numeric(None))),
        ArrayLiteral { element: Box::new(Text), delimiter: b',' },
    ];
    let arrays = prop::sample::select(plain.clone()).prop_map(|element| Array(Box::new(element)));
    let names = prop::sample::select(vec!["any", "mood", "time without time zone"]);
    (names, prop_oneof![prop::sample::select(plain), arrays])
        .prop_map(|(name, field_type)| column("c", name, field_type))
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(column in columns(), bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for format in FileFormat::ALL {
            let _ = write(format, std::slice::from_ref(&column), &[vec![Some(bytes.clone())], vec![None]]);
        }
    }
}
