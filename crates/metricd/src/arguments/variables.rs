//! Warnings about environment variables that metricd ignores.

use std::collections::BTreeSet;

use crate::access::SECRET;

/// The prefix of metricd's own variables.
const PREFIX: &str = "METRICD_";

/// The minimum similarity of a known name to be suggested.
const MIN_SIMILARITY: f64 = 0.7;

/// Returns a warning for each name with metricd's prefix that metricd does not read, with the most similar known name.
pub(super) fn unknown_variables(command: &clap::Command, names: impl Iterator<Item = String>) -> Vec<String> {
    // The secret has no option, because every user of the machine can see the command line.
    let mut known = BTreeSet::from([SECRET.to_owned()]);
    add_variables(command, &mut known);
    let unknown: BTreeSet<String> =
        names.filter(|name| name.starts_with(PREFIX) && !known.contains(name.as_str())).collect();
    let warning = |name: &String| {
        let similar = known.iter().map(|known| (strsim::normalized_damerau_levenshtein(name, known), known));
        let most_similar =
            similar.filter(|(similarity, _)| *similarity >= MIN_SIMILARITY).max_by(|a, b| a.0.total_cmp(&b.0));
        let suggestion =
            most_similar.map(|(_, suggestion)| format!(": did you mean `{suggestion}`?")).unwrap_or_default();
        format!("the environment variable `{name}` is not known and has no effect{suggestion}")
    };
    unknown.iter().map(warning).collect()
}

fn add_variables(command: &clap::Command, known: &mut BTreeSet<String>) {
    let variables = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
    known.extend(variables.map(str::to_owned));
    for command in command.get_subcommands() {
        add_variables(command, known);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::arguments::CommandLine;

    fn warnings(names: &[&str]) -> Vec<String> {
        unknown_variables(&CommandLine::command(), names.iter().map(ToString::to_string))
    }

    #[test]
    fn a_misspelled_variable_is_reported_with_a_suggestion() {
        let warnings = warnings(&["METRICD_LISTN", "METRICD_WEATHER", "PATH", "METRIC_LISTEN"]);
        assert_eq!(
            warnings,
            [
                "the environment variable `METRICD_LISTN` is not known and has no effect: did you mean `METRICD_LISTEN`?",
                "the environment variable `METRICD_WEATHER` is not known and has no effect",
            ]
        );
    }

    #[test]
    fn every_variable_of_any_command_is_known() {
        let known =
            ["METRICD_LISTEN", "METRICD_LOG", "METRICD_DATA_DIR", "METRICD_JWT_SECRET", "METRICD_JWT_SECRET_FILE"];
        assert!(warnings(&known).is_empty());
    }
}
