//! The functions that hardening revokes from PUBLIC, in classes, and those that PUBLIC keeps.

use std::sync::LazyLock;

/// A class of functions that do the same kind of harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HarmClass {
    /// A short name, such as `advisory-locks`.
    pub name: &'static str,
    /// What the functions do, as the predicate of a sentence.
    pub harm: &'static str,
    /// The functions of `pg_catalog`: a name for all overloads, or a name with argument types for one.
    pub functions: Vec<&'static str>,
}

/// The class of volatile functions that no list knows, such as those of a newer version of PostgreSQL or of a fork.
pub const UNKNOWN_CLASS: &str = "unknown";

static HARM_CLASSES: LazyLock<Vec<HarmClass>> = LazyLock::new(|| parse(include_str!("harm.txt")));

/// The classes of functions that hardening revokes from PUBLIC.
#[must_use]
pub fn harm_classes() -> &'static [HarmClass] {
    &HARM_CLASSES
}

/// The names of volatile functions that PUBLIC may execute by default and that do no harm. A volatile function of PostgreSQL
/// that is neither here nor in [`harm_classes`] counts as harmful: nobody has reviewed it.
pub fn harmless_functions() -> impl Iterator<Item = &'static str> {
    let lines = include_str!("harmless.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('\t')).map(|(name, _)| name)
}

/// What the functions of a class do, or what `temporary`, the right to make temporary tables, allows.
#[must_use]
pub fn harm_of(class: &str) -> &'static str {
    let known = harm_classes().iter().find(|known| known.name == class).map(|known| known.harm);
    known.unwrap_or(match class {
        "temporary" => "make temporary tables",
        UNKNOWN_CLASS => "are volatile, and this version of metricd does not know whether they do harm",
        _ => "are no longer listed as harmful",
    })
}

fn parse(text: &'static str) -> Vec<HarmClass> {
    let mut classes: Vec<HarmClass> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix('[').and_then(|line| line.split_once("] ")) {
            Some((name, harm)) => classes.push(HarmClass { name, harm, functions: Vec::new() }),
            None => classes.iter_mut().last().into_iter().for_each(|class| class.functions.push(line)),
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_function_is_in_one_class() {
        let functions: Vec<_> = harm_classes().iter().flat_map(|class| &class.functions).collect();
        assert_eq!(functions.len(), functions.iter().collect::<BTreeSet<_>>().len());
        assert!(harm_classes().iter().all(|class| !class.functions.is_empty() && !class.harm.is_empty()));
        let listed = include_str!("harm.txt").lines().filter(|line| line.starts_with(char::is_alphabetic)).count();
        assert_eq!(functions.len(), listed);
    }

    #[test]
    fn every_harmless_function_has_a_reason_and_is_in_no_class() {
        let lines = include_str!("harmless.txt").lines().filter(|line| !line.starts_with('#'));
        let unreasoned: Vec<_> =
            lines.filter(|line| !matches!(line.split_once('\t'), Some((_, reason)) if !reason.is_empty())).collect();
        assert!(unreasoned.is_empty(), "{unreasoned:?}");
        let harmful: BTreeSet<_> = harm_classes().iter().flat_map(|class| class.functions.iter().copied()).collect();
        let both: Vec<_> = harmless_functions().filter(|name| harmful.contains(name)).collect();
        assert!(both.is_empty(), "{both:?}");
    }

    #[test]
    fn the_runner_may_release_locks() {
        assert!(harmless_functions().any(|name| name == "pg_advisory_unlock_all"));
    }
}
