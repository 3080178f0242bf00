//! Tests of the readers with files as programs export them.

use std::io::{Cursor, Write as _};

use metricd_domain::{ColumnName, ReadOptions, TableColumn};
use proptest::prelude::*;

use super::{CopyFormat, CsvFormat, JsonFormat, decompress};
use crate::{CellKind, Next, ReadError, Reason, SourceRow, TableFormat, TableReader, TypeChooser, TypedRowWriter};

fn options(change: impl FnOnce(&mut ReadOptions)) -> ReadOptions {
    let mut options = ReadOptions::default();
    change(&mut options);
    options
}

fn open(format: &dyn TableFormat, file: &[u8], options: &ReadOptions) -> Result<Box<dyn TableReader>, ReadError> {
    format.open(decompress(Box::new(Cursor::new(file.to_owned())))?, options)
}

/// The names of the columns, and each row: its cells, marked by their kinds, or its fault.
fn read(format: &dyn TableFormat, file: &[u8], options: &ReadOptions) -> Result<(Vec<String>, Vec<String>), ReadError> {
    let mut reader = open(format, file, options)?;
    let names = reader.columns().iter().map(|column| column.name.clone()).collect();
    let (mut row, mut rows) = (SourceRow::default(), Vec::new());
    loop {
        rows.push(match reader.read(&mut row)? {
            Next::End => return Ok((names, rows)),
            Next::Row { line } => format!("{line}: {}", shown(&row)),
            Next::Fault(fault) if fault.line == fault.last_line => format!("{}: {}", fault.line, fault.reason.code()),
            Next::Fault(fault) => format!("{}-{}: {}", fault.line, fault.last_line, fault.reason.code()),
        });
    }
}

fn shown(row: &SourceRow) -> String {
    let cells = row.cells().map(|(kind, text)| match kind {
        CellKind::Null => "∅".to_owned(),
        CellKind::Untyped => text.to_owned(),
        CellKind::String => format!("'{text}'"),
        CellKind::Number => format!("#{text}"),
        CellKind::Boolean => format!("?{text}"),
        CellKind::Json | CellKind::Typed => format!("={text}"),
    });
    cells.collect::<Vec<_>>().join("|")
}

fn csv(file: &str) -> (Vec<String>, Vec<String>) {
    read(&CsvFormat, file.as_bytes(), &ReadOptions::default()).unwrap()
}

fn json(file: &str) -> (Vec<String>, Vec<String>) {
    read(&JsonFormat, file.as_bytes(), &ReadOptions::default()).unwrap()
}

fn refusal(format: &dyn TableFormat, file: &[u8], options: &ReadOptions) -> (Reason, String) {
    match read(format, file, options) {
        Err(ReadError::Content { reason, message }) => (reason, message),
        other => panic!("{other:?}"),
    }
}

/// The types that the chooser chooses for a file, with its hints, and the rows that the writer writes.
fn load(format: &dyn TableFormat, file: &[u8], options: &ReadOptions) -> (String, Vec<String>, String) {
    let mut reader = open(format, file, options).unwrap();
    let mut chooser = TypeChooser::new(reader.columns(), options).unwrap();
    let mut row = SourceRow::default();
    loop {
        match reader.read(&mut row).unwrap() {
            Next::Row { line } => chooser.observe(line, &row),
            Next::Fault(fault) => panic!("{fault:?}"),
            Next::End => break,
        }
    }
    let choices = chooser.finish();
    let names: Vec<_> = choices.iter().map(|choice| choice.data_type.name()).collect();
    let hints = choices.iter().filter_map(|choice| choice.choice.clone()).collect();
    let column = |(index, choice): (usize, &crate::ColumnChoice)| {
        TableColumn::new(ColumnName::parse(format!("c{index}")).unwrap(), choice.data_type)
    };
    let columns: Vec<_> = choices.iter().enumerate().map(column).collect();
    let positions: Vec<_> = (0..columns.len()).map(Some).collect();
    let mut writer = TypedRowWriter::new(&columns, &positions, options).unwrap();
    let mut reader = open(format, file, options).unwrap();
    let (mut output, mut faults) = (Vec::new(), Vec::new());
    while let Next::Row { line } = reader.read(&mut row).unwrap() {
        assert!(writer.write(line, &row, &mut output, &mut faults), "{faults:?}");
    }
    (names.join(","), hints, String::from_utf8(output).unwrap())
}

