//! Prints results on standard output, and everything else on standard error. A closed stream is not an error.

use std::io::{self, Write};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::arguments::name_variables;

/// Prints on standard output.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints why the program failed.
pub(crate) fn error(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "metricd: {}", message(error));
}

/// Prints a warning that the log does not show.
pub(crate) fn warning(text: &str) {
    let _ = writeln!(io::stderr(), "metricd: {text}");
}

/// Returns the error on one line, with each cause that the text before does not contain. Names an option by the environment
/// variable that sets it.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // An error of the operating system ends with its number, which helps no reader.
        let reason = cause.split(" (os error").next().unwrap_or_default();
        if !message.to_lowercase().contains(&reason.to_lowercase()) && !reason.is_empty() {
            message = format!("{message}: {}", if cause.ends_with(')') { reason } else { &cause });
        }
    }
    name_variables(&message)
}

/// Prints help, the version, or what is wrong with the command line.
pub(crate) fn usage(error: &clap::Error) {
    let source = std::error::Error::source(error).filter(|_| error.kind() == ErrorKind::ValueValidation);
    if let (Some(ContextValue::String(argument)), Some(source)) = (error.get(ContextKind::InvalidArg), source)
        && let Some(name) = argument.split(' ').next()
        && ["--database-url", "--reader-database-url", "DATABASE_URL", "READER_DATABASE_URL", "[URL]"].contains(&name)
    {
        // The value may hold a password, and clap quotes it.
        let _ = writeln!(io::stderr(), "metricd: {name} is not a database URL: {source}");
    } else {
        let _ = error.print();
    }
}
