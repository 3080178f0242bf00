//! The metricd program: arguments, wiring, exit codes. What metricd does stands in the crates beside this one.

mod arguments;
mod commands;
mod database;
mod log_lines;
mod output;
mod progress;
mod sample;

use std::process::ExitCode;

use crate::arguments::{Arguments, Command};

#[actix_web::main]
async fn main() -> ExitCode {
    let Arguments { database, guard, log, command } = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    // Nobody else has set a logger.
    let log = log_lines::start(&log, matches!(command, Command::Serve(_))).ok();
    let outcome = match command {
        Command::Serve(serve) => commands::serve(&database, &guard, serve).await,
        Command::Ingest(ingest) => commands::ingest(&database, &guard, ingest).await,
        Command::Check(check) => commands::check(&database, &guard, check).await,
        Command::Migrate(migrate) => commands::migrate(&database, migrate),
        Command::Purge(purge) => commands::purge(&database, &purge).await,
    };
    drop(log);
    match outcome {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}
