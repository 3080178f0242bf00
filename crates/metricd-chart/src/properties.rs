//! What every drawing is, whatever is drawn.

use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::text::{Face, LARGE, MIDDLE, SMALL, SMALL_BOLD, TITLE, width};
use crate::{
    Annotation, Cell, ChartColumn, ChartData, ChartKind, ColumnType, Comparison, Locale, Options, Placement, Shift,
    Theme, choose, choose_kind, draw,
};

/// Checks that a document is well-formed XML whose marks and texts are inside its view box.
fn check(svg: &str) {
    let mut reader = Reader::from_str(svg);
    let (mut size, mut text, mut depth, mut content) = ([0.0, 0.0], None, 0_usize, String::new());
    loop {
        match reader.read_event().unwrap_or_else(|error| panic!("{error}: {svg}")) {
            Event::Eof => break,
            Event::Start(element) => {
                depth += 1;
                content.clear();
                text = inspect(&element, &mut size, svg);
            }
            Event::Empty(element) => drop(inspect(&element, &mut size, svg)),
            Event::End(_) => {
                depth -= 1;
                if let Some((x, anchor, face)) = text.take() {
                    inside(x, &anchor, width(&content, face), size[0], svg);
                }
            }
            Event::Text(part) => content.push_str(&part),
            Event::GeneralRef(reference) => content.push(match &*reference {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "#39" => '\'',
                other => panic!("{other}: {svg}"),
            }),
            _ => {}
        }
    }
    assert_eq!(depth, 0);
}

fn inside(x: f64, anchor: &str, width: f64, right: f64, svg: &str) {
    let start = match anchor {
        "middle" => x - width / 2.0,
        "end" => x - width,
        _ => x,
    };
    assert!(start >= -0.6 && start + width <= right + 0.6, "a text from {start} of {width}: {svg}");
}

/// Checks the coordinates of an element. For a text, returns where it is.
fn inspect(element: &BytesStart, size: &mut [f64; 2], svg: &str) -> Option<(f64, String, Face)> {
    let attribute = |name: &str| {
        let value = element.attributes().map(Result::unwrap).find(|attribute| attribute.key.as_ref() == name);
        value.map(|attribute| attribute.value.into_owned())
    };
    let number = |name: &str| {
        attribute(name).map_or(0.0, |value| value.parse::<f64>().unwrap_or_else(|_| panic!("{value}: {svg}")))
    };
    let point = |x: f64, y: f64, size: &[f64; 2]| {
        assert!(x.is_finite() && y.is_finite());
        assert!(
            (-0.6..=size[0] + 0.6).contains(&x) && (-0.6..=size[1] + 0.6).contains(&y),
            "{x},{y} is outside of {size:?}: {svg}"
        );
    };
    match element.name().as_ref() {
        "svg" => *size = [number("width"), number("height")],
        "rect" => {
            let (x, y, width, height) = (number("x"), number("y"), number("width"), number("height"));
            assert!(width >= 0.0 && height >= 0.0, "{svg}");
            point(x, y, size);
            point(x + width, y + height, size);
        }
        "line" => {
            point(number("x1"), number("y1"), size);
            point(number("x2"), number("y2"), size);
        }
        "circle" => point(number("cx"), number("cy"), size),
        "path" => {
            let outline = attribute("d").unwrap();
            for pair in outline.split(['M', 'L', 'Z', 'h']).filter(|pair| pair.contains(',')) {
                let (x, y) = pair.split_once(',').unwrap();
                point(x.parse().unwrap(), y.parse().unwrap(), size);
            }
        }
        "text" => {
            point(number("x"), number("y"), size);
            let class = attribute("class").unwrap();
            let has = |name: &str| class.split(' ').any(|one| one == name);
            let face = match (has("title"), has("large"), has("middle"), has("strong")) {
                (true, ..) => TITLE,
                (_, true, ..) => LARGE,
                (_, _, true, is_bold) => Face { is_bold, ..MIDDLE },
                (_, _, _, true) => SMALL_BOLD,
                _ => SMALL,
            };
            return Some((number("x"), attribute("text-anchor").unwrap_or_default(), face));
        }
        "title" | "desc" | "style" => {}
        other => panic!("{other}: {svg}"),
    }
    None
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-d]",
        2 => "item [0-9]{1,2}",
        1 => ".{0,40}",
        1 => Just("<script>&\"'\u{0}\u{202e}]]>\u{fffe}".to_owned()),
        1 => Just("x".repeat(10_000)),
        1 => Just("שלום 漢字 \u{1f469}\u{200d}\u{1f467}".to_owned()),
    ]
}

fn any_number() -> impl Strategy<Value = Cell> {
    prop_oneof![
        6 => (-50_i64..1_000).prop_map(Cell::of_integer),
        2 => (-1e6..1e6).prop_map(Cell::of_float),
        1 => any::<f64>().prop_map(Cell::of_float),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308, -1e308, f64::MAX, 5e-324, 0.0, -0.0])
            .prop_map(Cell::of_float),
        1 => Just(Cell::read(&ColumnType::Number, Some("123456789012345678901234567890.123456789"))),
        1 => Just(Cell::Null),
    ]
}

