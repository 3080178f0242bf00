//! The arguments of each command except `serve` and `token`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use metricd_database::DatabaseUrl;
use metricd_domain::{DashboardId, MetricId};

use super::database_url;
use super::values::duration;

/// The arguments of `check`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CheckArguments {
    /// The format of the report: text for people, or JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// The arguments of `connect`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConnectArguments {
    /// The owner's URL [default: `DATABASE_URL`].
    #[arg(value_name = "URL", value_parser = database_url)]
    pub(crate) url: Option<DatabaseUrl>,
}

/// The arguments of `openapi`.
#[derive(Debug, Clone, Args)]
pub(crate) struct OpenapiArguments {
    /// The metric whose document to print, instead of the API's.
    #[arg(long, value_name = "ID", value_parser = |text: &str| MetricId::parse(text))]
    pub(crate) metric: Option<MetricId>,

    /// The dashboard whose document to print, instead of the API's.
    #[arg(long, value_name = "ID", value_parser = |text: &str| DashboardId::parse(text), conflicts_with = "metric")]
    pub(crate) dashboard: Option<DashboardId>,
}

/// The arguments of `purge`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PurgeArguments {
    /// The minimum time since deletion: `30d`, `12h`, `2weeks`; `0s` selects all.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) older_than: Duration,

    /// Remove them, instead of listing them.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// The arguments of `migrate`.
#[derive(Debug, Clone, Copy, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct MigrateArguments {
    /// Revoke from PUBLIC, in this database, temporary tables and the functions that do harm even in a read-only
    /// transaction. Prints what is revoked from whom, and asks for confirmation. The owner keeps its privileges. A private
    /// database is always hardened.
    #[arg(long)]
    pub(crate) harden: bool,

    /// Grant back to PUBLIC exactly what --harden revoked.
    #[arg(long, conflicts_with = "harden")]
    pub(crate) undo_hardening: bool,

    /// Change nothing; print what --harden or --undo-hardening would change.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask for confirmation.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,

    /// The format of the plan: text for people, or SQL for a superuser.
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub(crate) format: PlanFormat,
}

/// The format of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    /// For people.
    Text,
    /// For a superuser.
    Sql,
}

/// The format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}
