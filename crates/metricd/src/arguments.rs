//! The command line, with environment variables behind it.

mod access;
mod checks;
mod commands;
mod explain;
mod quotas;
mod serve;
mod values;
mod variables;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use metricd_database::DatabaseUrl;

pub(crate) use self::access::{AccessArguments, TokenArguments};
use self::checks::{reject_ineffective_flags, reject_misplaced_flags, reject_passwords};
pub(crate) use self::commands::{
    CheckArguments, Format, IngestArguments, MigrateArguments, OpenapiArguments, PlanFormat, PurgeArguments,
};
use self::quotas::QuotaArguments;
pub(crate) use self::serve::ServeArguments;
use self::variables::unknown_variables;
use crate::log_filter::LogFilter;
use crate::log_format::LogFormat;
use crate::output;

/// Other crates' chatter is of use to nobody at the level of our own.
const LOG: &str = "info,actix_server=warn,actix_web=warn,tokio_postgres=warn";

/// The exit code of a call that cannot succeed as it is: a wrong command line, or an ingestion of which nothing may be stored.
pub(crate) const REFUSED: u8 = 2;

/// Turns stored SQL into metrics that people can trust.
///
/// Without a database of yours, a private PostgreSQL is run in a data folder, and a sample is loaded into it: start
/// `metricd` and paste the requests that it prints. With `DATABASE_URL` and `READER_DATABASE_URL` set, it runs on that
/// PostgreSQL (15 to 18): run `metricd migrate` once, then `metricd ingest` your files, then `metricd serve`.
///
/// Exit code: 0 done, 1 could not be done, 2 refused: the command line is wrong, or a command says so of what it was given.
#[derive(Debug, Parser)]
#[command(name = "metricd", version, max_term_width = 100)]
struct CommandLine {
    #[command(flatten)]
    database: DatabaseArguments,

    #[command(flatten)]
    guard: GuardArguments,

    /// What to log: a level (`off`, `error`, `warn`, `info`, `debug` or `trace`), or levels by module, as `env_logger` takes them:
    /// `warn,metricd_api=debug`.
    #[arg(long, env = "METRICD_LOG", default_value = LOG, global = true, value_name = "FILTER", help_heading = "Logging")]
    log: LogFilter,

    /// How to log: lines for people, or a JSON object a line for programs.
    #[arg(
        long,
        env = "METRICD_LOG_FORMAT",
        value_enum,
        default_value_t = LogFormat::Text,
        global = true,
        help_heading = "Logging"
    )]
    log_format: LogFormat,

    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: ServeArguments,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the metrics over HTTP; this is what happens without a command.
    Serve(Box<ServeArguments>),
    /// Validate files of definitions, queries and records, and store what is valid.
    ///
    /// What a file holds is known by its content: definitions are JSON, queries are CSV with the columns `id,query`, records
    /// are CSV, a JSON array or NDJSON with `id,date,obsolescence,alert_type,parts_flagged,obsolescence_val,alert_category`.
    ///
    /// Exit code: 0 stored, 1 could not be done, 2 refused: something in strict mode, everything otherwise.
    Ingest(IngestArguments),
    /// Validate all stored definitions against the present database, and report what has drifted.
    ///
    /// Finds columns that are gone, types that have changed and functions that may no longer be called: each definition is
    /// validated as if it were stored today, and its contract is compared with the stored one. Changes nothing. Exit code: 0
    /// nothing has drifted, 2 something has, 1 could not be done.
    Check(CheckArguments),
    /// Bring the schema up to date, and make the reader with its rights; harden the database where asked for.
    Migrate(MigrateArguments),
    /// Print the OpenAPI document of the API, or of stored metrics.
    ///
    /// The API's describes every operation for any metric; a metric's or a dashboard's describes what is stored, with the
    /// parameters and the columns of each metric, and is what a typed client is generated from. A server answers with the
    /// same at `/openapi.json`, `/metrics/{id}/openapi.json` and `/dashboards/{id}/openapi.json`. The database is asked only
    /// with --metric or --dashboard.
    Openapi(OpenapiArguments),
    /// Remove for good what was taken out of service long ago: metrics with their history.
    ///
    /// Without --yes it says which metrics these are, and removes nothing. Queries that nothing else reads go with them, and
    /// so do their places on dashboards. Exit code: 0 done or said, 1 could not be done.
    Purge(PurgeArguments),
    /// Make a token for the HTTP API, signed with the server's secret, and print it.
    ///
    /// Send it as `Authorization: Bearer TOKEN`. The secret is read from `METRICD_JWT_SECRET`, or from a file; what verifies
    /// tokens with public keys gets them from who has the private ones.
    Token(TokenArguments),
}

/// Which database to use.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub(crate) struct DatabaseArguments {
    /// The database as its owner, who makes the schema and stores definitions and records:
    /// `postgres://user:password@host:port/database`. A password belongs into the environment variable, not into the flag,
    /// where every user of the machine could see it.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true, value_name = "URL", value_parser = database_url)]
    pub(crate) database_url: Option<DatabaseUrl>,

    /// The same database as the reader: the role that stored SQL runs as, which may only read.
    #[arg(long, env = "READER_DATABASE_URL", hide_env_values = true, global = true, value_name = "URL", value_parser = database_url)]
    pub(crate) reader_database_url: Option<DatabaseUrl>,

    /// The folder of the private PostgreSQL, where no database of yours is given [default: .metricd, or a folder below
    /// /var/lib/metricd for root where PostgreSQL's user cannot reach the former].
    #[arg(long, env = "METRICD_DATA_DIR", global = true, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Where the programs of the private PostgreSQL are, if they are not found.
    #[arg(long, env = "METRICD_POSTGRES_BIN_DIR", global = true, value_name = "FOLDER")]
    pub(crate) postgres_bin_dir: Option<PathBuf>,
}

