//! Lines, areas, points.

use metricd_chart::{Annotation, Cell, ChartKind, Comparison, Locale, Shift};
use metricd_domain::TimeZone;

use super::support::{Case, DAY, HOUR, NEW_YEAR, columns, noise, push, text};

/// Revenue by day, lower on weekends.
fn revenue(index: i64) -> i64 {
    let weekend = (index + 3) % 7 >= 5;
    8_200 + index * 35 + noise(index) * 3 - if weekend { 3_400 } else { 0 }
}

fn daily(days: impl Iterator<Item = i64>) -> metricd_chart::ChartData {
    let mut data = columns(&["day date", "revenue numeric EUR"]);
    for day in days {
        push(&mut data, vec![Cell::Time(NEW_YEAR + day * DAY), Cell::of_integer(revenue(day))]);
    }
    data
}

fn by_country(months: i64, countries: &[&str]) -> metricd_chart::ChartData {
    let mut data = columns(&["month date", "country text", "orders bigint"]);
    for month in 0..months {
        for (index, country) in (0_i64..).zip(countries) {
            let level = 4_200 - index * 250 + month * (60 - index * 5);
            let (year, of_year) = (2025 + month / 12, month % 12 + 1);
            let day = format!("{year}-{of_year:02}-01");
            let value = (level + noise(month * 31 + index) / 3).to_string();
            data.push_texts(&[Some(&day), Some(country), Some(&value)]).unwrap();
        }
    }
    data
}

fn berlin() -> TimeZone {
    TimeZone::parse("Europe/Berlin").unwrap()
}

fn note(from: i64, to: Option<i64>, text: &str) -> Annotation {
    Annotation { from, to, text: text.to_owned() }
}

