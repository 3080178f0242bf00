//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::data::{LISTING_ROWS, MIN_DEFINITIONS, Size};
use crate::pairs::PAGE;
use crate::workload::{MAX_CLIENTS, Questions, Workload};

/// Measures metricd beside its floor: what PostgreSQL alone and the web server alone reach on this machine, with the same SQL,
/// results and clients.
///
/// The floor of a request is 1 / (1/pgbench + 1/http): what it could reach if each answer was a run and metricd took no time.
/// Clients that ask for the same may share runs, and be faster than that. metricd's release build and a private PostgreSQL are
/// started for it; pgbench comes with PostgreSQL.
///
/// Then pairs: two ways to ask metricd, measured in turns, with the ratio of their rates and what that should be. All of it
/// takes about 13 minutes, the pairs less than 2 of them. To measure the pairs alone:
///
/// metricd-bench --parts results,pages,unchanged
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

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Each workload beside its floor.
    Floor,
    /// 10 metrics in one call of /results, against a request for each. Their SQL costs little, so that the rest shows.
    Results,
    /// A late page of a list of many definitions, against the first.
    Pages,
    /// 304 for a client that has the result already, against 200; where the server sends an entity tag.
    Unchanged,
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Results => "results",
            Self::Pages => "pages",
            Self::Unchanged => "unchanged",
        }
    }
}

/// What to measure.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// What to measure.
    #[arg(
        long,
        default_value = "floor,results,pages,unchanged",
        value_delimiter = ',',
        value_enum,
        value_name = "NAMES"
    )]
    pub(crate) parts: Vec<Part>,

    /// How many seconds each measurement beside the floor takes, after a warm-up.
    #[arg(long, default_value_t = 5, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// How many seconds each measurement of a pair takes, after a warm-up.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=600))]
    pair_seconds: u64,

    /// How often each measurement is made. Rates are medians, latencies are of all rounds.
    #[arg(long, default_value_t = 3, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,

    /// How many clients ask at once, one number for each measurement; at most 32, since pgbench has a connection for each.
    #[arg(long, default_value = "1,8,32", value_delimiter = ',', value_name = "COUNTS", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CLIENTS)))]
    pub(crate) clients: Vec<u32>,

    /// Whether the clients beside the floor ask apart, so that each answer is a run of the SQL, or alike, so that they may share
    /// runs. A single client has nobody to share with.
    #[arg(long, default_value = "apart,alike", value_delimiter = ',', value_enum, value_name = "NAMES")]
    questions: Vec<Questions>,

    /// Which workloads beside the floor.
    #[arg(long, default_value = "aggregate,series,listing", value_delimiter = ',', value_enum, value_name = "NAMES")]
    pub(crate) workloads: Vec<Workload>,

    /// How many records the queries read.
    #[arg(long, default_value_t = 200_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(i64::from(MIN_DEFINITIONS * LISTING_ROWS)..=100_000_000))]
    records: u32,

    /// How many metrics are ingested; the cost must not grow with them.
    #[arg(long, default_value_t = MIN_DEFINITIONS, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(i64::from(MIN_DEFINITIONS)..=1_000_000))]
    definitions: u32,

    /// How many copies of their definitions are listed, in pages of 100; the last full page is measured. They are made in the
    /// database, with their contracts: 100 000 take some 10 seconds.
    #[arg(long, default_value_t = 1_000 * PAGE, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(i64::from(2 * PAGE)..=1_000_000))]
    pub(crate) copies: u32,

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

    pub(crate) fn pair_duration(&self) -> Duration {
        Duration::from_secs(self.pair_seconds)
    }

    /// How many clients ask at once beside the floor, and how.
    pub(crate) fn questions(&self) -> impl Iterator<Item = (u32, Questions)> {
        let ways = |clients| if clients == 1 { &[Questions::Apart] } else { self.questions.as_slice() };
        self.clients.iter().flat_map(move |&clients| ways(clients).iter().map(move |&questions| (clients, questions)))
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
        assert_eq!(line.options.parts, Part::value_variants());
        let line = CommandLine::try_parse_from(["metricd-bench", "--clients", "1,8"]).unwrap();
        let questions: Vec<_> = line.options.questions().collect();
        assert_eq!(questions, [(1, Questions::Apart), (8, Questions::Apart), (8, Questions::Alike)]);
        assert!(CommandLine::try_parse_from(["metricd-bench", "--clients", "0"]).is_err());
        assert!(CommandLine::try_parse_from(["metricd-bench", "--records", "51999"]).is_err());
    }
}
