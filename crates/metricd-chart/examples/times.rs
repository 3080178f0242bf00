//! Prints the size of some drawings and how long each takes.
#![allow(clippy::print_stdout, reason = "an example for people")]

use std::time::Instant;

use metricd_chart::{Cell, ChartColumn, ChartData, ChartKind, ColumnType, Options, choose_kind, draw};

const REPETITIONS: u32 = 50;

/// Rows of a time, a label and a number.
fn rows(count: i64, labels: i64) -> ChartData {
    let mut data = ChartData::new(vec![
        ChartColumn::new("at", ColumnType::Timestamp),
        ChartColumn::new("name", ColumnType::Text),
        ChartColumn::new("n", ColumnType::Number),
    ]);
    for index in 0..count {
        let value = index.wrapping_mul(2_654_435_761).rem_euclid(9_973);
        let time = Cell::Time(index / labels * 3_600_000_000);
        let name = Cell::Text(format!("name {}", index % labels));
        data.push(vec![time, name, Cell::of_integer(value)]).unwrap_or_default();
    }
    data
}

fn main() {
    println!("{:>8} {:>7} {:>14} {:>10} {:>10}", "rows", "labels", "kind", "bytes", "ms");
    for (count, labels) in [(100, 1), (1_000, 4), (10_000, 1), (10_000, 8)] {
        let data = rows(count, labels);
        for kind in ChartKind::ALL {
            let Ok(choice) = choose_kind(&data, kind) else { continue };
            let started = Instant::now();
            let mut bytes = 0;
            for _ in 0..REPETITIONS {
                bytes = draw(&data, &choice, &Options::default()).len();
            }
            let milliseconds = started.elapsed().as_secs_f64() * 1_000.0 / f64::from(REPETITIONS);
            println!("{count:>8} {labels:>7} {:>14} {bytes:>10} {milliseconds:>10.2}", kind.name());
        }
    }
}
