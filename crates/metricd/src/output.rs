//! What is printed: results on standard output, everything else on standard error. A reader that has gone away is no error.

use std::io::{self, Write};

/// Prints on standard output.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints why the program could not do what it was asked for.
pub(crate) fn error(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "metricd: {}", message(error));
}

/// The error on one line, with each cause that the words before do not tell.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // What the operating system says ends in its number, which tells nobody anything.
        let told = cause.split(" (os error").next().unwrap_or_default();
        if !message.to_lowercase().contains(&told.to_lowercase()) && !told.is_empty() {
            message = format!("{message}: {cause}");
        }
    }
    message
}

/// Prints help, the version, or what is wrong with the command line.
pub(crate) fn usage(error: &clap::Error) {
    // A value that is wrong may hold a password, and clap quotes it.
    let is_url = error.context().any(|(_, value)| value.to_string().contains("database-url"));
    let is_value = error.kind() == clap::error::ErrorKind::ValueValidation;
    let source = std::error::Error::source(error);
    if let (true, true, Some(source)) = (is_url, is_value, source) {
        let flag =
            if error.to_string().contains("reader-database-url") { "READER_DATABASE_URL" } else { "DATABASE_URL" };
        let _ = writeln!(io::stderr(), "metricd: {flag} is no URL of a database: {source}");
    } else {
        let _ = error.print();
    }
}
