//! The arguments of each command but `serve` and `token`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use metricd_domain::{DashboardId, MetricId};

use super::values::duration;

/// How to check.
#[derive(Debug, Clone, Args)]
pub(crate) struct CheckArguments {
    /// How to print what has drifted.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Which document to print.
#[derive(Debug, Clone, Args)]
pub(crate) struct OpenapiArguments {
    /// The metric whose document is printed, instead of the API's.
    #[arg(long, value_name = "ID", value_parser = |text: &str| MetricId::parse(text))]
    pub(crate) metric: Option<MetricId>,

    /// The dashboard whose document is printed, instead of the API's.
    #[arg(long, value_name = "ID", value_parser = |text: &str| DashboardId::parse(text), conflicts_with = "metric")]
    pub(crate) dashboard: Option<DashboardId>,
}

/// What to purge.
#[derive(Debug, Clone, Args)]
pub(crate) struct PurgeArguments {
    /// For how long a metric has been out of service at least: `30d`, `12h`, `2weeks`. `0s` is all of them.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) older_than: Duration,

    /// Do it.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// What to ingest.
#[derive(Debug, Clone, Args)]
pub(crate) struct IngestArguments {
    /// Files, or folders with files that end in .json, .csv, .tsv, .ndjson or .jsonl.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Store nothing unless all of it is good.
    #[arg(long)]
    pub(crate) strict: bool,

    /// Store nothing, and report what would happen. If there is no private PostgreSQL in the data folder, a temporary one
    /// validates the files, and is gone afterwards.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Take the files' content where something was edited over HTTP since files last wrote it; otherwise the edit stays.
    #[arg(long)]
    pub(crate) overwrite_edits: bool,

    /// How to print the report.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// What to do beyond migrating.
#[derive(Debug, Clone, Copy, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct MigrateArguments {
    /// Take from PUBLIC, in this database, the functions that do harm even in a read-only transaction, and temporary tables.
    /// Says first what would be taken from whom, and asks. The owner keeps its rights. A private database is always hardened.
    #[arg(long)]
    pub(crate) harden: bool,

    /// Give back to PUBLIC exactly what --harden has taken.
    #[arg(long, conflicts_with = "harden")]
    pub(crate) undo_hardening: bool,

    /// Change nothing, and say what --harden or --undo-hardening would change.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,

    /// How to say it: for people, or as the SQL that a superuser may run instead.
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub(crate) format: PlanFormat,
}

/// How to print what would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    /// For people.
    Text,
    /// As SQL.
    Sql,
}

/// How to print a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}
