//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use secrecy::SecretString;

use crate::data::{LISTING_ROWS, MIN_DEFINITIONS, Size};
use crate::metric_request::MetricRequest;
use crate::pairs::PAGE_SIZE;
use crate::workload::{MAX_CLIENTS, RequestMix, Workload};

/// Measures metricd against its baseline: the rate that PostgreSQL alone and the web server alone reach on this machine,
/// with the same SQL, results and clients.
///
/// The baseline is 1 / (1/pgbench + 1/http): the rate if each response was a run and metricd itself took no time. Clients
/// that send identical requests may share runs, and exceed the baseline. The program starts metricd's release build and a
/// private PostgreSQL. pgbench is part of PostgreSQL.
///
/// Pairs are measured next: two kinds of requests to metricd, in turns, with the ratio of their rates and its goal. All
/// of it takes about 13 minutes, the pairs less than 2 of them. To measure only the pairs:
///
/// metricd-bench --parts results,pages,unchanged,tls
///
/// To measure metrics of a database of yours, see `metricd-bench database --help`.
#[derive(Debug, Parser)]
#[command(name = "metricd-bench", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    mode: Option<Subcommands>,

    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Measures metrics of a database that exists.
    ///
    /// Each metric is measured with metricd, next to pgbench with the same SQL as the same reader, and next to the web
    /// server alone with bodies of the same size. The database needs `metricd migrate` and the metrics. The benchmark
    /// changes nothing in it: it starts `metricd serve` on a free port of 127.0.0.1, and reads.
    ///
    /// The load is real, and other users of the database feel it. With 32 clients the reader has up to 48 connections.
    ///
    /// metricd-bench database --metric revenue --metric 'orders?start_date=2026-01-01'
    ///
    /// metricd-bench database --metric revenue -- --max-replica-lag 5
    Database(Box<DatabaseOptions>),
    /// Serves fixed bodies, to measure the web server alone. The program starts itself in this mode.
    #[command(hide = true)]
    FixedBodies { folder: PathBuf },
}

/// The parts of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Each workload against its baseline.
    Baseline,
    /// 10 metrics in one call of /results, against one request for each. Their SQL is cheap, so that the overhead of a
    /// request shows.
    Results,
    /// A late page of a list of many definitions, against the first page.
    Pages,
    /// 304 for a client that has the result already, against 200. Skipped if the server sends no entity tag.
    Unchanged,
    /// The aggregate and the listing from a PostgreSQL with TLS, against one without, both over TCP. Needs `openssl`.
    Tls,
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Results => "results",
            Self::Pages => "pages",
            Self::Unchanged => "unchanged",
            Self::Tls => "tls",
        }
    }
}

/// The options of a measurement.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// The parts to measure.
    #[arg(
        long,
        default_value = "baseline,results,pages,unchanged,tls",
        value_delimiter = ',',
        value_enum,
        value_name = "NAMES"
    )]
    pub(crate) parts: Vec<Part>,

    #[command(flatten)]
    pub(crate) measurement: Measurement,

    /// The duration of each measurement of a pair in seconds, after a warm-up.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=600))]
    pair_seconds: u64,

    /// The workloads of the baseline measurements.
    #[arg(long, default_value = "aggregate,series,listing", value_delimiter = ',', value_enum, value_name = "NAMES")]
    pub(crate) workloads: Vec<Workload>,

    /// The number of records that the queries read.
    #[arg(long, default_value_t = 200_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(i64::from(MIN_DEFINITIONS * LISTING_ROWS)..=100_000_000))]
    records: u32,

    /// The number of metrics to ingest. The cost must not grow with it.
    #[arg(long, default_value_t = MIN_DEFINITIONS, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(i64::from(MIN_DEFINITIONS)..=1_000_000))]
    definitions: u32,

    /// The number of copies of the definitions to list, in pages of 100; the last full page is measured. The copies are
    /// made in the database, with their contracts: 100 000 take some 10 seconds.
    #[arg(long, default_value_t = 1_000 * PAGE_SIZE, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(i64::from(2 * PAGE_SIZE)..=1_000_000))]
    pub(crate) copies: u32,
}

/// The options of the measurements against the baseline.
#[derive(Debug, Clone, Args)]
pub(crate) struct Measurement {
    /// The duration of each measurement against the baseline in seconds, after a warm-up.
    #[arg(long, default_value_t = 5, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// The number of rounds. Rates are medians of the rounds; latencies are of all rounds.
    #[arg(long, default_value_t = 3, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,

    /// The numbers of concurrent clients, one for each measurement; at most 32, since pgbench opens a connection for
    /// each.
    #[arg(long, default_value = "1,8,32", value_delimiter = ',', value_name = "COUNTS", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CLIENTS)))]
    pub(crate) clients: Vec<u32>,

    /// Whether the clients send different requests, so that each response is a run of the SQL, or identical ones, which
    /// may share runs. A single client has no other to share with.
    #[arg(long, default_value = "different,identical", value_delimiter = ',', value_enum, value_name = "NAMES")]
    requests: Vec<RequestMix>,

    /// The file for the figures, as JSON.
    #[arg(long, default_value = "target/metricd-bench.json", value_name = "FILE")]
    pub(crate) json: PathBuf,

