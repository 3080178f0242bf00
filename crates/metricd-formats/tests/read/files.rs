//! Files that other programs have written. `tests/files/make.py` makes them.

use std::path::Path;

use crate::support::{Read, check_truncations, read};

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name)).unwrap()
}

fn file(name: &str) -> Read {
    read(&bytes_of(name)).unwrap()
}

/// The columns as `name type`.
fn columns(read: &Read) -> Vec<String> {
    let column = |column: &metricd_ingestion::SourceColumn| match column.data_type {
        Some(data_type) => format!("{} {data_type}", column.name),
        None => column.name.clone(),
    };
    read.columns.iter().map(column).collect()
}

#[test]
fn files_of_pandas_are_read() {
    let expected_columns = [
        "id bigint",
        "amount double precision",
        "day timestamp",
        "at timestamptz",
        "exact text",
        "name text",
        "colour text",
        "tags jsonb",
        "price numeric",
        "active boolean",
        "clock text",
        "kept text",
    ];
    let expected = [
        r#"1|0.1|2025-06-01 00:00:00|2025-06-01 10:00:00.000001+00|2025-06-01 12:00:00.000000001|Zoë|red|["a","b"]|12.50|true|23:59:59.999999|24:00:01"#,
        "2|NULL|1969-12-31 00:00:00|NULL|NULL|NULL|NULL|[]|-0.01|false|00:00:00|NULL",
        "NULL|1e300|NULL|1700-01-01 00:00:00+00|NULL||red|NULL|NULL|NULL|NULL|-00:00:01",
    ];
    let feather = file("pandas.feather");
    assert_eq!(columns(&feather), expected_columns);
    assert_eq!(feather.lines(), expected);
    let parquet = file("pandas.parquet");
    assert_eq!(columns(&parquet), [&expected_columns[..], &["__index_level_0__ text"]].concat());
    let indexed: Vec<_> = expected.iter().zip(["x", "y", "z"]).map(|(line, index)| format!("{line}|{index}")).collect();
    assert_eq!(parquet.lines(), indexed);
}

#[test]
fn timestamps_of_96_bits_are_read_in_the_unit_that_keeps_them() {
    let read = file("pandas-int96.parquet");
    assert_eq!(columns(&read), ["at timestamptz", "exact text", "__index_level_0__ text"]);
    let expected = [
        "2025-06-01 10:00:00.000001+00|2025-06-01 12:00:00.000000001|x",
        "NULL|NULL|y",
        "1700-01-01 00:00:00+00|NULL|z",
    ];
    assert_eq!(read.lines(), expected);
}

#[test]
fn files_of_polars_are_read() {
    for name in ["polars.parquet", "polars.arrow", "polars.arrows"] {
        let read = file(name);
        let expected_columns = [
            "id numeric",
            "at timestamptz",
            "price numeric",
            "colour text",
            "kind text",
            "point jsonb",
            "clock text",
            "kept text",
            "bytes bytea",
            "empty text",
        ];
        assert_eq!(columns(&read), expected_columns, "{name}");
        let expected = [
            r#"1|2025-06-01 12:00:00+00|12.5000000000|red|a|{"x":1,"y":null}|01:02:03.000004|30:00:00|\x00ff|NULL"#,
            r#"18446744073709551615|0001-01-01 00:00:00+00|-0.0100000000|green|b|{"x":null,"y":[1.5]}|NULL|-00:00:00.000001|\x|NULL"#,
            "NULL|NULL|NULL|NULL|NULL|NULL|00:00:00|NULL|NULL|NULL",
        ];
        assert_eq!(read.lines(), expected, "{name}");
    }
}

#[test]
fn a_file_of_duckdb_is_read() {
    let read = file("duckdb.parquet");
    let expected_columns = [
        "huge double precision",
        "words text",
        "day date",
        "moment timestamp",
        "instant timestamptz",
        "clock text",
        "price numeric",
        "key uuid",
        "document jsonb",
        "pairs jsonb",
        "nested jsonb",
        "exact timestamp",
        "kind text",
        "ratio double precision",
    ];
    assert_eq!(columns(&read), expected_columns);
    let expected = [
        r#"1|a|2025-06-01|2025-06-01 12:00:00.000001|2025-06-01 12:00:00+00|01:02:03|12.50|00010203-0405-0607-0809-0a0b0c0d0e0f|{"a": [1, null]}|{"k":1}|{"x":[1,2]}|2025-06-01 12:00:00.000001|b|Infinity"#,
        "NULL|NULL|0044-03-15 BC|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL",
    ];
    assert_eq!(read.lines(), expected);
}

#[test]
fn files_of_pyarrow_are_read_with_their_descriptions_in_every_compression() {
    let read = file("pyarrow.arrow");
    assert_eq!(columns(&read), ["id uuid", "document jsonb", "moment timestamptz", "span text"]);
    let expected = r#"00000000-0000-0000-0000-000000000001|{"a": 1}|2025-06-01 10:00:00+00"#;
    assert_eq!(read.lines(), [format!("{expected}|P1Y2M3DT1.5S"), "NULL|NULL|NULL|NULL".to_owned()]);
    for compression in ["none", "gzip", "brotli", "lz4", "zstd"] {
        let read = file(&format!("pyarrow-{compression}.parquet"));
        assert_eq!(columns(&read), ["id uuid", "document jsonb", "moment timestamptz"], "{compression}");
        assert_eq!(read.lines(), [expected, "NULL|NULL|NULL"], "{compression}");
        let descriptions: Vec<_> = read.columns.iter().map(|column| column.description.as_deref()).collect();
        assert_eq!(descriptions, [Some("The key"), None, Some("When it began")]);
    }
}

#[test]
fn workbooks_of_openpyxl_and_pandas_are_read() {
    let read = file("openpyxl.xlsx");
    assert_eq!(columns(&read), ["Day", "At", "Amount", "Text", "Big", "Active", "Clock", "Sum", "Kept"]);
    let expected = [
        "2025-06-01|2025-06-01 00:00:00|0.1|007|12345678901234570000|true|01:02:03|NULL|30:00:01",
        "1900-01-01|2025-06-01 12:30:15.25|-2| padded |100000000000000000000|false|23:59:59|NULL|NULL",
    ];
    assert_eq!(read.lines(), expected);
    let read = file("openpyxl-1904.xlsx");
    assert_eq!(columns(&read), ["day"]);
    let fault = "row 3 day number-invalid: the cell A3: the formula has no stored value: open the workbook in a \
                 spreadsheet program and save it";
    assert_eq!(read.lines(), ["2025-06-01", fault]);
    let read = file("pandas.xlsx");
    assert_eq!(columns(&read), ["", "id", "day", "name"]);
    assert_eq!(read.lines(), ["x|1|2025-06-01|Zoë", "y|2|1969-12-31|NULL", "z|NULL|NULL|NULL"]);
}

#[test]
fn every_truncation_is_refused() {
    for name in ["pyarrow-gzip.parquet", "pyarrow.arrow", "polars.arrows", "openpyxl.xlsx"] {
        check_truncations(&bytes_of(name));
    }
}
