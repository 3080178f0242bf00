//! Generates the lists of allowed names in docs/guard.md from the lists of the guard.
//!
//! `just lists` writes them.

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

/// The text before and after the lists in the page.
const BEGIN: &str = "<!-- The lists from here on are written by a test. -->\n";
const END: &str = "<!-- End of the lists. -->\n";

/// A paragraph for each class of names. A class begins with a comment after a blank line.
fn listed(file: &str) -> String {
    let classes = file.split("\n\n").filter_map(|class| {
        let names: Vec<_> = class.lines().filter(|line| !line.starts_with('#')).collect();
        let title = class.lines().next()?.strip_prefix("# ")?;
        (!names.is_empty()).then(|| format!("- {title}: `{}`\n", names.join("`, `")))
    });
    classes.collect()
}

/// Each name with the title of its class, such as `("Text", "lower")`.
fn names(lists: &str) -> BTreeSet<(&str, &str)> {
    let classes = lists.lines().filter_map(|line| line.strip_prefix("- ")?.split_once(": `"));
    classes
        .flat_map(|(title, names)| names.trim_end_matches('`').split("`, `").map(move |name| (title, name)))
        .collect()
}

#[test]
fn the_page_lists_every_allowed_function_and_type() {
    let functions = listed(include_str!("../../src/guard/functions.txt"));
    let types = listed(include_str!("../../src/guard/types.txt"));
    let lists = format!("### Functions\n\n{functions}\n### Types\n\nEach of them, and arrays of it.\n\n{types}");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guard.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if env::var_os("METRICD_UPDATE_LISTS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}\n{lists}\n{END}{after}")).unwrap();
    } else {
        let (written, expected) = (names(written), names(&lists));
        let missing: Vec<_> = expected.difference(&written).collect();
        let superfluous: Vec<_> = written.difference(&expected).collect();
        assert!(
            missing.is_empty() && superfluous.is_empty(),
            "docs/guard.md lacks {missing:?} and has the superfluous {superfluous:?}: run `just lists`"
        );
    }
    for name in metricd_execution::Allowed::built_in_functions() {
        assert!(lists.contains(&format!("`{name}`")), "{name}");
    }
}
