use crate::choose::tests::data;
use crate::{Annotation, Cell, ChartData, ChartKind, Comparison, Options, Shift, Theme, choose, choose_kind, draw};

const DAY: i64 = 86_400_000_000;

fn drawn(data: &ChartData) -> String {
    draw(data, &choose(data), &Options::default())
}

/// Data of days from 1970-01-01 on; none is NULL, and a day without an entry is missing.
fn days(values: &[(i64, Option<i64>)]) -> ChartData {
    let mut data = data(&["day date", "n bigint"], &[]);
    for (day, value) in values {
        data.push(vec![Cell::Time(day * DAY), value.map_or(Cell::Null, Cell::of_integer)]).unwrap();
    }
    data
}

/// The elements of a class.
fn elements<'s>(svg: &'s str, element: &str, class: &str) -> Vec<&'s str> {
    let start = format!("<{element} class=\"{class}\"");
    svg.lines().filter(|line| line.starts_with(&start)).collect()
}

fn number(element: &str, name: &str) -> f64 {
    let start = element.find(&format!(" {name}=\"")).unwrap() + name.len() + 3;
    element[start..].split('"').next().unwrap().parse().unwrap()
}

#[test]
fn bars_begin_at_zero() {
    for (rows, length) in [(3, "height"), (9, "width")] {
        let mut bars = data(&["name text", "n bigint"], &[]);
        for index in 0..rows {
            bars.push(vec![Cell::Text(format!("name {index}")), Cell::of_integer(1_000 - index * 10)]).unwrap();
        }
        let svg = drawn(&bars);
        let lengths: Vec<_> = elements(&svg, "rect", "s0").iter().map(|bar| number(bar, length)).collect();
        assert_eq!(lengths.len(), usize::try_from(rows).unwrap());
        let ratio = lengths[1] / lengths[0];
        assert!((ratio - 0.99).abs() < 0.002, "990 is 0.99 of 1 000, not {ratio}");
    }
}

#[test]
fn upright_bars_become_horizontal_from_eight_labels_on_or_for_long_ones() {
    let bars = |count: usize, name: &str| {
        let mut bars = data(&["name text", "n bigint"], &[]);
        for index in 0..count {
            bars.push(vec![Cell::Text(format!("{name}{index}")), Cell::of_integer(5)]).unwrap();
        }
        let svg = drawn(&bars);
        number(elements(&svg, "rect", "s0")[0], "height")
    };
    assert!(bars(7, "a") > 100.0);
    assert!((bars(8, "a") - 14.0).abs() < 0.1);
    assert!((bars(7, "a label that fits into no slot ") - 14.0).abs() < 0.1);
}

#[test]
fn a_line_breaks_where_days_are_missing_and_where_values_are_null() {
    let svg = drawn(&days(&[
        (0, Some(1)),
        (1, Some(2)),
        (2, Some(3)),
        (5, Some(4)),
        (6, Some(5)),
        (7, None),
        (8, Some(7)),
        (9, Some(8)),
    ]));
    let line = elements(&svg, "path", "l l0")[0];
    assert_eq!(line.matches('M').count(), 3, "{line}");
    assert!(svg.contains("There are 2 gaps.") && svg.contains("1 value is NULL."), "{svg}");
}

#[test]
fn a_single_point_between_gaps_is_a_dot() {
    let svg =
        drawn(&days(&[(0, Some(1)), (1, Some(2)), (2, None), (3, Some(3)), (4, None), (5, Some(4)), (6, Some(5))]));
    let dots = elements(&svg, "path", "dots l0");
    assert_eq!(dots.len(), 1);
    assert_eq!(dots[0].matches("h0").count(), 1);
}

#[test]
fn times_are_sorted_and_may_repeat() {
    let sorted = drawn(&days(&[(0, Some(1)), (1, Some(2)), (2, Some(3))]));
    assert_eq!(drawn(&days(&[(2, Some(3)), (0, Some(1)), (1, Some(2))])), sorted);
    let repeated = days(&[(0, Some(1)), (0, Some(9)), (1, Some(2))]);
    let svg = draw(&repeated, &choose_kind(&repeated, ChartKind::Line).unwrap(), &Options::default());
    assert_eq!(elements(&svg, "path", "l l0")[0].matches('L').count(), 2, "a vertical part");
}