pub fn cases() -> Vec<Case> {
    let countries = ["Germany", "Austria", "Switzerland", "Netherlands", "France", "Italy", "Spain", "Poland"];
    let many: Vec<String> = (1..=14).map(|index| format!("Warehouse {index}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut cases = vec![
        with_gaps(),
        Case::new("line-several", by_country(18, &countries[..4])).titled("Orders by country"),
        Case::new("line-narrow", by_country(18, &countries[..5]))
            .titled("Orders by country")
            .with(|options| options.width = 320),
        Case::new("line-multiples", by_country(18, &many)).titled("Orders by warehouse"),
        units(),
        until_now(),
        summer_time(),
        ten_thousand(),
        Case::new("line-cut", daily(0..60)).titled("Revenue by day").with(|options| {
            options.is_truncated = true;
            options.annotations = vec![
                note(NEW_YEAR + 9 * DAY, None, "New prices"),
                note(NEW_YEAR + 12 * DAY, Some(NEW_YEAR + 18 * DAY), "Warehouse closed"),
                note(NEW_YEAR + 14 * DAY, None, "Flu"),
                note(NEW_YEAR + 55 * DAY, None, "A campaign with a name that is quite long"),
            ];
        }),
        Case::new("area", daily(0..90)).kind(ChartKind::Area).titled("Revenue by day").with(|options| {
            options.locale = Locale::of("de").unwrap();
        }),
        Case::new("area-stacked", by_country(18, &countries[..5])).kind(ChartKind::Area).titled("Orders by country"),
        Case::new("bars-daily", daily(0..45)).kind(ChartKind::Bars).titled("Revenue by day").with(|options| {
            options.until = Some(NEW_YEAR + 44 * DAY + 14 * HOUR + 5 * 60_000_000);
        }),
        Case::new("stacked-monthly", by_country(18, &countries[..5]))
            .kind(ChartKind::StackedBars)
            .titled("Orders by country"),
    ];
    cases.extend(points());
    cases
}

/// Missing days, a NULL, a point between two gaps, an annotation.
fn with_gaps() -> Case {
    let mut data = columns(&["day date", "revenue numeric EUR"]);
    for day in (0..75).filter(|day| !matches!(day, 20..=23 | 25..=27 | 50)) {
        let value = if day == 60 { Cell::Null } else { Cell::of_integer(revenue(day)) };
        push(&mut data, vec![Cell::Time(NEW_YEAR + day * DAY), value]);
    }
    Case::new("line-gaps", data).titled("Revenue by day").with(|options| {
        options.description = Some(
            "Net of tax and returns, all shops. Days without a value are days without a delivery of data.".to_owned(),
        );
        options.annotations = vec![note(NEW_YEAR + 40 * DAY, None, "New prices")];
    })
}

/// Columns that share no axis.
fn units() -> Case {
    let mut data =
        columns(&["week date", "orders bigint", "returns bigint", "revenue numeric EUR", "share_paid numeric %"]);
    for week in 0..26 {
        let value = |factor: i64, base: i64| Cell::of_integer(base + noise(week * 7 + factor) * factor / 10);
        let percent = 91 + noise(week) / 200;
        push(
            &mut data,
            vec![
                Cell::Time(NEW_YEAR + (4 + week * 7) * DAY),
                value(9, 1_900),
                value(2, 310),
                value(8_000, 1_400_000),
                Cell::of_integer(percent),
            ],
        );
    }
    Case::new("line-units", data).titled("Sales by week")
}

/// The last period is incomplete, and compared with the one before.
fn until_now() -> Case {
    let (mut data, mut previous) = (columns(&["day tz", "visits bigint"]), columns(&["day tz", "visits bigint"]));
    let march = NEW_YEAR + 59 * DAY - HOUR;
    for day in 0..14 {
        let visits = if day == 13 { 310 } else { 900 + noise(day) / 2 };
        push(&mut data, vec![Cell::Time(march + day * DAY), Cell::of_integer(visits)]);
        push(&mut previous, vec![Cell::Time(march + (day - 14) * DAY), Cell::of_integer(840 + noise(day + 90) / 3)]);
    }
    Case::new("line-until", data).titled("Visits by day").with(|options| {
        options.time_zone = berlin();
        options.until = Some(march + 13 * DAY + 9 * HOUR + 5 * 60_000_000);
        options.comparison =
            Some(Comparison { label: "previous 14 days".into(), data: previous, shift: Shift { months: 0, days: 14 } });
    })
}

/// Hours of the day on which clocks are put forward.
fn summer_time() -> Case {
    let mut data = columns(&["hour tz", "load numeric kW"]);
    let start = NEW_YEAR + 87 * DAY - HOUR;
    for hour in 0..30 {
        push(
            &mut data,
            vec![Cell::Time(start + hour * HOUR), Cell::of_integer(40 + noise(hour) / 40 + (hour - 12).pow(2) / 10)],
        );
    }
    Case::new("line-summer-time", data).titled("Load by hour").with(|options| options.time_zone = berlin())
}

fn ten_thousand() -> Case {
    let mut data = columns(&["minute ts", "latency numeric ms"]);
    for minute in 0..10_000 {
        let spike = if minute == 7_321 { 900 } else { 0 };
        push(
            &mut data,
            vec![Cell::Time(NEW_YEAR + minute * 60_000_000), Cell::of_integer(120 + noise(minute) / 8 + spike)],
        );
    }
    Case::new("line-10000", data).titled("Latency by minute")
}

fn points() -> Vec<Case> {
    let mut sizes = columns(&["weight numeric kg", "price numeric EUR", "class text"]);
    for index in 0..240 {
        let class = ["Pumps", "Valves", "Filters"][usize::try_from(index % 3).unwrap()];
        let weight = 2 + noise(index) / 14 + (index % 3) * 9;
        let price = weight * (9 - (index % 3) * 2) + noise(index + 500) / 5;
        push(&mut sizes, vec![Cell::of_integer(weight), Cell::of_integer(price), text(class)]);
    }
    let mut events = columns(&["at tz", "amount numeric EUR"]);
    for index in 0..400 {
        let at = NEW_YEAR + (index / 2) * 11 * HOUR / 2 + noise(index / 2) * 9_000_000;
        push(&mut events, vec![Cell::Time(at), Cell::of_integer(20 + noise(index) * noise(index + 7) / 2_000)]);
    }
    let mut load = columns(&["at tz", "requests bigint"]);
    for hour in 0..24 * 28_i64 {
        let (of_day, day) = (hour % 24, (hour / 24 + 3) % 7);
        let busy = 900 - (of_day - 13).pow(2) * 6;
        let value = if day >= 5 { busy / 3 } else { busy } + noise(hour) / 6;
        push(&mut load, vec![Cell::Time(NEW_YEAR + hour * HOUR), Cell::of_integer(value.max(4))]);
    }
    vec![
        Case::new("scatter", sizes).kind(ChartKind::Scatter).titled("Price by weight"),
        Case::new("scatter-time", events).titled("Payments"),
        Case::new("heat-map", load).kind(ChartKind::HeatMap).titled("Requests by weekday and hour"),
    ]
}
