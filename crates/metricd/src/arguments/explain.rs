//! Adds to clap's errors the environment variable that a wrong value comes from, and the command that an option belongs to.

use std::env;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Arg, Command};

/// The minimum similarity of a suggestion to the typed name, unless one is a prefix of the other.
const MIN_SIMILARITY: f64 = 0.6;

/// Completes the error: names the variable that a wrong value comes from and the command that an unknown option belongs to, and
/// removes suggestions that are not similar to the typed name.
pub(super) fn explain(mut error: Error, command: &Command) -> Error {
    match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            if let Some(variable) = text(&error, ContextKind::InvalidArg).and_then(|shown| variable_of(&shown, command))
            {
                error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
            }
        }
        ErrorKind::UnknownArgument => {
            if let Some(flag) = text(&error, ContextKind::InvalidArg) {
                let commands = commands_with(&flag, command);
                if !commands.is_empty() {
                    error.remove(ContextKind::SuggestedArg);
                    let hint = format!("'{flag}' is an option of {}", commands.join(", "));
                    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint.into()]));
                }
                drop_dissimilar(&mut error, &flag, ContextKind::SuggestedArg);
            }
        }
        ErrorKind::InvalidSubcommand => {
            if let Some(typed) = text(&error, ContextKind::InvalidSubcommand) {
                drop_dissimilar(&mut error, &typed, ContextKind::SuggestedSubcommand);
            }
        }
        _ => {}
    }
    error
}

/// Replaces each option in the message by the environment variable that sets it.
pub(crate) fn name_variables(message: &str, command: &Command) -> String {
    let is_of_flag = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let pieces = message.split_inclusive(|character| !is_of_flag(character));
    let named = pieces.map(|piece| {
        let flag = piece.trim_end_matches(|character| !is_of_flag(character));
        variable_of(flag, command).map_or_else(|| piece.to_owned(), |variable| piece.replacen(flag, &variable, 1))
    });
    named.collect()
}

/// Returns the variable that sets an option, if the command line does not. `shown` is the option as clap prints it:
/// `--name <VALUE>`.
fn variable_of(shown: &str, command: &Command) -> Option<String> {
    let flag = shown.split(' ').next().filter(|flag| flag.starts_with("--"))?;
    let is_on_command_line = env::args_os().skip(1).any(|argument| {
        let rest = argument.to_str().and_then(|argument| argument.strip_prefix(flag));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    });
    let variable = find(flag.trim_start_matches('-'), command)?.get_env()?;
    (!is_on_command_line && env::var_os(variable).is_some()).then(|| variable.to_string_lossy().into_owned())
}

/// Finds the option with this name, of the command or of a subcommand.
fn find<'a>(name: &str, command: &'a Command) -> Option<&'a Arg> {
    let own = command.get_arguments().find(|argument| argument.get_long() == Some(name));
    own.or_else(|| command.get_subcommands().find_map(|command| find(name, command)))
}

/// Returns the subcommands that have the option.
fn commands_with(flag: &str, command: &Command) -> Vec<String> {
    let name = flag.trim_start_matches('-');
    let commands = command.get_subcommands().filter(|command| find(name, command).is_some());
    commands.map(|found| format!("'{} {}'", command.get_name(), found.get_name())).collect()
}

/// Removes suggestions that are not similar to the typed name.
fn drop_dissimilar(error: &mut Error, typed: &str, kind: ContextKind) {
    let is_similar = |suggested: &str| {
        let (typed, suggested) = (typed.trim_start_matches('-'), suggested.trim_start_matches('-'));
        typed.starts_with(suggested)
            || suggested.starts_with(typed)
            || strsim::normalized_damerau_levenshtein(typed, suggested) >= MIN_SIMILARITY
    };
    let suggested: Vec<_> = match error.remove(kind) {
        Some(ContextValue::String(suggested)) => vec![suggested],
        Some(ContextValue::Strings(suggested)) => suggested,
        _ => return,
    };
    let mut similar: Vec<_> = suggested.into_iter().filter(|suggested| is_similar(suggested)).collect();
    let value =
        if similar.len() == 1 { ContextValue::String(similar.remove(0)) } else { ContextValue::Strings(similar) };
    if !matches!(&value, ContextValue::Strings(none) if none.is_empty()) {
        error.insert(kind, value);
    }
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::arguments::CommandLine;

    fn message(arguments: &str) -> String {
        let parsed = CommandLine::command().try_get_matches_from(format!("metricd {arguments}").split_whitespace());
        explain(parsed.unwrap_err(), &CommandLine::command()).to_string()
    }

    #[test]
    fn an_unknown_option_is_reported_with_the_commands_that_have_it() {
        for (arguments, tip) in [
            ("ingest --listen :80 x", "tip: '--listen' is an option of 'metricd serve'\n"),
            ("serve --strict", "tip: '--strict' is an option of 'metricd ingest'\n"),
            ("--older-than 30d", "tip: '--older-than' is an option of 'metricd purge'\n"),
            ("--format json", "tip: '--format' is an option of 'metricd ingest', 'metricd check', 'metricd migrate'\n"),
            ("openapi --no-sample", "tip: '--no-sample' is an option of 'metricd serve'\n"),
        ] {
            let message = message(arguments);
            assert!(message.contains(tip) && message.matches("tip:").count() == 1, "{message}");
        }
    }

    #[test]
    fn only_similar_names_are_suggested() {
        for (arguments, suggested) in [
            ("--listn :80", "--listen"),
            ("--log-level debug", "--log"),
            ("--data d", "--data-dir"),
            ("serve --jwt-secret s", "--jwt-secret-file"),
            ("serv", "serve"),
            ("ingst d", "ingest"),
        ] {
            let message = message(arguments);
            assert!(message.contains(&format!("exists: '{suggested}'")), "{message}");
        }
        for dissimilar in ["--verbose", "list", "--hosts"] {
            let message = message(dissimilar);
            assert!(!message.contains("tip:"), "{message}");
        }
    }
}
