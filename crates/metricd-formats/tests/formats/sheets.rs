//! XLSX.

use std::io::{Cursor, Read};

use calamine::{Data, Reader, Xlsx};
use metricd_execution::{FieldType, FileFormat};

use crate::support::{Value, column, numeric, text, write};

#[test]
fn cells_are_numbers_and_dates_if_a_spreadsheet_keeps_every_digit() {
    let be = |bytes: &[u8]| Some(bytes.to_vec());
    let columns = [
        column("number", "bigint", FieldType::BigInt),
        column("amount", "numeric", FieldType::Numeric(None)),
        column("text", "text", FieldType::Text),
        column("day", "date", FieldType::Date),
        column("instant", "timestamp with time zone", FieldType::TimestampTz),
        column("flag", "boolean", FieldType::Boolean),
        column("list", "integer[]", FieldType::Array(Box::new(FieldType::Integer))),
        column("float", "double precision", FieldType::Double),
    ];
    let rows: Vec<Vec<Value>> = vec![
        vec![
            be(&999_999_999_999_999_i64.to_be_bytes()),
            numeric(0, false, 2, &[1, 5000]),
            text("=1+1"),
            be(&0_i32.to_be_bytes()),
            be(&43_200_000_000_i64.to_be_bytes()),
            be(&[1]),
            be(&[0; 12]),
            be(&0.1_f64.to_be_bytes()),
        ],
        vec![None; 8],
        vec![
            be(&i64::MAX.to_be_bytes()),
            be(&[0, 0, 0, 0, 0xC0, 0, 0, 0]),
            text(" <é&\r\n> "),
            be(&i32::MAX.to_be_bytes()),
            be(&1_i64.to_be_bytes()),
            be(&[0]),
            None,
            be(&f64::NAN.to_be_bytes()),
        ],
    ];
    let file = write(FileFormat::Xlsx, &columns, &rows).unwrap();
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(file)).unwrap();
    assert_eq!(book.sheet_names(), ["Values_ all_any"]);
    let sheet = book.worksheet_range("Values_ all_any").unwrap();
    assert_eq!(sheet.get_size(), (4, 8));
    let cell = |row: u32, column: u32| sheet.get_value((row, column)).unwrap().clone();
    let is_text = |row, column, text: &str| assert_eq!(cell(row, column), Data::String(text.to_owned()));
    for (index, column) in (0..).zip(&columns) {
        is_text(0, index, &column.name);
    }
    assert_eq!(cell(1, 0), Data::Float(999_999_999_999_999.0));
    assert_eq!(cell(1, 1), Data::Float(1.5));
    is_text(1, 2, "=1+1");
    for (column, day) in [(3, 36_526.0), (4, 36_526.5)] {
        let Data::DateTime(found) = cell(1, column) else { panic!("{:?}", cell(1, column)) };
        assert_eq!(found.as_f64().to_bits(), f64::to_bits(day));
    }
    assert_eq!(cell(1, 5), Data::Bool(true));
    is_text(1, 6, "[]");
    assert_eq!(cell(1, 7), Data::Float(0.1));
    assert_eq!(cell(2, 0), Data::Empty);
    is_text(3, 0, "9223372036854775807");
    is_text(3, 1, "NaN");
    is_text(3, 2, " <é&\r\n> ");
    is_text(3, 3, "infinity");
    is_text(3, 4, "2000-01-01T00:00:00.000001Z");
    is_text(3, 7, "NaN");
}

#[test]
fn the_archive_has_all_parts_of_a_workbook() {
    let file = write(FileFormat::Xlsx, &[column("a", "text", FieldType::Text)], &[]).unwrap();
    let mut archive = zip::ZipArchive::new(Cursor::new(file)).unwrap();
    let mut properties = String::new();
    archive.by_name("docProps/core.xml").unwrap().read_to_string(&mut properties).unwrap();
    assert!(properties.contains("<dc:title>Values: all/any</dc:title>"), "{properties}");
    assert!(properties.contains("metric m1, query q1 in version 7"), "{properties}");
    for name in [
        "[Content_Types].xml",
        "_rels/.rels",
        "xl/workbook.xml",
        "xl/_rels/workbook.xml.rels",
        "xl/styles.xml",
        "xl/worksheets/sheet1.xml",
    ] {
        assert!(archive.by_name(name).is_ok(), "{name}");
    }
}
