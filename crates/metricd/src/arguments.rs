//! The command line, and the environment variables that set its options.

mod access;
mod checks;
mod commands;
mod explain;
mod ingest;
mod libpq;
mod quotas;
mod serve;
mod values;
mod variables;

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use metricd_database::{DataSchemas, DatabaseUrl};

pub(crate) use self::access::{AccessArguments, TokenArguments};
use self::checks::{reject_ineffective_flags, reject_misplaced_flags, reject_passwords};
pub(crate) use self::commands::{
    CheckArguments, ConnectArguments, Format, MigrateArguments, OpenapiArguments, PlanFormat, PurgeArguments,
};
pub(crate) use self::ingest::IngestArguments;
use self::quotas::QuotaArguments;
pub(crate) use self::serve::{DEFAULT_QUERY_CONNECTIONS, ServeArguments};
use self::variables::unknown_variables;
use crate::log_filter::LogFilter;
use crate::log_format::LogFormat;
use crate::output;

/// The default log filter. The messages of these crates at `info` do not help an operator.
const LOG: &str = "info,actix_server=warn,actix_web=warn,tokio_postgres=warn";

/// The exit code of a refusal: of a wrong command line, or of an ingestion's files.
pub(crate) const REFUSED: u8 = 2;

/// Turns stored SQL into metrics that people can trust.
///
/// Without `DATABASE_URL`, metricd runs a private PostgreSQL in a data folder and loads a sample: start `metricd` and paste
/// the requests that it prints. To use your own PostgreSQL (15 to 18), set `DATABASE_URL` and `READER_DATABASE_URL`.
/// `metricd connect` then prints what is missing. Run `metricd migrate` once, `metricd ingest` with your files, and
/// `metricd serve`.
///
/// Exit code: 0 done; 1 failed; 2 refused: a wrong command line, files that are not stored, drifted definitions, or a
/// database that is not ready.
#[derive(Debug, Parser)]
#[command(name = "metricd", version, max_term_width = 100)]
struct CommandLine {
    #[command(flatten)]
    database: DatabaseArguments,

    #[command(flatten)]
    guard: GuardArguments,

    /// The log filter: a level (`off`, `error`, `warn`, `info`, `debug` or `trace`), or levels by module in the syntax of
    /// `env_logger`: `warn,metricd_api=debug`.
    #[arg(long, env = "METRICD_LOG", default_value = LOG, global = true, value_name = "FILTER", help_heading = "Logging")]
    log: LogFilter,

    /// The log format: text for people, or one JSON object per line for programs.
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

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the metrics over HTTP (the default command).
    Serve(Box<ServeArguments>),
    /// Validate definitions, queries and files of any rows, and store what is valid.
    ///
    /// Recognises files by their content: definitions are a JSON object with metrics, tables or layouts, queries are CSV
    /// with the columns `id,query`. The rows of any other CSV, JSON, Parquet, Arrow or XLSX file become a table: `sales.csv`
    /// is the table `sales`. The report says which types its columns get, why, and what is left to decide.
    ///
    /// Exit code: 0 stored, 1 failed, 2 refused: something in strict mode, everything otherwise.
    Ingest(IngestArguments),
    /// Validate all stored definitions against the current database, and report drift.
    ///
    /// Finds columns that are gone, types that have changed and functions that are no longer allowed: each definition is
    /// validated as if it were stored now, and its contract is compared with the stored one. Changes nothing.
    ///
    /// Exit code: 0 no drift, 1 failed, 2 drift.
    Check(CheckArguments),
    /// Look at a PostgreSQL database, and print what it lacks for `serve`. Changes nothing.
    ///
    /// Prints the version, the connection, the schemas and the privileges of the roles on one page, with the SQL for an
    /// administrator. Give it the same --data-schema and `READER_DATABASE_URL` as `serve`. It does not check what `serve`
    /// needs besides the database: keys for tokens, and row security for tenants.
    ///
    /// Exit code: 0 the database is ready, 1 failed, 2 something is missing.
    Connect(ConnectArguments),
    /// Migrate the schema, and create the reader with its privileges; harden the database on request.
    Migrate(MigrateArguments),
    /// Print the OpenAPI document of the API, or of stored metrics.
    ///
    /// The document of the API describes any metric. The document of one metric or dashboard has the parameters and columns
    /// of its metrics: generate typed clients from it. A server returns the same documents at `/openapi.json`,
    /// `/metrics/{id}/openapi.json` and `/dashboards/{id}/openapi.json`. Only --metric and --dashboard need the database.
    Openapi(OpenapiArguments),
    /// Permanently remove deleted metrics with their history.
    ///
    /// Without --yes, lists them and removes nothing. Also removes their queries, unless others use them, and their items
    /// on dashboards.
    ///
    /// Exit code: 0 removed or listed, 1 failed.
    Purge(PurgeArguments),
    /// Issue a token for the HTTP API, signed with the server's secret, and print it.
    ///
    /// Send it as `Authorization: Bearer TOKEN`. The secret is read from `METRICD_JWT_SECRET`, or from a file. If the
    /// server verifies tokens with public keys, get tokens from the issuer instead.
    Token(TokenArguments),
}

