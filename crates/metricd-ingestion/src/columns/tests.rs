//! Tests of the chooser and the writer together.

mod properties;

use metricd_domain::{ColumnName, ColumnType, ReadOptions, TableColumn};

use super::{ColumnChoice, TypeChooser, TypedRowWriter};
use crate::CellKind::{self, Boolean, Json, Null, Number, String as Text, Typed, Untyped};
use crate::{Reason, RowFault, SourceColumn, SourceRow};

fn row(cells: &[(CellKind, &str)]) -> SourceRow {
    let mut row = SourceRow::default();
    for (kind, text) in cells {
        row.push(*kind, text);
    }
    row
}

fn source_column(data_type: Option<ColumnType>) -> SourceColumn {
    SourceColumn { name: "c".to_owned(), data_type, description: None }
}

fn table_column(data_type: ColumnType) -> TableColumn {
    TableColumn::new(ColumnName::parse("c").unwrap(), data_type)
}

/// Chooses the type of one column whose values begin on line 2.
fn choose_cells(format: &ReadOptions, cells: &[(CellKind, &str)]) -> ColumnChoice {
    let mut chooser = TypeChooser::new(&[source_column(None)], format).unwrap();
    for (line, cell) in (2..).zip(cells) {
        chooser.observe(line, &row(&[*cell]));
    }
    chooser.finish().remove(0)
}

fn choose(values: &[&str]) -> ColumnChoice {
    choose_cells(&ReadOptions::default(), &untyped(values))
}

fn untyped<'a>(values: &[&'a str]) -> Vec<(CellKind, &'a str)> {
    values.iter().map(|value| (Untyped, *value)).collect()
}

/// Writes a row of one value.
fn write_cell(column: &TableColumn, format: &ReadOptions, cell: (CellKind, &str)) -> Result<String, RowFault> {
    let mut writer = TypedRowWriter::new(std::slice::from_ref(column), &[Some(0)], format).unwrap();
    let (mut output, mut faults) = (Vec::new(), Vec::new());
    let is_written = writer.write(2, &row(&[cell]), &mut output, &mut faults);
    assert_eq!(is_written, faults.is_empty());
    match faults.pop() {
        Some(fault) => {
            assert!(output.is_empty());
            Err(fault)
        }
        None => Ok(String::from_utf8(output).unwrap().strip_suffix('\n').unwrap().to_owned()),
    }
}

fn write(data_type: ColumnType, text: &str) -> Result<String, Reason> {
    write_cell(&table_column(data_type), &ReadOptions::default(), (Untyped, text)).map_err(|fault| fault.reason)
}