#[test]
fn others_are_named_and_counted() {
    let mut bars = data(&["name text", "n bigint"], &[]);
    for index in 0..40 {
        bars.push(vec![Cell::Text(format!("name {index}")), Cell::of_integer(1_000 - index)]).unwrap();
    }
    assert!(drawn(&bars).contains("10 others are not drawn, all smaller: name 30, name 31"));
    let mut parts = data(&["place text", "part text", "n bigint"], &[]);
    for index in 0..10 {
        for place in 'a'..='l' {
            parts
                .push(vec![
                    Cell::Text(place.to_string()),
                    Cell::Text(format!("part {index}")),
                    Cell::of_integer(50 - index),
                ])
                .unwrap();
        }
    }
    let stacks = choose_kind(&parts, ChartKind::StackedBars).unwrap();
    let svg = draw(&parts, &stacks, &Options::default());
    assert!(svg.contains("3 others are drawn as their sum: part 7, part 8 and part 9."), "{svg}");
    let mut lines = data(&["day date", "name text", "n bigint"], &[]);
    for name in 0..26 {
        for day in 0..4 {
            lines
                .push(vec![Cell::Time(day * DAY), Cell::Text(format!("name {name}")), Cell::of_integer(100 - name)])
                .unwrap();
        }
    }
    let svg = drawn(&lines);
    assert!(svg.contains("2 others are not drawn: name 24 and name 25."), "{svg}");
    assert_eq!(elements(&svg, "text", "ink strong").len(), 24, "small multiples");
}

#[test]
fn columns_and_values_that_are_not_drawn_are_noted() {
    let both = data(
        &["day date", "n numeric", "note jsonb"],
        &[&["2026-01-01", "NaN", "{}"], &["2026-01-02", "1", "{}"], &["infinity", "2", "{}"]],
    );
    let svg = drawn(&both);
    for note in
        ["1 value is no finite number and is not drawn.", "1 row has no time and is not drawn.", "Not drawn: note."]
    {
        assert!(svg.contains(note), "{note}: {svg}");
    }
}

#[test]
fn a_cut_result_has_an_edge_at_the_end_where_rows_are_missing() {
    let options = Options { is_truncated: true, ..Options::default() };
    let edge = |data: &ChartData| {
        let svg = draw(data, &choose(data), &options);
        assert!(svg.contains(">first 3 of more</text>") && svg.contains("The result has only the first 3 of more."));
        number(elements(&svg, "line", "edge")[0], "x1")
    };
    assert!(edge(&days(&[(0, Some(1)), (1, Some(2)), (2, Some(3))])) > 500.0);
    assert!(edge(&days(&[(2, Some(1)), (1, Some(2)), (0, Some(3))])) < 100.0, "the latest rows come first");
}

#[test]
fn the_last_period_is_dashed_until_it_is_complete() {
    let values = days(&[(0, Some(1)), (1, Some(2)), (2, Some(3))]);
    let dashed = |until: i64| {
        let svg = draw(&values, &choose(&values), &Options { until: Some(until), ..Options::default() });
        (elements(&svg, "path", "l l0 dash").len(), svg)
    };
    let (count, svg) = dashed(2 * DAY + 14 * DAY / 24 + DAY / 24 / 12);
    assert!(count == 1 && svg.contains(">until 14:05</text>"), "{svg}");
    assert_eq!(dashed(DAY).0, 0, "the last period is later");
}

#[test]
fn a_comparison_is_drawn_where_the_period_is() {
    let this = days(&[(365, Some(5)), (366, Some(6)), (367, Some(7))]);
    let before = days(&[(0, Some(3)), (1, Some(4)), (2, Some(5))]);
    let comparison = Comparison { label: "year before".into(), data: before, shift: Shift { months: 12, days: 0 } };
    let svg = draw(&this, &choose(&this), &Options { comparison: Some(comparison), ..Options::default() });
    let line = elements(&svg, "path", "l lm thin")[0];
    assert_eq!(line.matches(',').count(), 3, "{line}");
    assert!(svg.contains(">year before</text>"));
}

#[test]
fn labels_are_at_the_ends_of_lines_unless_there_is_no_space() {
    let mut lines = data(&["day date", "name text", "n bigint"], &[]);
    for name in ["north", "south"] {
        for day in 0..4 {
            lines.push(vec![Cell::Time(day * DAY), Cell::Text(name.into()), Cell::of_integer(day)]).unwrap();
        }
    }
    let leads = |width| {
        let svg = draw(&lines, &choose(&lines), &Options { width, ..Options::default() });
        assert!(svg.contains(">north</text>"));
        svg.matches("class=\"lead").count()
    };
    assert_eq!((leads(640), leads(320)), (2, 0));
}

