//! Bars, tables, numbers.

use metricd_chart::{Cell, ChartKind, Comparison, Locale, Shift, Theme};

use super::support::{Case, columns, noise, push, text, texts};

fn suppliers(count: usize) -> metricd_chart::ChartData {
    let names = [
        "Hydraulics and seals",
        "Bearings",
        "Electronic control units for older machines",
        "Filters",
        "Fasteners",
        "Belts and chains",
        "Pumps",
        "Valves",
        "Lubricants",
        "Sensors",
        "Cables and connectors",
        "Motors",
        "Gear boxes",
        "Tools",
    ];
    let mut data = columns(&["category text", "cost_avoided numeric EUR"]);
    for index in 0..count {
        let name = names.get(index).map_or_else(|| format!("Category {index}"), |name| (*name).to_owned());
        let step = i64::try_from(index).unwrap();
        let value = 184_000 / (step + 2) + noise(step) * 5;
        push(
            &mut data,
            vec![
                text(&name),
                Cell::Number(metricd_chart::Number {
                    value: f64::from(i32::try_from(value).unwrap()),
                    text: format!("{value}.00"),
                }),
            ],
        );
    }
    data
}

fn stacks(regions: usize) -> metricd_chart::ChartData {
    let mut data = columns(&["region text", "channel text", "orders bigint"]);
    for region in 0..regions {
        for (index, channel) in ["Web", "Shop", "Phone"].iter().enumerate() {
            let step = i64::try_from(region * 3 + index).unwrap();
            let value =
                (900 - i64::try_from(region).unwrap() * 55) / (i64::try_from(index).unwrap() + 1) + noise(step) / 6;
            push(
                &mut data,
                vec![
                    text(&format!("Region {}", char::from(b'A' + u8::try_from(region).unwrap()))),
                    text(channel),
                    Cell::of_integer(value),
                ],
            );
        }
    }
    data
}

pub fn cases() -> Vec<Case> {
    let upright: &[&[&str]] =
        &[&["Web", "4120"], &["Shop", "2890"], &["Phone", "610"], &["Partner", "1480"], &["Fair", "95"]];
    let previous: &[&[&str]] =
        &[&["Web", "3700"], &["Shop", "3010"], &["Phone", "720"], &["Partner", "1100"], &["Fair", "140"]];
    let compared = |kind: &str| Comparison {
        label: format!("previous {kind}"),
        data: texts(&["channel text", "orders bigint"], previous),
        shift: Shift::default(),
    };
    let signs: &[&[&str]] = &[
        &["North", "120.5"],
        &["South", "-44.2"],
        &["East", "18.9"],
        &["West", "-103"],
        &["Centre", "61"],
        &["Islands", "-7.5"],
        &["Abroad", "-"],
        &["Online", "88.4"],
        &["Other", "NaN"],
    ];
    let levels: &[&[&str]] = &[&["high", "12"], &["low", "48"], &["critical", "3"], &["medium", "30"]];
    let people: &[&[&str]] = &[
        &["Germany", "1204", "83.2", "41.5"],
        &["France", "980", "68.1", "37.9"],
        &["Italy", "412", "58.9", "34.1"],
        &["Spain", "377", "48.6", "29.0"],
        &["Poland", "251", "36.8", "22.4"],
        &["Netherlands", "201", "17.9", "52.0"],
        &["Belgium", "160", "11.8", "48.3"],
        &["Sweden", "98", "10.6", "51.1"],
    ];
    vec![
        Case::new("bars-upright", texts(&["channel text", "orders bigint"], upright)).titled("Orders by channel"),
        Case::new("bars-upright-compared", texts(&["channel text", "orders bigint"], upright))
            .titled("Orders by channel")
            .with(|options| options.comparison = Some(compared("month"))),
        Case::new("bars-horizontal", suppliers(14)).titled("Cost of obsolescence that was avoided").with(|options| {
            options.description = Some("By category, 2026".to_owned());
        }),
        Case::new("bars-others", suppliers(73)).titled("Cost by category").with(|options| options.is_truncated = true),
        Case::new("bars-signs", texts(&["region text", "margin numeric %"], signs)).titled("Margin by region"),
        Case::new("bars-enum", texts(&["priority enum low|medium|high|critical", "alerts bigint"], levels))
            .titled("Alerts by priority"),
        Case::new(
            "bars-columns",
            texts(&["country text", "orders bigint", "population numeric M", "income numeric kEUR"], people),
        )
        .titled("Markets"),
        Case::new("stacked-labels", stacks(12)).titled("Orders by region and channel"),
        Case::new("stacked-few", stacks(4))
            .titled("Orders by region and channel")
            .with(|options| options.theme = Theme::Dark),
        mixed_signs(),
        many_parts(),
        weekdays(),
        table(),
        Case::new("number", texts(&["open_alerts bigint"], &[&["1284"]])),
        Case::new(
            "number-compared",
            texts(
                &["revenue numeric EUR", "orders bigint", "share_paid numeric %"],
                &[&["1284310.55", "4120", "91.25"]],
            ),
        )
        .titled("Last week")
        .with(|options| {
            options.locale = Locale::of("en").unwrap();
            options.comparison = Some(Comparison {
                label: "previous week".into(),
                data: texts(
                    &["revenue numeric EUR", "orders bigint", "share_paid numeric %"],
                    &[&["1190000.10", "4377", "91.25"]],
                ),
                shift: Shift::default(),
            });
        }),
    ]
}

