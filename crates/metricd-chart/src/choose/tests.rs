use std::fmt::Write as _;

use super::*;
use crate::data::{ChartColumn, ColumnType};

/// Data of columns such as `day date` and rows of texts; `-` is NULL.
pub(crate) fn data(columns: &[&str], rows: &[&[&str]]) -> ChartData {
    let column = |text: &&str| {
        let (name, type_name) = text.split_once(' ').unwrap();
        let labels: Option<Vec<String>> =
            type_name.strip_prefix("enum ").map(|labels| labels.split('|').map(str::to_owned).collect());
        ChartColumn::new(name, ColumnType::of_postgres(type_name, labels.as_deref()))
    };
    let mut data = ChartData::new(columns.iter().map(column).collect());
    for row in rows {
        data.push_texts(&row.iter().map(|text| (*text != "-").then_some(*text)).collect::<Vec<_>>()).unwrap();
    }
    data
}

fn chosen(columns: &[&str], rows: &[&[&str]]) -> String {
    choose(&data(columns, rows)).sentence()
}

#[test]
fn the_documented_table_is_the_table_of_the_code() {
    let mut table = String::from("| the result has | chart |\n|---|---|\n");
    for (when, kind) in rules() {
        writeln!(table, "| {when} | {} |", kind.phrase()).unwrap();
    }
    let document = include_str!("../../../../docs/charts.md");
    assert!(document.contains(&table), "docs/charts.md has to contain\n{table}");
    for kind in ChartKind::ALL {
        assert!(document.contains(&format!("| `{}` |", kind.name())), "docs/charts.md has to describe `{kind}`");
    }
}

#[test]
fn every_rule_has_a_result_that_it_decides() {
    assert_eq!(chosen(&["alerts bigint"], &[&["5"]]), "a number, because the result has one row");
    assert_eq!(
        chosen(&["dow integer", "hour integer", "n bigint"], &[&["1", "0", "5"], &["1", "1", "6"]]),
        "a heat map, because `dow` is a weekday and `hour` an hour"
    );
    assert_eq!(
        chosen(&["day date", "n bigint"], &[&["2026-01-01", "5"], &["2026-01-02", "6"]]),
        "a line, because `day` is time"
    );
    assert_eq!(
        chosen(&["year integer", "n bigint"], &[&["2025", "5"], &["2026", "6"]]),
        "a line, because `year` is time"
    );
    assert_eq!(
        chosen(&["day date", "n bigint"], &[&["2026-01-01", "5"], &["2026-01-01", "6"]]),
        "points, because `day` is time and has several values at once"
    );
    let one_day: &[&[&str]] = &[&["2026-01-01", "DE", "5"], &["2026-01-01", "AT", "6"]];
    assert_eq!(
        chosen(&["day date", "country text", "n bigint"], one_day),
        "bars, because all rows have one `day`, and `country` is a category"
    );
    let days: &[&[&str]] = &[&["2026-01-01", "DE", "5"], &["2026-01-02", "DE", "6"], &["2026-01-02", "AT", "6"]];
    assert_eq!(chosen(&["day date", "country text", "n bigint"], days), "a line, because `day` is time");
    assert_eq!(
        chosen(&["country text", "n bigint"], &[&["DE", "5"], &["AT", "6"]]),
        "bars, because `country` is a category"
    );
    assert_eq!(
        chosen(&["customer_id bigint", "n bigint"], &[&["7", "5"], &["8", "6"]]),
        "bars, because `customer_id` is a category"
    );
    let pairs: &[&[&str]] = &[&["DE", "web", "5"], &["DE", "shop", "6"], &["AT", "web", "1"]];
    assert_eq!(
        chosen(&["country text", "channel text", "n bigint"], pairs),
        "stacked bars, because `country` and `channel` are categories, and the parts make a whole"
    );
    assert_eq!(chosen(&["a real", "b real"], &[&["1", "5"], &["2", "6"]]), "points, because `a` and `b` are numbers");
}

#[test]
fn a_table_says_why_nothing_else_fits() {
    assert_eq!(chosen(&["note text"], &[&["a"], &["b"]]), "a table, because no column has numbers");
    assert_eq!(
        chosen(&["n bigint"], &[&["1"], &["2"]]),
        "a table, because `n` has no time, label or second number next to it"
    );
    assert_eq!(
        chosen(&["country text", "n bigint"], &[&["DE", "1"], &["DE", "2"]]),
        "a table, because labels of `country` repeat"
    );
    let minus: &[&[&str]] = &[&["DE", "web", "5"], &["DE", "shop", "-6"]];
    assert_eq!(
        chosen(&["country text", "channel text", "n bigint"], minus),
        "a table, because `n` does not add up to a whole"
    );
    assert_eq!(
        chosen(&["day date", "c text", "n bigint"], &[&["2026-01-01", "DE", "5"], &["2026-01-01", "DE", "5"]]),
        "a table, because a `day` comes several times with the same `c`"
    );
}

#[test]
fn a_requested_kind_that_does_not_fit_says_what_it_needs() {
    let by_country = data(&["country text", "n bigint"], &[&["DE", "5"], &["AT", "6"]]);
    let needs = |kind| choose_kind(&by_country, kind).unwrap_err().to_string();
    assert_eq!(needs(ChartKind::Line), "a line needs a column of time: a date, a timestamp or a year");
    assert_eq!(needs(ChartKind::Number), "a number needs a result of one row: this one has 2");
    assert_eq!(needs(ChartKind::Scatter), "points need two columns of numbers, or one of time and one of numbers");
    assert_eq!(needs(ChartKind::HeatMap), "a heat map needs a timestamp, or columns named `weekday` and `hour`");
    assert_eq!(
        needs(ChartKind::StackedBars),
        "stacked bars need two columns of labels, or one and several columns of numbers"
    );
    let repeated = data(&["country text", "n bigint"], &[&["DE", "5"], &["DE", "6"]]);
    assert_eq!(
        choose_kind(&repeated, ChartKind::Bars).unwrap_err().to_string(),
        "bars need each label once: `DE` comes 2 times in `country`"
    );
    let choice = choose_kind(&by_country, ChartKind::Table).unwrap();
    assert_eq!(choice.because, "it was requested");
    assert_eq!(choice.alternatives[0], (ChartKind::Bars, "`country` is a category".to_owned()));
}

#[test]
fn alternatives_are_the_other_kinds_that_fit() {
    let by_hour = data(
        &["at timestamp with time zone", "n bigint"],
        &[&["2026-01-01T00:00:00Z", "5"], &["2026-01-01T01:00:00Z", "6"]],
    );
    let kinds: Vec<_> = choose(&by_hour).alternatives.into_iter().map(|(kind, _)| kind.name()).collect();
    assert_eq!(kinds, ["area", "bars", "scatter", "heat_map", "table"]);
}