#[test]
fn instants_are_in_the_zone_whose_name_is_shown() {
    let hours = data(
        &["at timestamp with time zone", "n bigint"],
        &[&["2026-07-01T00:00:00Z", "1"], &["2026-07-01T01:00:00Z", "2"]],
    );
    let shown = |zone: &str| {
        let options = Options { time_zone: metricd_domain::TimeZone::parse(zone).unwrap(), ..Options::default() };
        draw(&hours, &choose(&hours), &options)
    };
    let svg = shown("Asia/Tokyo");
    assert!(
        svg.contains("from 1 Jul 2026, 09:00 to 1 Jul 2026, 10:00") && svg.contains("Times are in Asia/Tokyo."),
        "{svg}"
    );
    assert!(shown("Mars/Base").contains("Times are in UTC: the rules of Mars/Base are not known."));
}

#[test]
fn several_drawings_of_a_page_share_no_id_and_no_style_but_the_same() {
    let values = days(&[(0, Some(1)), (1, Some(2))]);
    let with =
        |id: &str, theme| draw(&values, &choose(&values), &Options { id: id.into(), theme, ..Options::default() });
    let (one, other) = (with("a", Theme::Light), with("b", Theme::Light));
    assert!(one.contains("id=\"a-title\"") && one.contains("id=\"a-desc\"") && other.contains("id=\"b-title\""));
    assert_eq!(one.matches(" id=").count(), 2);
    assert!(with("\"><script>", Theme::Light).contains("id=\"script-title\""));
    assert!(with("", Theme::Light).contains("id=\"chart-title\""));
    assert!(!one.contains("@media") && with("a", Theme::Auto).contains("@media"));
}

#[test]
fn texts_from_users_are_only_texts() {
    let hostile = "</title></desc></style><script>alert(1)</script><a href='javascript:1' onload=x>";
    let mut values = data(&["name text", "n bigint"], &[&[hostile, "1"], &["b", "2"]]);
    values.columns_mut()[1].unit = Some(hostile.into());
    values.columns_mut()[1].label = Some(hostile.into());
    let options = Options {
        title: Some(hostile.into()),
        description: Some(hostile.into()),
        empty: Some(hostile.into()),
        annotations: vec![Annotation { from: 0, to: None, text: hostile.into() }],
        ..Options::default()
    };
    for kind in [ChartKind::Bars, ChartKind::Table] {
        let svg = draw(&values, &choose_kind(&values, kind).unwrap(), &options);
        for tag in ["<script", "<a ", "<a>", "href='"] {
            assert!(!svg.contains(tag), "{tag}: {svg}");
        }
        assert!(svg.contains("&lt;script&gt;"));
    }
}

#[test]
fn an_empty_result_says_what_the_caller_knows() {
    let nothing = days(&[]);
    assert!(drawn(&nothing).contains(">No rows.</text>"));
    let options = Options { empty: Some("No alerts in June.".into()), ..Options::default() };
    assert!(draw(&nothing, &choose(&nothing), &options).contains(">No alerts in June.</text>"));
    assert!(drawn(&days(&[(0, None), (1, None)])).contains("No values: all are NULL"));
}

#[test]
fn a_number_says_how_it_changed() {
    let (now, before) = (data(&["n numeric"], &[&["110"]]), data(&["n numeric"], &[&["100"]]));
    let of = |before: ChartData| {
        let comparison = Comparison { label: "previous week".into(), data: before, shift: Shift::default() };
        draw(&now, &choose(&now), &Options { comparison: Some(comparison), ..Options::default() })
    };
    assert!(of(before).contains("n: 110, +10 (+10\u{202f}%) previous week: 100."));
    assert!(of(data(&["n numeric"], &[&["0"]])).contains("n: 110, +110 previous week: 0."), "no share of zero");
    assert!(of(data(&["n numeric"], &[])).contains("previous week: no value"));
    assert!(of(now.clone()).contains("unchanged"));
}

#[test]
fn weekdays_are_those_of_postgresql() {
    let cell = |name: &str, day: &str| {
        let heat =
            data(&[&format!("{name} integer"), "hour integer", "n bigint"], &[&[day, "9", "5"], &[day, "10", "6"]]);
        let svg = drawn(&heat);
        let start = svg.find("<title>").map(|_| svg.rfind(" 09:00: 5</title>").unwrap()).unwrap();
        svg[..start].rsplit('>').next().unwrap().to_owned()
    };
    assert_eq!(
        (cell("dow", "0"), cell("dow", "1"), cell("isodow", "1"), cell("isodow", "7")),
        ("Sun".into(), "Mon".into(), "Mon".into(), "Sun".into())
    );
}