    /// The metricd program to measure, instead of a build of this checkout.
    #[arg(long, value_name = "FILE")]
    pub(crate) metricd: Option<PathBuf>,
}

/// The options of a measurement on a database that exists.
#[derive(Debug, Clone, Args)]
pub(crate) struct DatabaseOptions {
    /// A metric to measure, with its parameters as in the URL of its result: `orders` or
    /// `orders?kind=web&start_date=2026-01-01`. May be repeated.
    #[arg(long = "metric", required = true, value_name = "ID[?QUERY]")]
    pub(crate) metrics: Vec<MetricRequest>,

    #[command(flatten)]
    pub(crate) measurement: Measurement,

    /// The owner's URL, as for metricd. Put it into the variable, since every user of the machine can see flags.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "DATABASE_URL")]
    pub(crate) database_url: SecretString,

    /// The reader's URL, as for metricd. pgbench connects by it as well; if it names several servers, to one of them.
    #[arg(long, env = "READER_DATABASE_URL", hide_env_values = true, value_name = "READER_DATABASE_URL")]
    pub(crate) reader_database_url: SecretString,

    /// The schemas whose tables the metrics read, as for metricd.
    #[arg(long = "data-schema", env = "METRICD_DATA_SCHEMAS", value_name = "SCHEMAS")]
    pub(crate) data_schemas: Option<String>,

    /// Further flags for `metricd serve`, such as `--max-replica-lag 5`. Its other settings are not read from variables.
    #[arg(last = true, value_name = "SERVE_FLAGS")]
    pub(crate) serve_flags: Vec<OsString>,
}

impl Options {
    pub(crate) fn pair_duration(&self) -> Duration {
        Duration::from_secs(self.pair_seconds)
    }

    pub(crate) fn size(&self) -> Size {
        Size { records: self.records, definitions: self.definitions }
    }
}

impl Measurement {
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The load of each measurement: the number of clients, and which requests they send.
    pub(crate) fn loads(&self) -> impl Iterator<Item = (u32, RequestMix)> {
        let mixes = |clients| if clients == 1 { &[RequestMix::Different] } else { self.requests.as_slice() };
        self.clients.iter().flat_map(move |&clients| mixes(clients).iter().map(move |&requests| (clients, requests)))
    }
}

/// The mode of the program.
pub(crate) enum Mode {
    Measure(Options),
    MeasureDatabase(Box<DatabaseOptions>),
    ServeFixedBodies(PathBuf),
}

/// The arguments of the command line.
pub(crate) struct Arguments;

impl Arguments {
    /// Parses the command line. Exits if it is wrong or requests help.
    pub(crate) fn read() -> Mode {
        match CommandLine::parse() {
            CommandLine { mode: Some(Subcommands::Database(options)), .. } => Mode::MeasureDatabase(options),
            CommandLine { mode: Some(Subcommands::FixedBodies { folder }), .. } => Mode::ServeFixedBodies(folder),
            CommandLine { mode: None, options } => Mode::Measure(options),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn clients_are_a_list_of_positive_numbers() {
        let line = CommandLine::try_parse_from(["metricd-bench", "--clients", "2,4"]).unwrap();
        assert_eq!(line.options.measurement.clients, [2, 4]);
        assert_eq!(line.options.parts, Part::value_variants());
        let line = CommandLine::try_parse_from(["metricd-bench", "--clients", "1,8"]).unwrap();
        let loads: Vec<_> = line.options.measurement.loads().collect();
        assert_eq!(loads, [(1, RequestMix::Different), (8, RequestMix::Different), (8, RequestMix::Identical)]);
        assert!(CommandLine::try_parse_from(["metricd-bench", "--clients", "0"]).is_err());
        assert!(CommandLine::try_parse_from(["metricd-bench", "--records", "51999"]).is_err());
    }

    fn parse_database(arguments: &[&str]) -> Result<Box<DatabaseOptions>, String> {
        let all = ["metricd-bench", "database", "--database-url=o", "--reader-database-url=r"];
        let line = CommandLine::try_parse_from(all.iter().chain(arguments)).map_err(|error| error.to_string())?;
        let Some(Subcommands::Database(options)) = line.mode else { panic!("another mode") };
        Ok(options)
    }

    /// Options with the URLs `o` and `r`, and a flag for the server.
    pub(crate) fn database_options() -> Box<DatabaseOptions> {
        parse_database(&["--metric=a?kind=b", "--metric=c", "--clients=4", "--", "--max-replica-lag", "5"]).unwrap()
    }

    #[test]
    fn a_database_is_measured_with_its_metrics_and_further_flags_of_serve() {
        let options = database_options();
        let names: Vec<_> = options.metrics.iter().map(ToString::to_string).collect();
        assert_eq!((names, options.measurement.clients), (vec!["a?kind=b".to_owned(), "c".to_owned()], vec![4]));
        assert_eq!(options.serve_flags, ["--max-replica-lag", "5"]);
        for (arguments, expected) in [
            (&[] as &[_], "--metric <ID[?QUERY]>"),
            (&["--metric=a?limit=5"], "leave `limit` out"),
            (&["--metric=a", "--clients=33"], "33 is not in 1..=32"),
        ] {
            let error = parse_database(arguments).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
