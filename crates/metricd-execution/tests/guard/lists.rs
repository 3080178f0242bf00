//! The lists of allowed names in docs/guard.md, which are made of the guard's own.
//!
//! `METRICD_UPDATE_LISTS=1 cargo test -p metricd-execution the_page_lists` writes them.

use std::path::Path;
use std::{env, fs};

/// Where the lists begin and end in the page.
const BEGIN: &str = "<!-- The lists from here on are written by a test. -->\n";
const END: &str = "<!-- End of the lists. -->\n";

/// A paragraph for each class of names. A class begins with a comment behind a blank line.
fn listed(file: &str) -> String {
    let classes = file.split("\n\n").filter_map(|class| {
        let names: Vec<_> = class.lines().filter(|line| !line.starts_with('#')).collect();
        let title = class.lines().next()?.strip_prefix("# ")?;
        (!names.is_empty()).then(|| format!("- {title}: `{}`\n", names.join("`, `")))
    });
    classes.collect()
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
        assert_eq!(written.trim(), lists.trim(), "METRICD_UPDATE_LISTS=1 writes the lists");
    }
    for name in metricd_execution::Allowed::built_in_functions() {
        assert!(lists.contains(&format!("`{name}`")), "{name}");
    }
}
