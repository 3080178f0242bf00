//! Reports the measurements: tables for people, and a JSON file for programs.

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};

use crate::arguments::{Measurement, Options};
use crate::figures::{Round, median};
use crate::load;
use crate::pair::{self, PairCell};
use crate::pairs::PairResults;
use crate::process::Memory;
use crate::workload::RequestMix;

/// The measurements of a subject with this number of clients.
#[derive(Debug)]
pub(crate) struct Cell {
    /// The workload, or the metric.
    subject: String,
    pub(crate) clients: u32,
    pub(crate) requests: RequestMix,
    rows: usize,
    body_bytes: usize,
    rounds: Vec<Round>,
    /// The latencies of metricd in all rounds, in microseconds.
    latencies: Histogram<u64>,
    memory: Option<Memory>,
}

impl Cell {
    /// A cell without measurements. The size is that of the result: its rows, and the bytes of its body.
    pub(crate) fn new(
        subject: &str,
        clients: u32,
        requests: RequestMix,
        (rows, body_bytes): (usize, usize),
    ) -> Result<Self> {
        let (subject, latencies) = (subject.to_owned(), load::latencies()?);
        Ok(Self { subject, clients, requests, rows, body_bytes, rounds: Vec::new(), latencies, memory: None })
    }

    /// Adds the measurements of a round, and the memory that metricd had in use after it.
    pub(crate) fn add(&mut self, round: Round, latencies: &Histogram<u64>, memory: Option<Memory>) -> Result<()> {
        self.rounds.push(round);
        self.latencies.add(latencies)?;
        self.memory = memory;
        Ok(())
    }

    fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(of))
    }

    fn milliseconds(&self, quantile: f64) -> f64 {
        Duration::from_micros(self.latencies.value_at_quantile(quantile)).as_secs_f64() * 1_000.0
    }

    /// The row, whose first column has this width.
    fn row(&self, width: usize) -> String {
        format!(
            "{:<width$} {:>7}  {:<9} {:>9} {:>9} {:>9} {:>9} {:>6.2} {:>8.2} {:>8.2} {:>7.1} {:>8}",
            self.subject,
            self.clients,
            self.requests.name(),
            rate(self.median(|round| round.pgbench_tps)),
            rate(self.median(|round| round.http_rps)),
            rate(self.median(|round| round.baseline())),
            rate(self.median(|round| round.metricd_rps)),
            self.median(|round| round.ratio()),
            self.milliseconds(0.5),
            self.milliseconds(0.99),
            self.milliseconds(0.99) / self.milliseconds(0.5),
            megabytes(self.memory),
        )
    }

    fn json(&self) -> Value {
        json!({
            "workload": self.subject,
            "clients": self.clients,
            "requests": self.requests,
            "rows": self.rows,
            "body_bytes": self.body_bytes,
            "pgbench_tps": self.median(|round| round.pgbench_tps),
            "http_rps": self.median(|round| round.http_rps),
            "baseline_rps": self.median(|round| round.baseline()),
            "metricd_rps": self.median(|round| round.metricd_rps),
            "ratio": self.median(|round| round.ratio()),
            "p50_ms": self.milliseconds(0.5),
            "p99_ms": self.milliseconds(0.99),
            "max_ms": self.milliseconds(1.0),
            "memory": self.memory,
            "rounds": self.rounds,
        })
    }
}

/// The header of the columns after the first.
const TABLE_HEADER: &str =
    " clients  requests    pgbench      http  baseline   metricd  ratio   p50 ms   p99 ms p99/p50   RSS MB\n";

/// A rate per second: whole, or with a decimal if it is low.
fn rate(per_second: f64) -> String {
    if per_second < 100.0 { format!("{per_second:.1}") } else { format!("{per_second:.0}") }
}

fn megabytes(memory: Option<Memory>) -> String {
    memory.map_or_else(|| "unknown".to_owned(), |memory| tenths_of_mebibytes(memory.resident_bytes))
}

fn tenths_of_mebibytes(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// The settings of the measurement, and the number of cores of the machine.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Settings {
    seconds: u64,
    rounds: u32,
    cores: usize,
    #[serde(flatten)]
    private: Option<PrivateSettings>,
}

/// What is set for a private PostgreSQL only.
#[derive(Debug, Clone, Copy, Serialize)]
struct PrivateSettings {
    pair_seconds: u64,
    records: u32,
    definitions: u32,
}

impl Settings {
    /// The settings for a private PostgreSQL.
    pub(crate) fn of(options: &Options) -> Self {
        let private = PrivateSettings {
            pair_seconds: options.pair_duration().as_secs(),
            records: options.size().records,
            definitions: options.size().definitions,
        };
        Self { private: Some(private), ..Self::of_measurement(&options.measurement) }
    }

    /// The settings for a database that exists.
    pub(crate) fn of_measurement(options: &Measurement) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { seconds: options.duration().as_secs(), rounds: options.rounds, cores, private: None }
    }

    fn render(self) -> String {
        let Self { seconds, rounds, cores, private } = self;
        let (data, pairs) = private.map_or_else(Default::default, |private| {
            let PrivateSettings { pair_seconds, records, definitions } = private;
            (format!("{records} records, {definitions} definitions, "), format!(", {pair_seconds} s for pairs"))
        });
        format!("{data}{cores} cores; {rounds} rounds of {seconds} s each{pairs}; rates per second\n")
    }
}