#[test]
fn a_type_is_chosen_if_every_value_fits_it() {
    for (values, expected) in [
        (&["true", "FALSE", "True"][..], ColumnType::Boolean),
        (&["0", "-1", " 12 ", "9999999999999999"], ColumnType::Bigint),
        (&["1", "2.50", "-.5", "0.0"], ColumnType::Numeric),
        (&["2024-02-29", "0001-01-01", "9999-12-31"], ColumnType::Date),
        (&["2025-06-01 12:30", "2025-06-01T12:30:59.123456000"], ColumnType::Timestamp),
        (&["2025-06-01 12:30Z", "2025-06-01T12:30:59+0530", "2025-06-01 12:30 UTC"], ColumnType::Timestamptz),
        (&["0190f5fe-7c00-7a00-8000-00000000000A", "a190f5fe-7c00-7a00-8000-000000000000"], ColumnType::Uuid),
        (&[r#"{"a": 1}"#, "[]"], ColumnType::Jsonb),
        (&["Berlin"], ColumnType::Text),
        (&["", " ", "\\N", "7"], ColumnType::Bigint),
    ] {
        assert_eq!(choose(values).data_type, expected, "{values:?}");
    }
    assert_eq!(choose(&["1", "2", "3"]).because, "all 3 values are whole numbers");
    assert_eq!(choose(&["1.5"]).because, "the only value is a decimal number");
    assert_eq!(choose(&["", " "]).because, "no values");
    let many: Vec<_> = std::iter::repeat_n("2025-06-01", 1_203).collect();
    assert_eq!(choose(&many).because, "all 1 203 values are dates");
}

#[test]
fn what_would_lose_something_is_text_and_says_why() {
    for (values, because) in [
        (&["1", "007"][..], "text: line 3 has `007`, a number with leading zeros, and line 2 has a whole number"),
        (&["+5"], "text: line 2 has `+5`, a number with a plus sign"),
        (
            &["1", "2", "1e5"],
            "text: line 4 has `1e5`, a number with an exponent, and the 2 values before are whole numbers",
        ),
        (&["1.5", "NaN", "inf"], "text: line 4 has `inf`, not a finite number, and the 2 values before are numbers"),
        (
            &["2025-06-01", "2025-06-01 10:00"],
            "text: line 3 has `2025-06-01 10:00`, a timestamp without an offset, and line 2 has a date",
        ),
        (
            &["2025-06-01 10:00", "2025-06-01 10:00Z"],
            "text: line 3 has `2025-06-01 10:00Z`, a timestamp with an offset, and line 2 has a timestamp without an offset",
        ),
        (&["2025-02-30"], "text: line 2 has `2025-02-30`, a day that does not exist"),
        (
            &["2025-06-01 10:00:00.1234567"],
            "text: line 2 has `2025-06-01 10:00:00.1234567`, a timestamp finer than microseconds",
        ),
        (&["2025-06-01 24:00:00"], "text: line 2 has `2025-06-01 24:00:00`, not a timestamp in ISO 8601"),
        (
            &["12345678901234567"],
            "text: line 2 has `12345678901234567`, a whole number of 17 digits: more likely an identifier, and JavaScript \
             would lose digits",
        ),
        (
            &[r#"{"a":1,"a":2}"#],
            r#"text: line 2 has `{"a":1,"a":2}`, invalid JSON: an object has the key `a` more than once"#,
        ),
        (&["true", "yes"], "text: line 3 has `yes`, a text, and line 2 has `true` or `false`"),
        (&["true", "1"], "text: line 3 has `1`, a whole number, and line 2 has `true` or `false`"),
        (&["Berlin", "1"], "text: line 2 has `Berlin`"),
        (&["[1]", "12"], "text: line 3 has `12`, a whole number, and line 2 has a JSON object or array"),
    ] {
        let choice = choose(values);
        assert_eq!((choice.data_type, choice.because.as_str()), (ColumnType::Text, because), "{values:?}");
    }
    let digits = "1".repeat(39);
    for value in
        [&format!("{digits}.5"), &format!("1.{digits}"), "1.", "-", ".", "--1", "1,5", "t", "0x1F", "1_000", "½"]
    {
        assert_eq!(choose(&[value]).data_type, ColumnType::Text, "{value}");
    }
    for value in [&"9".repeat(16), "0", "-0"] {
        assert_eq!(choose(&[value]).data_type, ColumnType::Bigint, "{value}");
    }
}

#[test]
fn what_a_person_must_decide_is_a_hint() {
    for (values, choice) in [
        (
            &["01/02/2025", "03/04/2025"][..],
            "the values look like dates as DD/MM/YYYY or MM/DD/YYYY: declare the type `date` with `date_format`, or pass \
             `--date-format %d/%m/%Y` or `--date-format %m/%d/%Y`",
        ),
        (
            &["01/02/2025", "31/12/2025"],
            "the values look like dates as DD/MM/YYYY: declare the type `date` with `date_format`, or pass `--date-format \
             %d/%m/%Y`",
        ),
        (
            &["1.2.25 10:30"],
            "the values look like timestamps as DD.MM.YY HH:MM: declare the type `timestamp` with `date_format`, or pass \
             `--date-format %d.%m.%y`; the time is read as well",
        ),
        (
            &["1/31/2025 9:30 AM", "12/1/2025 11:59 PM"],
            "the values look like timestamps as MM/DD/YYYY HH:MM AM: declare the type `timestamp` with `date_format`, or \
             pass `--date-format %m/%d/%Y`; the time is read as well",
        ),
        (
            &["15/Jan/25 9:30 AM", "01/Feb/25 1:00 PM"],
            "the values look like dates with the name of a month: pass their notation, such as `--date-format '%d %b \
             %Y'`; `%b` is the name",
        ),
        (&["2025-06-01", "0000-00-00"], "1 value is `0000-00-00`: pass `--null 0000-00-00` if it means no value"),
        (
            &["1.234,56", "12,5", "7", "1.234"],
            "the values look like numbers with a decimal comma: pass `--decimal-comma`",
        ),
        (
            &["1,234", "12"],
            "the values look like numbers whose comma separates thousands or is the decimal sign: pass `--decimal-comma` \
             if it is the decimal sign, otherwise export them without separators of thousands",
        ),
        (&["1,234.56", "12.5"], "the values look like numbers with separators of thousands: export them as `1234.56`"),
        (
            &["$1,200.00", "€ 12"],
            "the values look like amounts with a currency: export them as numbers, such as `1200.00`, and declare the \
             `unit`",
        ),
        (&["12 %"], "the values look like percentages: export them as numbers, and declare the `unit`"),
        (&["yes", "no"], "the values look like booleans: declare the type `boolean` if they are"),
        (
            &["1.234,56-", "12"],
            "the values look like numbers with the minus sign at the end: declare the type `numeric`, and `decimal_comma` \
             if the comma is the decimal sign",
        ),
        (&["1", "NA", "2", "NA", "NA"], "3 values are `NA`: pass `--null NA` if they mean no value"),
        (&["1", "N/A", "-"], "1 value is `N/A`, 1 value is `-`: pass `--null N/A --null -` if they mean no value"),
        (&["#N/A", "2025-06-01"], "1 value is `#N/A`: pass `--null '#N/A'` if it means no value"),
        (
            &["1,5", "NULL"],
            "the values look like numbers with a decimal comma: pass `--decimal-comma`; 1 value is `NULL`: pass `--null \
             NULL` if it means no value",
        ),
    ] {
        let found = choose(values);
        assert_eq!(found.data_type, ColumnType::Text, "{values:?}");
        assert_eq!(found.choice.as_deref(), Some(choice), "{values:?}");
    }
    for values in [
        &["Berlin", "-"][..],
        &["1", "2"],
        &["01/02/2025", "1.2.2025"],
        &["01/02/2025", "x"],
        &["yes", "maybe"],
        &["13/13/2025"],
    ] {
        assert_eq!(choose(values).choice, None, "{values:?}");
    }
    let choice = choose(&["Berlin", "NA", "Rom", "NA"]).choice;
    assert_eq!(choice.as_deref(), Some("2 values are `NA`: pass `--null NA` if they mean no value"));
    let because = choose(&["1", "NA", "2"]).because;
    assert_eq!(because, "text: line 3 has `NA`, but the other 2 values are whole numbers");
}

#[test]
fn a_decimal_comma_in_one_column_makes_points_in_others_ambiguous() {
    let choose_named = |names: [&str; 2], rows: &[[&str; 2]]| {
        let columns = names.map(|name| SourceColumn { name: name.to_owned(), ..source_column(None) });
        let mut chooser = TypeChooser::new(&columns, &ReadOptions::default()).unwrap();
        for (line, cells) in (2..).zip(rows) {
            chooser.observe(line, &row(&cells.map(|cell| (Untyped, cell))));
        }
        let [n, p]: [ColumnChoice; 2] = chooser.finish().try_into().unwrap();
        (n, p.data_type)
    };
    let choose_two = |rows: &[[&str; 2]]| choose_named(["n", "p"], rows);
    let unnamed = choose_named(["", ""], &[["1.234", "12,5"]]).0.because;
    assert!(unnamed.ends_with("as in `column_2`"), "{unnamed}");
    let (n, p) = choose_two(&[["1.234", "12,5"], ["5", "1.000,00"]]);
    assert_eq!((n.data_type, p), (ColumnType::Text, ColumnType::Text));
    assert_eq!(n.because, "text: the point separates thousands if the comma is the decimal sign, as in `p`");
    assert!(n.choice.unwrap().contains("pass `--decimal-comma`"));
    // Whole numbers are the same, and `1.5` has a decimal point for sure.
    assert_eq!(choose_two(&[["1234", "12,5"]]).0.data_type, ColumnType::Bigint);
    assert_eq!(choose_two(&[["1.234", "12,5"], ["1.5", "2,5"]]).0.data_type, ColumnType::Numeric);
    // A comma that may separate thousands, or that is in a text, shows nothing.
    assert_eq!(choose_two(&[["1.234", "1,234"]]).0.data_type, ColumnType::Numeric);
    assert_eq!(choose_two(&[["1.234", "a, b"]]).0.data_type, ColumnType::Numeric);
}

#[test]
fn a_minus_sign_at_the_end_is_named_only_if_there_is_one() {
    assert!(choose(&["12,5-", "2,75"]).choice.unwrap().contains("minus sign at the end"));
    assert_eq!(choose(&["1.5", "2,75"]).choice, None);
}

#[test]
fn declared_notations_are_read() {
    let comma = ReadOptions { decimal_comma: true, ..ReadOptions::default() };
    let choose_type = |format: &ReadOptions, values: &[&str]| choose_cells(format, &untyped(values)).data_type;
    assert_eq!(choose_type(&comma, &["1.234,56", "1234,5", "-7"]), ColumnType::Numeric);
    assert_eq!(choose_type(&comma, &["1.234", "5"]), ColumnType::Bigint);
    assert_eq!(choose_type(&comma, &["1.5"]), ColumnType::Text);
    assert_eq!(choose_type(&comma, &["2025-06-01"]), ColumnType::Date);
    let days = ReadOptions { date_format: Some("%d/%m/%Y".to_owned()), ..ReadOptions::default() };
    assert_eq!(choose_type(&days, &["01/02/2025", "31/12/2025"]), ColumnType::Date);
    assert_eq!(choose_type(&days, &["2025-06-01"]), ColumnType::Date);
    assert_eq!(choose_type(&days, &["12/31/2025"]), ColumnType::Text);
    assert_eq!(choose_cells(&days, &[(Text, "01/02/2025")]).data_type, ColumnType::Date);
    let swapped = ReadOptions { date_format: Some("%Y-%d-%m".to_owned()), ..ReadOptions::default() };
    assert_eq!(choose_type(&swapped, &["2025-31-01"]), ColumnType::Date);
    assert_eq!(choose_type(&swapped, &["2025-01-31"]), ColumnType::Text);
    let nulls = ReadOptions { nulls: vec!["NA".to_owned(), "n. a.".to_owned()], ..ReadOptions::default() };
    let choice = choose_cells(&nulls, &untyped(&["NA", "1", " n. a. "]));
    assert_eq!((choice.data_type, choice.values, choice.nulls), (ColumnType::Bigint, 1, 2));
    let zone = ReadOptions { date_format: Some("%d/%m/%Y %H:%M %Z".to_owned()), ..ReadOptions::default() };
    assert!(TypeChooser::new(&[], &zone).is_err());
}

#[test]
fn the_kinds_of_cells_limit_the_types() {
    for (cells, expected) in [
        (&[(Text, "12"), (Text, "true")][..], ColumnType::Text),
        (&[(Text, "2025-06-01"), (Null, "")], ColumnType::Date),
        (&[(Text, "2025-06-01"), (Text, "")], ColumnType::Date),
        (&[(Text, " 2025-06-01")], ColumnType::Text),
        (&[(Text, "2025-06-01T10:00Z")], ColumnType::Timestamptz),
        (&[(Text, "0190f5fe-7c00-7a00-8000-00000000000a")], ColumnType::Uuid),
        (&[(Text, "{}")], ColumnType::Text),
        (&[(Number, "12"), (Number, "9223372036854775807")], ColumnType::Bigint),
        (&[(Number, "9223372036854775808")], ColumnType::Numeric),
        (&[(Number, "1e5"), (Number, "-1.5E-3"), (Number, "7")], ColumnType::Numeric),
        (&[(Number, "1e300")], ColumnType::Text),
        (&[(Boolean, "true"), (Boolean, "false")], ColumnType::Boolean),
        (&[(Json, "{}"), (Json, "[1]"), (Null, "")], ColumnType::Jsonb),
        (&[(Json, "{}"), (Text, "x")], ColumnType::Text),
        (&[(Json, r#"{"a":1,"a":2}"#)], ColumnType::Text),
        (&[(Number, "1"), (Text, "2025-06-01")], ColumnType::Text),
        (&[(Number, "1"), (Boolean, "true")], ColumnType::Text),
        (&[(Text, "")], ColumnType::Text),
    ] {
        assert_eq!(choose_cells(&ReadOptions::default(), cells).data_type, expected, "{cells:?}");
    }
    let mixed = choose_cells(&ReadOptions::default(), &[(Number, "1"), (Text, "x")]);
    let because = "text: line 3 has `x`, a text, and line 2 has a whole number; the file has values of several kinds";
    assert_eq!(mixed.because, because);
    let mut chooser = TypeChooser::new(&[source_column(Some(ColumnType::Double))], &ReadOptions::default()).unwrap();
    chooser.observe(1, &row(&[(Typed, "NaN")]));
    let choice = chooser.finish().remove(0);
    assert_eq!((choice.data_type, choice.values), (ColumnType::Double, 1));
    assert_eq!(choice.because, "the file declares the type `double precision`");
}

#[test]
fn a_choice_counts_values_and_shows_the_first_ones() {
    let choice = choose(&["a", " a", "", "b ", "c", "d", &"ä".repeat(100)]);
    assert_eq!((choice.values, choice.nulls, choice.padded), (6, 1, Some((2, 3))));
    assert_eq!(choice.examples, ["a", "b", "c"]);
    assert_eq!(choose(&[&"ä".repeat(100)]).examples, [format!("{}…", "ä".repeat(80))]);
}

#[test]
fn values_are_written_in_one_form() {
    use ColumnType as T;
    for (data_type, text, expected) in [
        (T::Boolean, "TRUE", "true"),
        (T::Boolean, "n", "false"),
        (T::Boolean, "1", "true"),
        (T::Bigint, "-0", "0"),
        (T::Bigint, "+7", "7"),
        (T::Bigint, "007", "7"),
        (T::Bigint, "3.00", "3"),
        (T::Bigint, "-9223372036854775808", "-9223372036854775808"),
        (T::Numeric, "12.50", "12.50"),
        (T::Numeric, ".5", "0.5"),
        (T::Numeric, "1e5", "100000"),
        (T::Double, "1.50", "1.5"),
        (T::Double, "1e300", "1e300"),
        (T::Double, "-inf", "-Infinity"),
        (T::Double, "nan", "NaN"),
        (T::Double, "0.1", "0.1"),
        (T::Double, "0e9", "0.0"),
        (T::Date, "2024-02-29", "2024-02-29"),
        (T::Date, "2024-02-29T00:00:00.000Z", "2024-02-29"),
        (T::Date, "2024-02-29 00:00:00-00:00", "2024-02-29"),
        (T::Timestamp, "2025-06-01T10:00", "2025-06-01 10:00:00"),
        (T::Timestamp, "2025-06-01", "2025-06-01 00:00:00"),
        (T::Timestamptz, "2025-06-01T10:00:00.50+05:30", "2025-06-01 10:00:00.5+05:30"),
        (T::Uuid, "0190F5FE-7C00-7A00-8000-00000000000A", "0190f5fe-7c00-7a00-8000-00000000000a"),
        (T::Jsonb, r#" {"a": "b"}"#, r#""{""a"": ""b""}""#),
        (T::Jsonb, "12", "12"),
        (T::Bytea, "\\x00fF", "\\x00fF"),
        (T::Bytea, "\\x", "\\x"),
        (T::Text, " a ", " a "),
        (T::Text, "a,b", "\"a,b\""),
        (T::Text, "a\"b", "\"a\"\"b\""),
        (T::Text, "\"", "\"\"\"\""),
        (T::Text, "a\nb", "\"a\nb\""),
        (T::Text, "a\rb", "\"a\rb\""),
        (T::Text, "\\.", "\"\\.\""),
        (T::Text, "\\N", ""),
        (T::Text, " ", ""),
        (T::Text, "007", "007"),
    ] {
        assert_eq!(write(data_type, text).as_deref(), Ok(expected), "{data_type} {text:?}");
    }
}

#[test]
fn a_refused_value_names_its_reason() {
    use ColumnType as T;
    for (data_type, text, reason) in [
        (T::Boolean, "2", Reason::BooleanInvalid),
        (T::Bigint, "1.5", Reason::NumberInvalid),
        (T::Bigint, "9223372036854775808", Reason::NumberOutOfRange),
        (T::Bigint, "12a", Reason::NumberInvalid),
        (T::Bigint, "NaN", Reason::NumberNotFinite),
        (T::Numeric, "Infinity", Reason::NumberNotFinite),
        (T::Numeric, "1,234", Reason::NumberAmbiguous),
        (T::Numeric, "12,5", Reason::NumberInvalid),
        (T::Numeric, "1e38", Reason::NumberOutOfRange),
        (T::Double, "1e999", Reason::NumberOutOfRange),
        (T::Double, "1e-999", Reason::NumberOutOfRange),
        (T::Double, "1,5", Reason::NumberInvalid),
        (T::Date, "01/02/2025", Reason::DateInvalid),
        (T::Date, "2025-02-29", Reason::DateInvalid),
        (T::Date, "2025-06-01 00:00:01", Reason::DateTimestamp),
        (T::Date, "2025-06-01 00:00:00+02", Reason::DateTimestamp),
        (T::Date, "2025-06-01x", Reason::DateInvalid),
        (T::Timestamp, "2025-06-01 10:00Z", Reason::TimestampInvalid),
        (T::Timestamp, "2025-06-31 10:00", Reason::TimestampInvalid),
        (T::Timestamptz, "2025-06-01 10:00", Reason::TimestampInvalid),
        (T::Timestamptz, "2025-06-01", Reason::TimestampInvalid),
        (T::Uuid, "0190f5fe7c007a00800000000000000a", Reason::UuidInvalid),
        (T::Jsonb, "{", Reason::JsonInvalid),
        (T::Jsonb, r#"{"a":"\u0000"}"#, Reason::JsonInvalid),
        (T::Bytea, "\\x0", Reason::BytesInvalid),
        (T::Bytea, "00", Reason::BytesInvalid),
        (T::Text, "a\0b", Reason::TextNul),
        (T::Text, &"x".repeat((1 << 20) + 1), Reason::TextTooLong),
    ] {
        assert_eq!(write(data_type, text), Err(reason), "{data_type} {:?}", text.get(..40).unwrap_or(text));
    }
}

#[test]
fn the_file_marks_empty_texts_and_exact_texts() {
    let column = table_column(ColumnType::Text);
    let written = |kind, text| write_cell(&column, &ReadOptions::default(), (kind, text)).unwrap();
    assert_eq!(written(Text, ""), "\"\"");
    assert_eq!(written(Text, "\\N"), "\\N");
    assert_eq!(written(Typed, " "), " ");
    assert_eq!(written(Null, ""), "");
    assert_eq!(written(Untyped, ""), "");
    let column = table_column(ColumnType::Date);
    let written = |kind, text| write_cell(&column, &ReadOptions::default(), (kind, text));
    assert_eq!(written(Text, "").as_deref(), Ok(""));
    assert_eq!(written(Text, " 2025-06-01").unwrap_err().reason, Reason::DateInvalid);
}

#[test]
fn declared_notations_are_written() {
    let format =
        ReadOptions { decimal_comma: true, date_format: Some("%d.%m.%Y".to_owned()), ..ReadOptions::default() };
    let written = |data_type, cell| write_cell(&table_column(data_type), &format, cell).map_err(|fault| fault.reason);
    assert_eq!(written(ColumnType::Numeric, (Untyped, "1.234,50")).as_deref(), Ok("1234.50"));
    assert_eq!(written(ColumnType::Bigint, (Untyped, "1.234")).as_deref(), Ok("1234"));
    assert_eq!(written(ColumnType::Double, (Untyped, "0,1")).as_deref(), Ok("0.1"));
    assert_eq!(written(ColumnType::Numeric, (Number, "1.234")).as_deref(), Ok("1.234"));
    assert_eq!(written(ColumnType::Numeric, (Untyped, "1.5")), Err(Reason::NumberInvalid));
    assert_eq!(written(ColumnType::Numeric, (Untyped, "0.123")), Err(Reason::NumberInvalid));
    assert_eq!(written(ColumnType::Date, (Untyped, "1.2.2025")).as_deref(), Ok("2025-02-01"));
    assert_eq!(written(ColumnType::Date, (Typed, "2025-02-01")).as_deref(), Ok("2025-02-01"));
    assert_eq!(written(ColumnType::Timestamp, (Untyped, "1.2.2025")).as_deref(), Ok("2025-02-01 00:00:00"));
}

#[test]
fn all_faults_of_a_row_are_reported_and_nothing_is_written() {
    let name = |name: &str| ColumnName::parse(name).unwrap();
    let mut columns = [
        TableColumn::new(name("day"), ColumnType::Date),
        TableColumn::new(name("amount"), ColumnType::Numeric),
        TableColumn::new(name("note"), ColumnType::Text),
        TableColumn::new(name("later"), ColumnType::Text),
    ];
    columns[0].required = true;
    let mut writer = TypedRowWriter::new(&columns, &[Some(2), Some(0), Some(1)], &ReadOptions::default()).unwrap();
    let (mut output, mut faults) = (b"before\n".to_vec(), Vec::new());
    assert!(!writer.write(7, &row(&[(Untyped, "x"), (Untyped, "n"), (Untyped, " ")]), &mut output, &mut faults));
    assert_eq!(output, b"before\n");
    let found: Vec<_> = faults.iter().map(|fault| (fault.line, fault.reason, fault.column.as_deref())).collect();
    assert_eq!(found, [(7, Reason::ValueMissing, Some("day")), (7, Reason::NumberInvalid, Some("amount"))]);
    assert_eq!(faults[1].value.as_deref(), Some("x"));
    assert!(writer.write(
        8,
        &row(&[(Untyped, "1"), (Untyped, " n "), (Untyped, "2025-06-01")]),
        &mut output,
        &mut faults
    ));
    assert_eq!(output, b"before\n2025-06-01,1, n ,\n");
    let padded: Vec<_> = writer.padded().map(|padded| (padded.column, padded.count, padded.first_line)).collect();
    assert_eq!(padded, [("note", 1, 8)]);
}