#[test]
fn csv_tells_empty_fields_from_empty_texts() {
    let (names, rows) = csv("id,\"a \"\"b\"\"\", c\n1,\"\",\n\"2\",\"x\ny\", z \n");
    assert_eq!(names, ["id", "a \"b\"", " c"]);
    assert_eq!(rows, ["2: 1|''|∅", "3: 2|x\ny| z "]);
}

#[test]
fn faulty_rows_do_not_end_a_csv_file() {
    let (_, rows) = csv("id,note\na@b.c,x\n1,2,3\n1\n2,a\"b\n3,\"a\" b\nc@d.e,y\nid,note\n4,z\n5,\"open\n6,x\n");
    assert_eq!(
        rows,
        [
            "2: a@b.c|x",
            "3: row-ragged",
            "4: row-ragged",
            "5-6: quote-stray",
            "7: c@d.e|y",
            "8: header-repeated",
            "9: 4|z",
            "10: quote-unclosed",
            "11: 6|x",
        ]
    );
    // A file that consists of two files has two byte order marks.
    let (_, rows) = csv("\u{feff}id,n\n1,2\n\u{feff}id,n\n3,4\n");
    assert_eq!(rows, ["2: 1|2", "3: header-repeated", "4: 3|4"]);
}

#[test]
fn separators_at_the_end_of_a_row_lose_nothing() {
    let (names, rows) = csv("a;b\n1;2;\n3;4;;\n5;6;7\n8;\"\";\"\"\n");
    assert_eq!(names, ["a", "b"]);
    assert_eq!(rows, ["2: 1|2", "3: 3|4", "4: row-ragged", "5: 8|''"]);
}

proptest! {
    #[test]
    fn every_quoted_text_is_read_as_it_was_written(
        table in prop::collection::vec(prop::array::uniform3("[ -~\u{e4}\u{20ac}\n\r]{0,6}"), 1..8),
        separator in prop::sample::select(vec![',', ';', '\t', '|']),
        label in prop::sample::select(vec![None, Some("windows-1252"), Some("utf-16le")]),
    ) {
        // A row of blanks is skipped, so each row has a number as well.
        let mut file = format!("a{separator}b{separator}c{separator}n\n");
        for (index, row) in table.iter().enumerate() {
            let quoted = row.iter().map(|text| format!("\"{}\"", text.replace('"', "\"\"")));
            let fields: Vec<_> = quoted.chain([index.to_string()]).collect();
            file += &fields.join(&separator.to_string());
            file += "\r\n";
        }
        let bytes = match label {
            Some("utf-16le") => file.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Some("windows-1252") => encoding_rs::WINDOWS_1252.encode(&file).0.into_owned(),
            _ => file.into_bytes(),
        };
        let options = options(|text| text.encoding = label.map(str::to_owned));
        let mut reader = open(&CsvFormat, &bytes, &options).unwrap();
        let mut found = SourceRow::default();
        for (index, row) in table.iter().enumerate() {
            let next = reader.read(&mut found).unwrap();
            prop_assert!(matches!(next, Next::Row { .. }), "found {:?}", next);
            let texts: Vec<_> = found.cells().map(|(_, text)| text.to_owned()).collect();
            let expected: Vec<_> = row.iter().cloned().chain([index.to_string()]).collect();
            prop_assert_eq!(texts, expected);
        }
        prop_assert_eq!(reader.read(&mut found).unwrap(), Next::End);
    }

    #[test]
    fn no_file_makes_a_reader_panic(file in prop::collection::vec(prop::sample::select(
        b"{}[]\",:;\t|\n\r\\NaCOPY ().e1-\xff\xfe\0\x1f\x8b".to_vec()), 0..60)) {
        for format in [&CsvFormat as &dyn TableFormat, &JsonFormat, &CopyFormat] {
            let _ = format.detect(&file);
            let _ = read(format, &file, &ReadOptions::default());
        }
    }
}