/// The database that a command uses.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub(crate) struct DatabaseArguments {
    /// The owner's URL; the owner creates the schema and stores definitions and tables:
    /// `postgres://user:password@host:port/database`. Put the password into the environment variable, not into the flag,
    /// which every user of the machine can see.
    ///
    /// The parameters are those of libpq, as in `?sslrootcert=ca.pem`. A server on another machine needs TLS with a
    /// certificate of a known authority for its host: give a private authority's certificate with `sslrootcert`, or
    /// write `sslmode=disable` for a network that you trust.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true, value_name = "URL", value_parser = database_url)]
    pub(crate) database_url: Option<DatabaseUrl>,

    /// The reader's URL: the read-only role that runs stored SQL, in the database that has the data. That is the database
    /// of --database-url, a standby of it, or another one. It has the same parameters.
    #[arg(long, env = "READER_DATABASE_URL", hide_env_values = true, global = true, value_name = "URL", value_parser = database_url)]
    pub(crate) reader_database_url: Option<DatabaseUrl>,

    /// A schema whose tables stored SQL reads. Names without a schema are searched in the order of the schemas. May be
    /// repeated, or separated by commas. Give every command the same schemas. To change them, stop the server and run
    /// `metricd migrate` with the new ones [default: warehouse].
    #[arg(
        long = "data-schema",
        env = "METRICD_DATA_SCHEMAS",
        global = true,
        value_name = "SCHEMA",
        value_delimiter = ',',
        value_parser = schema_name
    )]
    pub(crate) data_schemas: Vec<String>,

    /// The folder of the private PostgreSQL, used without --database-url [default: .metricd; for root a folder below
    /// /var/lib/metricd if PostgreSQL's user cannot reach .metricd].
    #[arg(long, env = "METRICD_DATA_DIR", global = true, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,

    /// The folder of PostgreSQL's server programs for the private PostgreSQL, if metricd does not find them.
    #[arg(long, env = "METRICD_POSTGRES_BIN_DIR", global = true, value_name = "FOLDER")]
    pub(crate) postgres_bin_dir: Option<PathBuf>,
}

impl DatabaseArguments {
    /// The schemas that stored SQL reads.
    pub(crate) fn schemas(&self) -> Result<DataSchemas> {
        if self.data_schemas.is_empty() {
            return Ok(DataSchemas::default());
        }
        DataSchemas::new(self.data_schemas.iter().cloned())
            .map_err(|error| usage_error(format!("--data-schema: {error}")))
    }
}

/// What stored SQL may use in addition to what is always allowed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Stored SQL")]
pub(crate) struct GuardArguments {
    /// A function that stored SQL may call in addition to those in docs/guard.md: `name` for one of PostgreSQL's own,
    /// `schema.name` for any other. You are responsible for its safety. May be repeated, or separated by commas.
    #[arg(
        long = "allow-function",
        env = "METRICD_ALLOW_FUNCTIONS",
        global = true,
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub(crate) allow_functions: Vec<String>,

