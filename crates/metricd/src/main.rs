//! The metricd program: arguments, wiring, exit codes. What metricd does stands in the crates beside this one.

mod access;
mod arguments;
mod commands;
mod database;
mod log_filter;
mod log_format;
mod log_lines;
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
    // Nobody else has set a logger.
    let filter = log;
    let log = log_lines::start(filter.as_str(), log_format, matches!(command, Command::Serve(_))).ok();
    for sentence in arguments::misspelled_variables() {
        log::warn!("{sentence}");
    }
    for sentence in filter.warnings().map(|sentence| arguments::name_variables(&sentence)) {
        log::warn!("{sentence}");
        // Without a level of its own, the rest of the program logs nothing.
        if !log::log_enabled!(log::Level::Warn) {
            output::warning(&sentence);
        }
    }
    let outcome = match command {
        Command::Serve(serve) => commands::serve(&database, &guard, *serve).await,
        Command::Ingest(ingest) => commands::ingest(&database, &guard, ingest).await,
        Command::Check(check) => commands::check(&database, &guard, check).await,
        Command::Migrate(migrate) => commands::migrate(&database, migrate),
        Command::Openapi(openapi) => commands::openapi(&database, &guard, &openapi).await,
        Command::Token(token) => commands::token(&token),
        Command::Purge(purge) => commands::purge(&database, &purge).await,
    };
    if let (Err(error), LogFormat::Json) = (&outcome, log_format) {
        // Programs that read the log read nothing else.
        log::error!("{}", output::message(error));
    }
    drop(log);
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