#[test]
fn a_header_with_data_is_refused() {
    for file in ["1,2\n3,4\n", "2025-06-01,,12.5\n", "01/02/2025;7;1.234,56\n", "1;2\n"] {
        assert_eq!(refusal(&CsvFormat, file.as_bytes(), &ReadOptions::default()).0, Reason::HeaderMissing, "{file}");
    }
    let (names, rows) = csv("region,2023,2024\nN,1,2\n");
    assert_eq!((names.len(), rows), (3, vec!["2: N|1|2".to_owned()]));
    assert_eq!(csv("t,y\n1,2\n").0, ["t", "y"]);
    let no_header = ReadOptions { no_header: true, ..ReadOptions::default() };
    let (names, rows) = read(&CsvFormat, b"1,2\n3,4\n1,2\n", &no_header).unwrap();
    assert_eq!(
        (names, rows),
        (vec![String::new(), String::new()], ["1: 1|2", "2: 3|4", "3: 1|2"].map(str::to_owned).to_vec())
    );
}

#[test]
fn a_csv_file_without_rows_has_columns() {
    assert_eq!(csv("a,b\n"), (vec!["a".to_owned(), "b".to_owned()], Vec::new()));
    for file in ["", "\n\n", "sep=;\n", ",,\n"] {
        assert_eq!(refusal(&CsvFormat, file.as_bytes(), &ReadOptions::default()).0, Reason::FileEmpty, "{file:?}");
    }
    let wide = vec!["c"; 1_601].join(",");
    assert_eq!(refusal(&CsvFormat, wide.as_bytes(), &ReadOptions::default()).0, Reason::ColumnsTooMany);
    assert_eq!(refusal(&CsvFormat, b"a\"b,c\n", &ReadOptions::default()).0, Reason::QuoteStray);
}

#[test]
fn a_declared_separator_is_used() {
    let declared = |delimiter| options(|text| text.delimiter = Some(delimiter));
    assert_eq!(read(&CsvFormat, b"a~b,c\n1~2,3\n", &declared('~')).unwrap().1, ["2: 1|2,3"]);
    assert_eq!(read(&CsvFormat, b"sep=;\na;b\n1;2\n", &declared(';')).unwrap().1, ["3: 1|2"]);
    for delimiter in ['é', '"', '\n', '\0'] {
        assert_eq!(refusal(&CsvFormat, b"a,b\n", &declared(delimiter)).0, Reason::FileMalformed);
    }
}

#[test]
fn any_encoding_is_read_and_nothing_is_replaced() {
    let encoded = |label: &str| options(|text| text.encoding = Some(label.to_owned()));
    let latin = b"name,n\nM\xfcller,1\nMayer,2\n";
    assert_eq!(read(&CsvFormat, latin, &encoded("windows-1252")).unwrap().1, ["2: Müller|1", "3: Mayer|2"]);
    let (_, rows) = read(&CsvFormat, latin, &ReadOptions::default()).unwrap();
    assert_eq!(rows, ["2: text-encoding", "3: Mayer|2"]);
    let (reason, message) = refusal(&CsvFormat, b"Stra\xdfe,n\n", &ReadOptions::default());
    assert_eq!(reason, Reason::FileEncoding);
    assert!(message.contains("--encoding windows-1252"), "{message}");
    let utf16 = |text: &str, to_bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to_bytes).collect::<Vec<_>>();
    let text = "\u{feff}name,n\nMüller😀,1\n";
    for file in [utf16(text, u16::to_le_bytes), utf16(text, u16::to_be_bytes)] {
        assert!(CsvFormat.detect(&file));
        assert_eq!(read(&CsvFormat, &file, &ReadOptions::default()).unwrap().1, ["2: Müller😀|1"]);
    }
    let without_mark = utf16(&text[3..], u16::to_le_bytes);
    assert!(!CsvFormat.detect(&without_mark));
    assert_eq!(refusal(&CsvFormat, &without_mark, &ReadOptions::default()).0, Reason::FileEncoding);
    assert_eq!(read(&CsvFormat, &without_mark, &encoded("utf-16le")).unwrap().1, ["2: Müller😀|1"]);
    let mut truncated = utf16(text, u16::to_le_bytes);
    truncated.pop();
    assert_eq!(refusal(&CsvFormat, &truncated, &ReadOptions::default()).0, Reason::FileEncoding);
    assert_eq!(refusal(&CsvFormat, b"a\n\x81\x20\n", &encoded("shift_jis")).0, Reason::FileEncoding);
    for label in ["utf-99", "", "iso-2022-kr"] {
        assert_eq!(refusal(&CsvFormat, b"a\n", &encoded(label)).0, Reason::FileEncoding, "{label}");
    }
    let json = utf16("\u{feff}[{\"a\":\"ü\"}]", u16::to_le_bytes);
    assert!(JsonFormat.detect(&json));
    assert_eq!(read(&JsonFormat, &json, &ReadOptions::default()).unwrap().1, ["1: 'ü'"]);
}

