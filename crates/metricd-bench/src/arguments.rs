//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::data::{LISTING_ROWS, Size};
use crate::workload::Workload;

/// Measures metricd beside its floor: what PostgreSQL alone and the web server alone reach on this machine, with the same SQL,
/// results and clients.
///
/// The floor of a request is 1 / (1/pgbench + 1/http). metricd's release build and a private PostgreSQL are started for it;
/// pgbench comes with PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "metricd-bench", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    mode: Option<Hidden>,

    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Hidden {
    /// What the program starts itself as, to measure the web server alone.
    #[command(hide = true)]
    FixedBodies { folder: PathBuf },
}

/// What to measure.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// How many seconds each measurement takes, after a warm-up.
    #[arg(long, default_value_t = 5, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// How often each measurement is made. Rates are medians, latencies are of all rounds.
    #[arg(long, default_value_t = 3, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,

    /// How many clients ask at once, one number for each measurement; at most 32, since pgbench has a connection for each.
    #[arg(long, default_value = "1,8,32", value_delimiter = ',', value_name = "COUNTS", value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(crate) clients: Vec<u32>,

    /// Which workloads.
    #[arg(long, default_value = "aggregate,series,listing", value_delimiter = ',', value_enum, value_name = "NAMES")]
    pub(crate) workloads: Vec<Workload>,

    /// How many records the queries read.
    #[arg(long, default_value_t = 200_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(i64::from(3 * LISTING_ROWS)..=100_000_000))]
    records: u32,

    /// How many metrics are stored; the cost must not grow with them.
    #[arg(long, default_value_t = 10, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(3..=1_000_000))]
    definitions: u32,

    /// Where the figures go, for programs.
    #[arg(long, default_value = "target/metricd-bench.json", value_name = "FILE")]
    pub(crate) json: PathBuf,

    /// Another program to measure than the one that is built from this checkout.
    #[arg(long, value_name = "FILE")]
    pub(crate) metricd: Option<PathBuf>,
}

impl Options {
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    pub(crate) fn size(&self) -> Size {
        Size { records: self.records, definitions: self.definitions }
    }
}

/// What the program was started for.
pub(crate) enum Mode {
    Measure(Options),
    ServeFixedBodies(PathBuf),
}

/// All that the command line says.
pub(crate) struct Arguments;

impl Arguments {
    /// Reads the command line; ends the program where it is wrong or asks for help.
    pub(crate) fn read() -> Mode {
        match CommandLine::parse() {
            CommandLine { mode: Some(Hidden::FixedBodies { folder }), .. } => Mode::ServeFixedBodies(folder),
            CommandLine { mode: None, options } => Mode::Measure(options),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn clients_are_a_list_and_none_may_be_without_any() {
        let line = CommandLine::try_parse_from(["metricd-bench", "--clients", "2,4"]).unwrap();
        assert_eq!(line.options.clients, [2, 4]);
        assert!(CommandLine::try_parse_from(["metricd-bench", "--clients", "0"]).is_err());
        assert!(CommandLine::try_parse_from(["metricd-bench", "--records", "11999"]).is_err());
    }
}
