//! The metricd program: arguments, wiring and exit codes. The other crates of the workspace implement everything else.

mod access;
mod arguments;
mod commands;
mod database;
mod log_filter;
mod log_format;
mod output;
mod progress;
mod sample;
mod tenants;

use std::process::ExitCode;

use crate::arguments::{Arguments, Command, REFUSED, UsageError};
use crate::log_format::LogFormat;

#[actix_web::main]
async fn main() -> ExitCode {
    let Arguments { database, guard, log, log_format, command } = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    let filter = log;
    log_format.start(filter.as_str());
    for warning in arguments::misspelled_variables() {
        log::warn!("{warning}");
    }
    for warning in filter.warnings().map(|warning| arguments::name_variables(&warning)) {
        log::warn!("{warning}");
        // A filter with only such directives disables warnings as well.
        if !log::log_enabled!(log::Level::Warn) {
            output::warning(&warning);
        }
    }
    let outcome = match command {
        Command::Serve(serve) => commands::serve(&database, &guard, *serve).await,
        Command::Ingest(ingest) => commands::ingest(&database, &guard, ingest).await,
        Command::Check(check) => commands::check(&database, &guard, check).await,
        Command::Connect(connect) => commands::connect(&database, connect).await,
        Command::Migrate(migrate) => commands::migrate(&database, migrate).await,
        Command::Openapi(openapi) => commands::openapi(&database, &guard, &openapi).await,
        Command::Token(token) => commands::token(&token),
        Command::Purge(purge) => commands::purge(&database, &purge).await,
    };
    if let (Err(error), LogFormat::Json) = (&outcome, log_format) {
        // A program that reads JSON lines cannot read plain text.
        log::error!("{}", output::message(error));
    }
    match outcome {
        Ok(code) => code,
        Err(error) => {
            if log_format == LogFormat::Text || !log::log_enabled!(log::Level::Error) {
                output::error(&error);
            }
            if error.is::<UsageError>() { ExitCode::from(REFUSED) } else { ExitCode::FAILURE }
        }
    }
}