fn mixed_signs() -> Case {
    let mut data = columns(&["month date", "kind text", "cash numeric kEUR"]);
    for month in 1..=9_i64 {
        for (index, kind) in ["Income", "Wages", "Material"].iter().enumerate() {
            let value = [140, -60, -45][index] + noise(month * 3) / 20 * if index == 0 { 1 } else { -1 };
            data.push_texts(&[Some(&format!("2026-0{month}-01")), Some(kind), Some(&value.to_string())]).unwrap();
        }
    }
    Case::new("stacked-signs", data).kind(ChartKind::StackedBars).titled("Cash flow")
}

fn many_parts() -> Case {
    let mut data = columns(&["quarter date", "supplier text", "orders bigint"]);
    for quarter in 0..4_i64 {
        for supplier in 0..13_i64 {
            let value = 400 / (supplier + 1) + noise(quarter * 13 + supplier) / 20;
            data.push_texts(&[
                Some(&format!("2026-{:02}-01", quarter * 3 + 1)),
                Some(&format!("Supplier {}", supplier + 1)),
                Some(&value.to_string()),
            ])
            .unwrap();
        }
    }
    Case::new("stacked-others", data).kind(ChartKind::StackedBars).titled("Orders by supplier")
}

fn weekdays() -> Case {
    let mut data = columns(&["dow integer", "hour integer", "tickets bigint"]);
    for day in 1..6_i64 {
        for hour in 7..19_i64 {
            push(
                &mut data,
                vec![
                    Cell::of_integer(day),
                    Cell::of_integer(hour),
                    Cell::of_integer(30 - (hour - 11).abs() * 3 + noise(day * 24 + hour) / 90),
                ],
            );
        }
    }
    Case::new("heat-map-sparse", data).titled("Tickets by weekday and hour").with(|options| options.width = 480)
}

fn table() -> Case {
    let mut data = columns(&[
        "order_id bigint",
        "placed tz",
        "customer text",
        "amount numeric EUR",
        "is_paid boolean",
        "note text",
    ]);
    for row in 0..27_i64 {
        let at = super::support::NEW_YEAR + row * 7_400_000_000;
        let customer = ["Maier GmbH", "Schmidt & Söhne", "O'Neill Ltd", "山田商事", "مؤسسة النور"]
            [usize::try_from(row % 5).unwrap()];
        let amount = format!("{}.{:02}", 20 + noise(row) * 3, noise(row + 3) / 10);
        let paid = if row % 4 == 1 { Cell::Null } else { Cell::Boolean(row % 3 != 0) };
        let note = if row % 6 == 0 {
            text("Deliver to the back entrance, and call before you come: the gate is locked")
        } else {
            Cell::Null
        };
        let amount = Cell::Number(metricd_chart::Number { value: amount.parse().unwrap(), text: amount });
        push(&mut data, vec![Cell::of_integer(10_001 + row), Cell::Time(at), text(customer), amount, paid, note]);
    }
    Case::new("table", data).titled("Orders").with(|options| options.width = 800)
}