fn any_time() -> impl Strategy<Value = Cell> {
    const DAY: i64 = 86_400_000_000;
    prop_oneof![
        8 => (20_000_i64..20_200).prop_map(|day| Cell::Time(day * DAY)),
        2 => (0_i64..200_000).prop_map(|minute| Cell::Time(20_100 * DAY + minute * 60_000_000)),
        1 => any::<i64>().prop_map(Cell::Time),
        1 => prop::sample::select(vec![i64::MIN, i64::MAX, 0]).prop_map(Cell::Time),
        1 => Just(Cell::Text("infinity".to_owned())),
        1 => Just(Cell::Null),
    ]
}

fn any_column() -> impl Strategy<Value = (ChartColumn, BoxedStrategy<Cell>)> {
    let of = |column_type: ColumnType, cells: BoxedStrategy<Cell>| {
        let cells_of = cells;
        (any_text(), proptest::option::of(any_text())).prop_map(move |(name, unit)| {
            let mut column = ChartColumn::new(name, column_type.clone());
            column.unit = unit;
            (column, cells_of.clone())
        })
    };
    let labels = vec!["low".to_owned(), "high".to_owned()];
    prop_oneof![
        4 => of(ColumnType::Number, any_number().boxed()),
        2 => of(ColumnType::Date, any_time().boxed()),
        1 => of(ColumnType::Timestamp, any_time().boxed()),
        1 => of(ColumnType::Instant, any_time().boxed()),
        3 => of(ColumnType::Text, prop_oneof![9 => any_text().prop_map(Cell::Text), 1 => Just(Cell::Null)].boxed()),
        1 => of(ColumnType::Enum(labels), prop::sample::select(vec!["low", "high", "gone"]).prop_map(|label| Cell::Text(label.into())).boxed()),
        1 => of(ColumnType::Boolean, any::<bool>().prop_map(Cell::Boolean).boxed()),
        1 => of(ColumnType::Other, any_text().prop_map(Cell::Text).boxed()),
    ]
}

fn any_data() -> impl Strategy<Value = ChartData> {
    (prop::collection::vec(any_column(), 1..5), prop_oneof![3 => 0_usize..4, 4 => 4_usize..40]).prop_flat_map(
        |(columns, rows)| {
            let (columns, cells): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
            prop::collection::vec(cells, rows).prop_map(move |rows| {
                let mut data = ChartData::new(columns.clone());
                for row in rows {
                    data.push(row).unwrap();
                }
                data
            })
        },
    )
}

fn any_options() -> impl Strategy<Value = Options> {
    let texts = (proptest::option::of(any_text()), proptest::option::of(any_text()), any_text(), any_text());
    let times = (proptest::option::of(20_000_i64..20_210), proptest::option::of(20_000_i64..20_210), any::<bool>());
    let styles = (
        prop_oneof![Just(0_u32), 100_u32..400, 400_u32..1_200],
        any::<bool>(),
        prop::sample::select(vec!["de", "en-US", "fr", "x"]),
        any::<bool>(),
    );
    (texts, times, styles).prop_map(
        |((title, description, annotation, id), (from, until, is_long), (width, is_page, tag, is_truncated))| {
            let day = |day: i64| day * 86_400_000_000;
            Options {
                width,
                title,
                description,
                id,
                time_zone: metricd_domain::TimeZone::parse("America/Sao_Paulo").unwrap(),
                locale: Locale::of(tag).unwrap_or_default(),
                theme: if is_page { Theme::Auto } else { Theme::Dark },
                placement: if is_page { Placement::Page } else { Placement::Alone },
                is_truncated,
                annotations: from
                    .map(|from| Annotation { from: day(from), to: is_long.then(|| day(from + 9)), text: annotation })
                    .into_iter()
                    .collect(),
                until: until.map(day),
                weeks_begin_on_sunday: is_page,
                ..Options::default()
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_drawing_is_well_formed_and_inside_its_view_box(data in any_data(), options in any_options(), compares in any::<bool>()) {
        let mut options = options;
        if compares {
            let shift = Shift { months: 1, days: -3 };
            options.comparison = Some(Comparison { label: "before".into(), data: data.clone(), shift });
        }
        let choice = choose(&data);
        let svg = draw(&data, &choice, &options);
        check(&svg);
        prop_assert_eq!(svg, draw(&data, &choice, &options));
        for (kind, _) in choice.alternatives {
            check(&draw(&data, &choose_kind(&data, kind).unwrap(), &options));
        }
    }

    #[test]
    fn a_choice_for_other_data_is_drawn_too(data in any_data(), other in any_data()) {
        for kind in ChartKind::ALL {
            if let Ok(choice) = choose_kind(&other, kind) {
                check(&draw(&data, &choice, &Options::default()));
            }
        }
    }
}

#[test]
fn ten_thousand_rows_are_small_in_every_kind() {
    let mut data = ChartData::new(vec![
        ChartColumn::new("at", ColumnType::Timestamp),
        ChartColumn::new("name", ColumnType::Text),
        ChartColumn::new("n", ColumnType::Number),
    ]);
    for index in 0..10_000_i64 {
        let value = index.wrapping_mul(2_654_435_761).rem_euclid(9_973);
        let name = format!("name {}", index % 8);
        data.push(vec![Cell::Time(index * 61_000_000), Cell::Text(name), Cell::of_integer(value)]).unwrap();
    }
    for kind in ChartKind::ALL {
        if let Ok(choice) = choose_kind(&data, kind) {
            for width in [640, 4_000] {
                let options = Options { width, ..Options::default() };
                let svg = draw(&data, &choice, &options);
                check(&svg);
                assert!(svg.len() < 200_000, "{kind} of {width} px has {} bytes", svg.len());
            }
        }
    }
}