/// What stored SQL may do beyond what is always allowed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Stored SQL")]
pub(crate) struct GuardArguments {
    /// A function that stored SQL may call beside those that docs/guard.md lists: `name` for one of PostgreSQL's own,
    /// `schema.name` for any other. Whether it is harmless is yours to know. May be given several times, or with commas.
    #[arg(
        long = "allow-function",
        env = "METRICD_ALLOW_FUNCTIONS",
        global = true,
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub(crate) allow_functions: Vec<String>,

    /// A type that stored SQL may name beside those that docs/guard.md lists, such as one of an extension: `schema.name`, or
    /// `name` for one of PostgreSQL's own. May be given several times, or with commas.
    #[arg(long = "allow-type", env = "METRICD_ALLOW_TYPES", global = true, value_name = "NAME", value_delimiter = ',')]
    pub(crate) allow_types: Vec<String>,
}

/// All that the command line says.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) database: DatabaseArguments,
    pub(crate) guard: GuardArguments,
    pub(crate) log: LogFilter,
    pub(crate) log_format: LogFormat,
    pub(crate) command: Command,
}

impl Arguments {
    /// Reads the command line; what is wrong with it is printed, and told by the exit code.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        let parsed = CommandLine::command().try_get_matches().and_then(|matches| {
            reject_passwords(&matches)?;
            reject_misplaced_flags(&matches)?;
            reject_ineffective_flags(&matches)?;
            CommandLine::from_arg_matches(&matches)
        });
        match parsed {
            Ok(CommandLine { database, guard, log, log_format, command, serve }) => Ok(Self {
                database,
                guard,
                log,
                log_format,
                command: command.unwrap_or_else(|| Command::Serve(Box::new(serve))),
            }),
            Err(error) => {
                let error = explain::explain(error, &CommandLine::command());
                output::usage(&error);
                Err(if error.use_stderr() { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
            }
        }
    }
}

/// What is wrong with the command line, or with a variable of the environment that stands for a part of it, and shows only once
/// all of it is read. The exit code is that of every wrong command line.
#[derive(Debug)]
pub(crate) struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// The error of a wrong command line.
pub(crate) fn usage_error(message: impl fmt::Display) -> anyhow::Error {
    UsageError(message.to_string()).into()
}

/// The message with each option named by the variable of the environment that gives it, if the command line does not.
pub(crate) fn name_variables(message: &str) -> String {
    explain::name_variables(message, &CommandLine::command())
}

/// A sentence for each variable of the environment that looks like one of metricd's and is none.
pub(crate) fn misspelled_variables() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    unknown_variables(&CommandLine::command(), names)
}

fn database_url(text: &str) -> Result<DatabaseUrl, metricd_database::InvalidDatabaseUrl> {
    DatabaseUrl::parse(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    /// The options without an environment variable, by command. Each says what one call is to do; a variable would change
    /// every later call as well.
    const OPTIONS_OF_ONE_CALL: [(&str, &[&str]); 6] = [
        ("check", &["format"]),
        ("ingest", &["strict", "dry-run", "overwrite-edits", "format"]),
        ("migrate", &["harden", "undo-hardening", "dry-run", "yes", "format"]),
        ("openapi", &["metric", "dashboard"]),
        ("purge", &["older-than", "yes"]),
        ("token", &["scope", "ttl", "subject", "metric", "tenant", "issuer", "audience"]),
    ];

    #[test]
    fn help_names_every_option_with_its_variable() {
        let mut without = BTreeSet::new();
        let root = CommandLine::command();
        for mut command in root.get_subcommands().cloned().chain([root.clone()]) {
            let help = command.render_long_help().to_string();
            let name = command.get_name().to_owned();
            for option in
                command.get_arguments().filter(|option| !["help", "version"].contains(&option.get_id().as_str()))
            {
                let Some(long) = option.get_long() else { continue };
                match option.get_env() {
                    Some(variable) => {
                        let variable = variable.to_str().unwrap();
                        assert!(help.contains(&format!("[env: {variable}")), "{name} --{long}: {help}");
                    }
                    None => drop(without.insert((name.clone(), long.to_owned()))),
                }
            }
        }
        let exceptions: BTreeSet<_> = OPTIONS_OF_ONE_CALL
            .iter()
            .flat_map(|(command, options)| options.iter().map(|option| ((*command).to_owned(), (*option).to_owned())))
            .collect();
        let differing: Vec<_> = without.symmetric_difference(&exceptions).collect();
        assert!(differing.is_empty(), "give it `env = \"METRICD_…\"`, or correct `OPTIONS_OF_ONE_CALL`: {differing:?}");
    }

    #[test]
    fn serving_is_what_happens_without_a_command() {
        let line = CommandLine::try_parse_from(["metricd", "--listen", "127.0.0.1:9000"]).unwrap();
        assert!(line.command.is_none());
        assert_eq!(line.serve.listen.port(), 9000);
    }
}
