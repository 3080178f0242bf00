//! Properties of the chooser and the writer.

use metricd_domain::{ColumnType, ReadOptions};
use proptest::prelude::*;

use super::{choose, choose_cells, table_column, write_cell};
use crate::CellKind::{self, Boolean, Json, Number, String as Text, Typed, Untyped};

/// Values of one notation, so that columns of one type are frequent.
fn notation() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("(true|false|True|FALSE)"),
        Just("-?(0|[1-9][0-9]{0,18})"),
        Just("-?(0|[1-9][0-9]{0,3})?(\\.[0-9]{1,4})?"),
        Just("[+-]?[0-9]{0,40}(\\.[0-9]{0,40})?([eE][+-]?[0-9]{1,3})?"),
        Just("-?[0-9]{1,3}(\\.[0-9]{3})*(,[0-9]{1,3})?"),
        Just("[0-9]{4}-(0[0-9]|1[0-3])-[0-3][0-9]"),
        Just(
            "(0001|2024|9999)-(01|02|12)-(01|29|31)[T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9](\\.[0-9]{1,8})?)?(Z| UTC|[+-][01][0-9](:?[0-6][0-9])?)?"
        ),
        Just("[0-3][0-9]/[01][0-9]/[0-9]{4}"),
        Just("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
        Just("\\{\"[a-c]\": ?(1|\\[\\]|\"x\"|1e[0-9]{1,4})(,\"[a-c]\":null)?\\}"),
        Just("[ -~]{0,6}"),
        Just("\\PC{0,4}"),
    ]
}

fn column_of_values() -> impl Strategy<Value = Vec<String>> {
    notation().prop_flat_map(|notation| {
        prop::collection::vec(
            prop_oneof![9 => proptest::string::string_regex(notation).unwrap(), 1 => Just(String::new())],
            1..6,
        )
    })
}

fn kind() -> impl Strategy<Value = CellKind> {
    prop_oneof![4 => Just(Untyped), 1 => Just(Text), 1 => Just(Number), 1 => Just(Json)]
}

fn read_options() -> impl Strategy<Value = ReadOptions> {
    let date_format = prop_oneof![Just(None), Just(Some("%d/%m/%Y".to_owned())), Just(Some("%Y-%d-%m".to_owned()))];
    (any::<bool>(), date_format).prop_map(|(decimal_comma, date_format)| ReadOptions {
        decimal_comma,
        date_format,
        ..ReadOptions::default()
    })
}

/// The significant digits of a number, and the position of its point.
fn normalized(number: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches(['-', '+']));
    let exponent = exponent.parse::<i64>().unwrap() - i64::try_from(fraction.len()).unwrap();
    let significant = digits.trim_start_matches('0').trim_end_matches('0').to_owned();
    if significant.is_empty() {
        return (false, significant, 0);
    }
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    (number.starts_with('-'), significant, exponent + i64::try_from(zeros).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_writer_accepts_every_value_of_a_chosen_type(values in column_of_values(), kind in kind(), format in read_options()) {
        let cells: Vec<_> = values.iter().map(|value| (kind, value.as_str())).collect();
        let choice = choose_cells(&format, &cells);
        let column = table_column(choice.data_type);
        for cell in cells {
            if choice.data_type == ColumnType::Text && cell.1.contains('\0') {
                continue;
            }
            let written = write_cell(&column, &format, cell);
            prop_assert!(written.is_ok(), "{cell:?} as {}: {written:?}", choice.data_type);
            let written = written.unwrap();
            // What was written is a value of the type, and is written in the same form again.
            if !written.is_empty() && choice.data_type != ColumnType::Text && choice.data_type != ColumnType::Jsonb {
                let again = write_cell(&column, &ReadOptions::default(), (Typed, &written));
                prop_assert_eq!(again.as_ref(), Ok(&written));
            }
            match choice.data_type {
                ColumnType::Bigint | ColumnType::Numeric if !written.is_empty() => {
                    let is_comma = format.decimal_comma && kind == Untyped;
                    let value = if is_comma { cell.1.replace('.', "").replace(',', ".") } else { cell.1.to_owned() };
                    prop_assert_eq!(normalized(value.trim()), normalized(&written));
                }
                ColumnType::Text if !cell.1.trim().is_empty() && cell.1.trim() != "\\N" => {
                    let unquoted = written.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                    let value = unquoted.map_or(written.clone(), |text| text.replace("\"\"", "\""));
                    prop_assert_eq!(value.as_str(), cell.1);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn the_order_of_values_does_not_change_the_type(values in column_of_values(), others in column_of_values()) {
        let mut all: Vec<_> = values.iter().chain(&others).map(String::as_str).collect();
        let forward = choose(&all);
        all.reverse();
        let backward = choose(&all);
        prop_assert_eq!(forward.data_type, backward.data_type);
        prop_assert_eq!(forward.choice.is_some(), backward.choice.is_some());
    }

    #[test]
    fn no_value_makes_the_writer_fail(text in "\\PC{0,40}", index in 0..ColumnType::ALL.len(), format in read_options()) {
        for kind in [Untyped, Text, Number, Boolean, Json, Typed] {
            let column = table_column(ColumnType::ALL[index]);
            let _ = write_cell(&column, &format, (kind, &text));
        }
    }
}
