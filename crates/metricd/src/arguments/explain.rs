//! What clap's errors do not know: which variable of the environment a value comes from, and to which command an option belongs.

use std::env;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Arg, Command};

/// How similar a name has to be to what was typed to be suggested, unless one of them begins with the other.
const MIN_SIMILARITY: f64 = 0.6;

/// The error with the variable that a wrong value comes from, with the command that an unknown option belongs to, and without
/// suggestions that are far from what was typed.
pub(super) fn explain(mut error: Error, command: &Command) -> Error {
    match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            if let Some(variable) = text(&error, ContextKind::InvalidArg).and_then(|shown| source(&shown, command)) {
                error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
            }
        }
        ErrorKind::UnknownArgument => {
            if let Some(flag) = text(&error, ContextKind::InvalidArg) {
                let owners = owners(&flag, command);
                if !owners.is_empty() {
                    error.remove(ContextKind::SuggestedArg);
                    let hint = format!("'{flag}' is an option of {}", owners.join(", "));
                    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint.into()]));
                }
                drop_far(&mut error, &flag, ContextKind::SuggestedArg);
            }
        }
        ErrorKind::InvalidSubcommand => {
            if let Some(typed) = text(&error, ContextKind::InvalidSubcommand) {
                drop_far(&mut error, &typed, ContextKind::SuggestedSubcommand);
            }
        }
        _ => {}
    }
    error
}

/// The message with each option named by the variable of the environment that gives it.
pub(crate) fn name_variables(message: &str, command: &Command) -> String {
    let is_of_flag = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let pieces = message.split_inclusive(|character| !is_of_flag(character));
    let named = pieces.map(|piece| {
        let flag = piece.trim_end_matches(|character| !is_of_flag(character));
        source(flag, command).map_or_else(|| piece.to_owned(), |variable| piece.replacen(flag, &variable, 1))
    });
    named.collect()
}

/// The variable that gives an option, if the command line does not. The option is shown as clap does: `--name <VALUE>`.
fn source(shown: &str, command: &Command) -> Option<String> {
    let flag = shown.split(' ').next().filter(|flag| flag.starts_with("--"))?;
    let is_on_command_line = env::args_os().skip(1).any(|argument| {
        let rest = argument.to_str().and_then(|argument| argument.strip_prefix(flag));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    });
    let variable = find(flag.trim_start_matches('-'), command)?.get_env()?;
    (!is_on_command_line && env::var_os(variable).is_some()).then(|| variable.to_string_lossy().into_owned())
}

/// The option of this name, of the command or one below.
fn find<'a>(name: &str, command: &'a Command) -> Option<&'a Arg> {
    let own = command.get_arguments().find(|argument| argument.get_long() == Some(name));
    own.or_else(|| command.get_subcommands().find_map(|command| find(name, command)))
}

/// The commands that have the option.
fn owners(flag: &str, command: &Command) -> Vec<String> {
    let name = flag.trim_start_matches('-');
    let owners = command.get_subcommands().filter(|command| find(name, command).is_some());
    owners.map(|owner| format!("'{} {}'", command.get_name(), owner.get_name())).collect()
}

/// Removes what is suggested instead of what was typed, if it is another word.
fn drop_far(error: &mut Error, typed: &str, kind: ContextKind) {
    let is_near = |suggested: &str| {
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
    let mut near: Vec<_> = suggested.into_iter().filter(|suggested| is_near(suggested)).collect();
    let value = if near.len() == 1 { ContextValue::String(near.remove(0)) } else { ContextValue::Strings(near) };
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
    fn an_option_of_another_command_is_named_with_that_command() {
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
    fn only_what_is_near_is_suggested() {
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
        for far in ["--verbose", "list", "--hosts"] {
            let message = message(far);
            assert!(!message.contains("tip:"), "{message}");
        }
    }
}