#[test]
fn exports_of_spreadsheets_are_loaded() {
    let german =
        "\u{feff}sep=;\r\nDatum;Kunde;Umsatz\r\n31.12.2024;Müller;1.234,56\r\n01.01.2025;\"Mayer; Söhne\";12,5\r\n";
    let (types, hints, _) = load(&CsvFormat, german.as_bytes(), &ReadOptions::default());
    assert_eq!((types.as_str(), hints.len()), ("text,text,text", 2));
    let declared = options(|text| {
        text.decimal_comma = true;
        text.date_format = Some("%d.%m.%Y".to_owned());
    });
    let (types, hints, rows) = load(&CsvFormat, german.as_bytes(), &declared);
    assert_eq!((types.as_str(), hints.len()), ("date,text,numeric", 0));
    assert_eq!(rows, "2024-12-31,Müller,1234.56\n2025-01-01,Mayer; Söhne,12.5\n");
    // French Excel separates thousands by a narrow space, which only a person can interpret.
    let french = "Date;Montant\r\n31/12/2024;1\u{202f}234,56\r\n";
    assert_eq!(load(&CsvFormat, french.as_bytes(), &ReadOptions::default()).0, "text,text");
    let american = "Day,Total,Paid\r\n12/31/2024,\"$1,234.56\",TRUE\r\n1/2/2025,$5.00,FALSE\r\n";
    let (types, hints, _) = load(&CsvFormat, american.as_bytes(), &ReadOptions::default());
    assert_eq!(types, "text,text,boolean");
    assert!(hints[0].contains("`--date-format %m/%d/%Y`"), "{hints:?}");
    assert!(hints[1].contains("currency"), "{hints:?}");
    let google = "Timestamp,Score,Note\r\n2025-06-01 12:00:00,3,\"a, b\"\r\n2025-06-02 08:30:00,,\r\n,,\r\n";
    let (types, _, rows) = load(&CsvFormat, google.as_bytes(), &ReadOptions::default());
    assert_eq!(types, "timestamp,bigint,text");
    assert_eq!(rows, "2025-06-01 12:00:00,3,\"a, b\"\n2025-06-02 08:30:00,,\n");
}

