//! Data that looks like that of a business, without randomness.

use metricd_chart::{Cell, ChartColumn, ChartData, ChartKind, ColumnType, Options, choose, choose_kind, draw};

/// 2026-01-01 in microseconds.
pub const NEW_YEAR: i64 = 1_767_225_600_000_000;
pub const HOUR: i64 = 3_600_000_000;
pub const DAY: i64 = 24 * HOUR;

#[derive(Clone)]
pub struct Case {
    pub name: &'static str,
    data: ChartData,
    kind: Option<ChartKind>,
    options: Options,
}

impl Case {
    pub fn new(name: &'static str, data: ChartData) -> Self {
        Self { name, data, kind: None, options: Options::default() }
    }

    pub fn kind(mut self, kind: ChartKind) -> Self {
        self.kind = Some(kind);
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    pub fn titled(self, title: &str) -> Self {
        self.with(|options| options.title = Some(title.to_owned()))
    }

    pub fn draw(&self) -> String {
        let choice = match self.kind {
            Some(kind) => choose_kind(&self.data, kind).unwrap(),
            None => choose(&self.data),
        };
        draw(&self.data, &choice, &self.options)
    }
}

/// Columns such as `revenue numeric EUR` and `level enum low|high`.
pub fn columns(texts: &[&str]) -> ChartData {
    let column = |text: &&str| {
        let mut parts = text.splitn(3, ' ');
        let (name, kind, rest) = (parts.next().unwrap(), parts.next().unwrap(), parts.next());
        let (type_name, labels) = match kind {
            "tz" => ("timestamp with time zone", None),
            "ts" => ("timestamp without time zone", None),
            "enum" => ("level", rest.map(|labels| labels.split('|').map(str::to_owned).collect::<Vec<_>>())),
            other => (other, None),
        };
        let mut column = ChartColumn::new(name, ColumnType::of_postgres(type_name, labels.as_deref()));
        column.label = Some(name.replace('_', " "));
        column.unit = rest.filter(|_| kind != "enum").map(str::to_owned);
        column
    };
    ChartData::new(texts.iter().map(column).collect())
}

pub fn push(data: &mut ChartData, row: Vec<Cell>) {
    data.push(row).unwrap();
}

pub fn texts(columns_of: &[&str], rows: &[&[&str]]) -> ChartData {
    let mut data = columns(columns_of);
    for row in rows {
        data.push_texts(&row.iter().map(|text| (*text != "-").then_some(*text)).collect::<Vec<_>>()).unwrap();
    }
    data
}

pub fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// The same numbers in each run: from 0 to 999.
pub fn noise(index: i64) -> i64 {
    let mixed = (index.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)) ^ (index << 7);
    ((mixed >> 33) ^ (mixed >> 11)).rem_euclid(1_000)
}
