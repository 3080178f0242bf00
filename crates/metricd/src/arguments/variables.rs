//! Environment variables that metricd would ignore.

use std::collections::BTreeSet;

use crate::access::SECRET;

/// How metricd's own variables begin.
const PREFIX: &str = "METRICD_";

/// How similar a known name has to be to be suggested.
const MIN_SIMILARITY: f64 = 0.7;

/// A sentence for each name that begins like metricd's own and that metricd does not read, with the most similar name.
pub(super) fn unknown_variables(command: &clap::Command, names: impl Iterator<Item = String>) -> Vec<String> {
    // The secret is read past the command line, where every user of the machine could see it.
    let mut known = BTreeSet::from([SECRET.to_owned()]);
    add_variables(command, &mut known);
    let unknown: BTreeSet<String> =
        names.filter(|name| name.starts_with(PREFIX) && !known.contains(name.as_str())).collect();
    let sentence = |name: &String| {
        let similar = known.iter().map(|known| (strsim::normalized_damerau_levenshtein(name, known), known));
        let nearest =
            similar.filter(|(similarity, _)| *similarity >= MIN_SIMILARITY).max_by(|a, b| a.0.total_cmp(&b.0));
        let meant = nearest.map(|(_, meant)| format!(": did you mean `{meant}`?")).unwrap_or_default();
        format!("the environment variable `{name}` is not known and has no effect{meant}")
    };
    unknown.iter().map(sentence).collect()
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

    fn sentences(names: &[&str]) -> Vec<String> {
        unknown_variables(&CommandLine::command(), names.iter().map(ToString::to_string))
    }

    #[test]
    fn a_misspelled_variable_is_told_with_the_one_that_was_meant() {
        let told = sentences(&["METRICD_LISTN", "METRICD_WEATHER", "PATH", "METRIC_LISTEN"]);
        assert_eq!(
            told,
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
        assert!(sentences(&known).is_empty());
    }
}