    /// A type that stored SQL may name in addition to those in docs/guard.md, such as one of an extension: `schema.name`,
    /// or `name` for one of PostgreSQL's own. May be repeated, or separated by commas.
    #[arg(long = "allow-type", env = "METRICD_ALLOW_TYPES", global = true, value_name = "NAME", value_delimiter = ',')]
    pub(crate) allow_types: Vec<String>,
}

/// The parsed command line.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) database: DatabaseArguments,
    pub(crate) guard: GuardArguments,
    pub(crate) log: LogFilter,
    pub(crate) log_format: LogFormat,
    pub(crate) command: Command,
}

impl Arguments {
    /// Parses the command line. Prints an error, the help or the version instead, and then returns the exit code.
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

/// An error in the command line or its environment variables that shows only after parsing. The exit code is [`REFUSED`], as
/// for every wrong command line.
#[derive(Debug)]
pub(crate) struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Makes the error of a wrong command line.
pub(crate) fn usage_error(message: impl fmt::Display) -> anyhow::Error {
    UsageError(message.to_string()).into()
}

/// Replaces each option in the message by its environment variable, if that sets the option and the command line does not.
pub(crate) fn name_variables(message: &str) -> String {
    explain::name_variables(message, &CommandLine::command())
}

/// Returns a warning for each environment variable that looks like one of metricd's and is none.
pub(crate) fn misspelled_variables() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    unknown_variables(&CommandLine::command(), names)
}

/// Takes the blanks around a name in a list away. An invalid name is refused together with the others.
#[expect(clippy::unnecessary_wraps, reason = "clap takes functions that may fail")]
fn schema_name(text: &str) -> Result<String, Infallible> {
    Ok(text.trim().to_owned())
}

fn database_url(text: &str) -> Result<DatabaseUrl, metricd_database::InvalidDatabaseUrl> {
    let home = std::env::home_dir();
    let url = DatabaseUrl::parse_with(&text.to_owned().into(), &libpq::defaults(home.as_deref()))?;
    Ok(match home {
        Some(home) => url.with_default_tls_folder(home.join(".postgresql")),
        None => url,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    /// The options without an environment variable, by command. Each describes a single call; a variable would change every
    /// later call as well.
    const OPTIONS_OF_ONE_CALL: [(&str, &[&str]); 6] = [
        ("check", &["format"]),
        (
            "ingest",
            &[
                "strict",
                "dry-run",
                "overwrite-edits",
                "allow-empty",
                "choose-types",
                "format",
                "table",
                "encoding",
                "delimiter",
                "decimal-comma",
                "date-format",
                "null",
                "no-header",
                "sheet",
            ],
        ),
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
    fn data_schemas_are_trimmed_and_checked() {
        let schemas = |list: &str| {
            let line = CommandLine::try_parse_from(["metricd", "migrate", "--data-schema", list]).unwrap();
            line.database.schemas().map_err(|error| error.to_string())
        };
        assert_eq!(schemas("public, sales ").unwrap().names(), ["public", "sales"]);
        for (list, expected) in [
            ("public,", "--data-schema: expected the name of a schema"),
            ("public, public", "--data-schema: the schema `public` occurs twice"),
            ("catalog", "--data-schema: the schema `catalog` holds no data for metrics"),
            ("$user", "--data-schema: `$user` is not the name of a schema"),
        ] {
            assert!(schemas(list).unwrap_err().starts_with(expected), "{list}: {:?}", schemas(list));
        }
        let line = CommandLine::try_parse_from(["metricd", "--data-schema=b", "serve", "--data-schema=a"]).unwrap();
        assert_eq!(line.database.schemas().unwrap().names(), ["a"], "clap keeps the list of the innermost level");
    }

    #[test]
    fn serve_is_the_default_command() {
        let line = CommandLine::try_parse_from(["metricd", "--listen", "127.0.0.1:9000"]).unwrap();
        assert!(line.command.is_none());
        assert_eq!(line.serve.listen.port(), 9000);
    }
}