/// All measurements.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) setting: Settings,
    /// The time that metricd took to start, with its private PostgreSQL if it has one.
    pub(crate) start: Duration,
    /// The memory of metricd after all measurements.
    pub(crate) memory: Option<Memory>,
    pub(crate) cells: Vec<Cell>,
    pub(crate) pairs: PairResults,
}

impl Report {
    /// Prints the tables.
    pub(crate) fn print(&self) {
        let mut out = std::io::stdout().lock();
        // A reader that has closed the pipe is not an error.
        let _ = out.write_all(self.render().as_bytes()).and_then(|()| out.flush());
    }

    /// Writes the figures. Creates the folder of the file if it does not exist.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        }
        let text = serde_json::to_string_pretty(&self.json())? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write `{}`", file.display()))
    }

    fn render(&self) -> String {
        let mut text = self.setting.render();
        let PairResults { cells: pairs, notes } = &self.pairs;
        let width = self.cells.iter().map(|cell| cell.subject.chars().count()).max().unwrap_or_default().max(10);
        let head = format!("{:<width$}{TABLE_HEADER}", "workload");
        table(&mut text, &head, self.cells.iter().map(|cell| cell.row(width)));
        table(&mut text, pair::TABLE_HEADER, pairs.iter().map(PairCell::row));
        table(&mut text, "", notes.iter().cloned());
        let peak = self.memory.map_or_else(|| "unknown".to_owned(), |memory| tenths_of_mebibytes(memory.peak_bytes));
        let (memory, start) = (megabytes(self.memory), self.start.as_secs_f64());
        let _ =
            writeln!(text, "\nmetricd after all measurements: {memory} MB, at most {peak} MB; started in {start:.2} s");
        text
    }

    fn json(&self) -> Value {
        json!({
            "setting": self.setting,
            "start_seconds": self.start.as_secs_f64(),
            "memory": self.memory,
            "cells": self.cells.iter().map(Cell::json).collect::<Vec<_>>(),
            "pairs": self.pairs.cells.iter().map(PairCell::json).collect::<Vec<_>>(),
            "notes": self.pairs.notes,
        })
    }
}

/// Adds a table, after an empty line, if it has rows.
fn table(text: &mut String, head: &str, rows: impl Iterator<Item = String>) {
    let rows: Vec<_> = rows.map(|row| row + "\n").collect();
    if !rows.is_empty() {
        let _ = write!(text, "\n{head}{}", rows.concat());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut cell = Cell::new("series", 8, RequestMix::Different, (30, 1_234)).unwrap();
        let mut latencies = load::latencies().unwrap();
        latencies.record_n(1_000, 98).unwrap();
        latencies.record_n(4_000, 2).unwrap();
        let memory = Some(Memory { resident_bytes: 20 << 20, peak_bytes: 21 << 20 });
        for metricd_rps in [700.0, 720.0, 100.0] {
            let round = Round { pgbench_tps: 1_000.0, http_rps: 4_000.0, metricd_rps };
            cell.add(round, &latencies, memory).unwrap();
        }
        let pairs = PairResults { cells: vec![pair::tests::cell()], notes: vec!["304 was not measured".to_owned()] };
        let private = Some(PrivateSettings { pair_seconds: 1, records: 200_000, definitions: 10 });
        let setting = Settings { seconds: 5, rounds: 3, cores: 2, private };
        Report { setting, start: Duration::from_millis(1_250), memory, cells: vec![cell], pairs }
    }

    #[test]
    fn the_table_has_medians_in_aligned_columns() {
        let text = report().render();
        assert!(
            text.starts_with(
                "200000 records, 10 definitions, 2 cores; 3 rounds of 5 s each, 1 s for pairs; rates per second\n"
            ),
            "{text}"
        );
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[2].len(), lines[3].len(), "{text}");
        let columns: Vec<_> = lines[3].split_whitespace().collect();
        assert_eq!(
            columns,
            ["series", "8", "different", "1000", "4000", "800", "700", "0.88", "1.00", "4.00", "4.0", "20.0"]
        );
        assert!(text.contains(&format!("\n\n{}single ", pair::TABLE_HEADER)), "{text}");
        assert!(text.contains("\n\n304 was not measured\n\n"), "{text}");
        assert!(
            text.ends_with("metricd after all measurements: 20.0 MB, at most 21.0 MB; started in 1.25 s\n"),
            "{text}"
        );
    }

    #[test]
    fn low_rates_have_a_decimal() {
        assert_eq!([1.26, 99.91, 100.4].map(rate), ["1.3", "99.9", "100"]);
    }

    #[test]
    fn the_file_includes_the_rounds() {
        let json = report().json();
        let cell = &json["cells"][0];
        assert_eq!((cell["workload"].as_str(), cell["clients"].as_u64()), (Some("series"), Some(8)));
        assert_eq!(cell["rounds"].as_array().map(Vec::len), Some(3));
        assert!((cell["ratio"].as_f64().unwrap() - 0.875).abs() < 1e-9);
        assert_eq!(json["memory"]["resident_bytes"], 20 << 20);
        assert_eq!((&json["pairs"][0]["clients"], &json["notes"][0]), (&8.into(), &"304 was not measured".into()));
    }
}
