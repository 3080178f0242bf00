//! Empty, extreme and hostile results.

use metricd_chart::{Annotation, Cell, Placement, Theme};

use super::support::{Case, DAY, NEW_YEAR, columns, push, texts};

pub fn cases() -> Vec<Case> {
    let hostile =
        "<script>alert(1)</script> & \"quoted\" javascript:alert(1) \u{202e}desrever\u{202c} \0\u{1b}[31m \u{feff}";
    let mut attacked = columns(&["label text", "n bigint"]);
    attacked.columns_mut()[1].label = Some(format!("]]>{hostile}"));
    attacked.columns_mut()[1].unit = Some("</text><a href='javascript:1'>".to_owned());
    for (label, value) in [
        (hostile.to_owned(), 5),
        ("x".repeat(10_000), 4),
        ("e\u{301}\u{301}\u{301}\u{301}\u{301}".repeat(9), 3),
        (String::new(), 2),
        ("\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467} family".to_owned(), 1),
    ] {
        push(&mut attacked, vec![Cell::Text(label), Cell::of_integer(value)]);
    }
    let extremes: &[&[&str]] = &[
        &["largest", "1.7976931348623157e308"],
        &["negative", "-1e308"],
        &["small", "5e-324"],
        &["exact", "12345678901234567890.12"],
        &["zero", "0"],
        &["infinite", "Infinity"],
        &["not a number", "NaN"],
        &["null", "-"],
    ];
    let ancient: &[&[&str]] =
        &[&["0044-03-15 BC", "23"], &["0476-09-04", "1"], &["1453-05-29", "9"], &["12026-01-01", "30"]];
    let hebrew: &[&[&str]] = &[&["תל אביב", "412"], &["ירושלים", "380"], &["حيفا", "266"], &["באר שבע", "120"]];
    let once: &[&[&str]] = &[&["2026-03-03", "a", "5"], &["2026-03-04", "b", "7"]];
    vec![
        Case::new("empty", columns(&["day date", "alerts bigint"])).titled("Alerts by day").with(|options| {
            options.empty = Some(
                "No alerts from 1 to 30 June 2026 in Germany. The last ones before are of 28 May 2026.".to_owned(),
            );
        }),
        Case::new("all-null", texts(&["day date", "alerts bigint"], &[&["2026-01-01", "-"], &["2026-01-02", "-"]]))
            .titled("Alerts by day"),
        Case::new(
            "all-equal",
            texts(&["day date", "alerts bigint"], &[&["2026-01-01", "7"], &["2026-01-02", "7"], &["2026-01-03", "7"]]),
        )
        .titled("Alerts by day"),
        Case::new("hostile", attacked).titled(hostile).with(|options| {
            options.id = "\"><script>".to_owned();
            options.description = Some(hostile.repeat(40));
            options.annotations = vec![Annotation { from: NEW_YEAR, to: None, text: hostile.to_owned() }];
        }),
        Case::new("extreme-numbers", texts(&["name text", "value numeric"], extremes)).titled("Extreme numbers"),
        Case::new("extreme-years", texts(&["day date", "battles bigint"], ancient)).titled("Battles"),
        Case::new("right-to-left", texts(&["עיר text", "הזמנות bigint"], hebrew))
            .titled("הזמנות לפי עיר, 2026")
            .with(|options| options.theme = Theme::Light),
        Case::new("single-points", texts(&["day date", "kind text", "n bigint"], once)).titled("One value each").with(
            |options| {
                options.placement = Placement::Page;
                options.id = "tile-7".to_owned();
            },
        ),
        smallest(),
    ]
}

/// The narrowest drawing, of a title of 500 characters.
fn smallest() -> Case {
    let mut data = columns(&["day date", "a_rather_long_name_of_a_column bigint a_unit_that_is_longer_than_most"]);
    for day in 0..400 {
        push(&mut data, vec![Cell::Time(NEW_YEAR + day * DAY), Cell::of_integer(day % 90 * 1_000_003)]);
    }
    Case::new("narrowest", data).titled(&"Long title ".repeat(45)).with(|options| options.width = 160)
}