#[test]
fn exports_of_databases_and_programs_are_loaded() {
    let sap = "Material  ;Werk;Betrag    ;\n000123    ;1000;1.234,56- ;\n000124    ;1000;    12,00 ;\n";
    let (types, hints, _) = load(&CsvFormat, sap.as_bytes(), &ReadOptions::default());
    assert_eq!(types, "text,bigint,text,text");
    assert!(hints[0].contains("minus sign at the end"), "{hints:?}");
    let pandas = ",price,in_stock,seen\n0,1.5,True,2025-06-01 00:00:00+00:00\n1,nan,False,2025-06-02 00:00:00+00:00\n";
    let (types, hints, _) = load(&CsvFormat, pandas.as_bytes(), &ReadOptions::default());
    assert_eq!(types, "bigint,text,boolean,timestamptz");
    assert_eq!(hints, ["1 value is `nan`: pass `--null nan` if it means no value"]);
    let nulls = options(|text| text.nulls = vec!["nan".to_owned()]);
    let (types, _, rows) = load(&CsvFormat, pandas.as_bytes(), &nulls);
    assert_eq!(types, "bigint,numeric,boolean,timestamptz");
    assert_eq!(rows, "0,1.5,true,2025-06-01 00:00:00+00\n1,,false,2025-06-02 00:00:00+00\n");
    let quoted = "a,b,c\n1,\"\\N\",\"NA\"\n\"NA\",NA,x\n\" NA \",\"\\N\",\\N\n";
    let nulls = options(|text| text.nulls = vec!["NA".to_owned()]);
    let (types, _, rows) = load(&CsvFormat, quoted.as_bytes(), &nulls);
    assert_eq!(types, "bigint,text,text", "quotes make a text of `NA`, and a number is no text");
    assert_eq!(rows, "1,\\N,NA\n,,x\n,\\N,\n");
    let metabase = "ID,Created At,Total\n1,2025-06-01T12:00:00Z,\"1,234.5\"\n2,2025-06-01T13:00:00.123Z,12\n";
    let (types, hints, _) = load(&CsvFormat, metabase.as_bytes(), &ReadOptions::default());
    assert_eq!((types.as_str(), hints.len()), ("bigint,timestamptz,text", 1));
    let redash = "id,payload\r\n1,\"{\"\"a\"\": 1}\"\r\n2,\"{\"\"a\"\": [2]}\"\r\n";
    let (types, _, rows) = load(&CsvFormat, redash.as_bytes(), &ReadOptions::default());
    assert_eq!((types.as_str(), rows.as_str()), ("bigint,jsonb", "1,\"{\"\"a\"\": 1}\"\n2,\"{\"\"a\"\": [2]}\"\n"));
    let mysql = "id\tname\tamount\n1\t\\N\t1.50\n2\tx\t\\N\n";
    let (types, _, rows) = load(&CsvFormat, mysql.as_bytes(), &ReadOptions::default());
    assert_eq!((types.as_str(), rows.as_str()), ("bigint,text,numeric", "1,,1.50\n2,x,\n"));
    let postgresql = "id,ok,note,at\n1,t,\"\",2025-06-01 12:00:00.5+02\n2,f,,\n";
    let (types, hints, rows) = load(&CsvFormat, postgresql.as_bytes(), &ReadOptions::default());
    assert_eq!((types.as_str(), hints.len()), ("bigint,text,text,timestamptz", 1));
    assert_eq!(rows, "1,t,\"\",2025-06-01 12:00:00.5+02\n2,f,,\n");
}

#[test]
fn the_columns_of_json_are_the_keys_of_all_objects() {
    let (names, rows) = json(r#"[{"a": 1, "b": null}, {"c": "x\ny", "a": 1.50}, {"b": {"d": [1]}, "c": true}]"#);
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(rows, ["1: #1|∅|∅", "1: #1.50|∅|'x\ny'", "1: ∅|={\"d\": [1]}|?true"]);
    let (names, rows) = json("{\"a\": \"\", \"\\u00e4\": -1E5}\n\n{\"ä\": []}\n");
    assert_eq!(names, ["a", "ä"]);
    assert_eq!(rows, ["1: ''|#-1E5", "3: ∅|=[]"]);
    assert_eq!(json("[]"), (Vec::new(), Vec::new()));
}

#[test]
fn faulty_objects_do_not_end_a_json_file() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20));
    let file = format!("{{\"a\":1}}\n{{\"a\":}}\n7\n{{\"a\":1,\"a\":2}}\n{{\"a\":\"\\ud800\"}}\n{long}\n{{\"a\":2}}\n");
    let (names, rows) = json(&file);
    assert_eq!(names, ["a"]);
    let expected = [
        "1: #1",
        "2: json-syntax",
        "3: type-mismatch",
        "4: key-repeated",
        "5: json-syntax",
        "6: record-too-long",
        "7: #2",
    ];
    assert_eq!(rows, expected);
    let (_, rows) = read(&JsonFormat, b"{\"a\":\"\xff\"}\n{\"a\":1}\n", &ReadOptions::default()).unwrap();
    assert_eq!(rows, ["1: text-encoding", "2: #1"]);
}

