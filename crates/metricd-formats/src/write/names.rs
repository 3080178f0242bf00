//! Names that differ also if case is ignored, as file systems and spreadsheets compare them.

use std::collections::HashSet;
use std::iter::once;

/// The names that Windows does not give to files, with any extension, but with digits for the last two.
const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// The names of files with these stems, which are ids, and this extension. A stem that Windows reserves gets an underscore.
pub(super) fn file_names<'a>(ids: impl IntoIterator<Item = &'a str>, extension: &str) -> Vec<String> {
    let stem = |id: &str| if is_reserved(id) { format!("{id}_") } else { id.to_owned() };
    let stems = distinct(ids.into_iter().map(stem), |stem, number| format!("{stem}-{number}"));
    stems.into_iter().map(|stem| format!("{stem}.{extension}")).collect()
}

fn is_reserved(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    let device = id.strip_suffix(|last: char| last.is_ascii_digit());
    RESERVED[..4].contains(&id.as_str()) || device.is_some_and(|device| RESERVED[4..].contains(&device))
}

/// Replaces each name that an earlier one has taken by the first that `numbered` makes of it, from 2 on, and that is free.
pub(super) fn distinct(
    wanted: impl IntoIterator<Item = String>,
    numbered: impl Fn(&str, usize) -> String,
) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut choose = |name: String| {
        let mut candidates = once(name.clone()).chain((2..).map(|number| numbered(&name, number)));
        // There is always a free number.
        candidates.find(|candidate| taken.insert(candidate.to_uppercase())).unwrap_or(name)
    };
    wanted.into_iter().map(&mut choose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_ids_of_their_metrics_unless_two_differ_by_case_alone() {
        assert_eq!(
            file_names(["a", "B", "A", "a-2", "-x"], "csv"),
            ["a.csv", "B.csv", "A-2.csv", "a-2-2.csv", "-x.csv"]
        );
    }

    #[test]
    fn names_that_windows_reserves_get_an_underscore() {
        let ids = ["con", "NUL", "com0", "LPT9", "com", "com10", "com1x", "aux_", "AUX", "console"];
        let names = file_names(ids, "csv");
        let expected = ["con_", "NUL_", "com0_", "LPT9_", "com", "com10", "com1x", "aux_", "AUX_-2", "console"];
        assert_eq!(names, expected.map(|stem| format!("{stem}.csv")));
    }
}