#[test]
fn a_json_file_that_cannot_be_read_to_its_end_is_refused() {
    let default = ReadOptions::default();
    assert_eq!(refusal(&JsonFormat, b"[{\"a\":1},", &default).0, Reason::FileTruncated);
    assert_eq!(refusal(&JsonFormat, b"[{\"a\":1} {\"a\":2}]", &default).0, Reason::JsonSyntax);
    assert_eq!(refusal(&JsonFormat, b"[{\"a\":1}] x", &default).0, Reason::JsonSyntax);
    let keys: Vec<_> = (0..1_601).map(|key| format!("\"k{key}\":1")).collect();
    let wide = format!("[{{{}}}]", keys.join(","));
    assert_eq!(refusal(&JsonFormat, wide.as_bytes(), &default).0, Reason::ColumnsTooMany);
}

#[test]
fn json_is_loaded_with_its_types() {
    let file = r#"[
        {"id": 1, "day": "2025-06-01", "amount": 1e2, "ok": true, "tags": ["a"], "code": "007", "note": ""},
        {"id": 2, "day": null, "amount": 0.10, "ok": false, "tags": {}, "code": "8"}
    ]"#;
    let (types, _, rows) = load(&JsonFormat, file.as_bytes(), &ReadOptions::default());
    assert_eq!(types, "bigint,date,numeric,boolean,jsonb,text,text");
    assert_eq!(rows, "1,2025-06-01,100,true,\"[\"\"a\"\"]\",007,\"\"\n2,,0.10,false,{},8,\n");
}

const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\nCREATE TABLE public.sales (\n    id bigint\n);\n\n\
                    COPY public.sales (id, \"Note\", at) FROM stdin;\n1\ta\\tb\\\\N\t2025-06-01 12:00:00+02\n2\t\\N\t\\N\n3\t\t\\N\n4\tx\n\\.\n\n\
                    SELECT 1;\n";

#[test]
fn the_rows_of_a_dump_are_read() {
    assert!(CopyFormat.detect(DUMP.as_bytes()));
    assert!(!CopyFormat.detect(b"a,b\n"));
    let (names, rows) = read(&CopyFormat, DUMP.as_bytes(), &ReadOptions::default()).unwrap();
    assert_eq!(names, ["id", "Note", "at"]);
    assert_eq!(rows, ["11: 1|a\tb\\N|2025-06-01 12:00:00+02", "12: 2|∅|∅", "13: 3|''|∅", "14: row-ragged"]);
}

#[test]
fn a_dump_of_several_tables_or_none_is_refused() {
    let several = DUMP.to_owned() + "COPY public.\"Other\" (id) FROM stdin;\n1\n\\.\n";
    let (reason, message) = refusal(&CopyFormat, several.as_bytes(), &ReadOptions::default());
    assert_eq!(reason, Reason::TablesSeveral);
    assert!(message.contains("`public.sales`, `public.\"Other\"`"), "{message}");
    let truncated = DUMP.split_once("\\.\n").unwrap().0;
    assert_eq!(refusal(&CopyFormat, truncated.as_bytes(), &ReadOptions::default()).0, Reason::FileTruncated);
    let schema = "-- PostgreSQL database dump\nCREATE TABLE a (b int);\n";
    assert_eq!(refusal(&CopyFormat, schema.as_bytes(), &ReadOptions::default()).0, Reason::FileUnrecognised);
}

#[test]
fn compressed_files_have_any_format() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"{\"a\":1}\n{\"b\":2}\n").unwrap();
    let (names, rows) = read(&JsonFormat, &encoder.finish().unwrap(), &ReadOptions::default()).unwrap();
    assert_eq!((names.join(","), rows.join(" ")), ("a,b".to_owned(), "1: #1|∅ 2: ∅|#2".to_owned()));
    let file = zstd::encode_all(&b"a,b\n1,2\n"[..], 1).unwrap();
    assert_eq!(read(&CsvFormat, &file, &ReadOptions::default()).unwrap().1, ["2: 1|2"]);
    let cut = file[..file.len() - 2].to_vec();
    assert_eq!(refusal(&CsvFormat, &cut, &ReadOptions::default()).0, Reason::FileMalformed);
}
