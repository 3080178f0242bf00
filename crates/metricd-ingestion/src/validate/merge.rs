//! Merges entries with the same key, of which the first is kept.

use std::collections::BTreeMap;

use metricd_domain::Location;

/// A value with its location in the input.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) location: Location,
}

/// The result of merging entries by key.
#[derive(Debug)]
pub(crate) struct Merged<T> {
    /// The first entry of each key, in the order of the input.
    pub(crate) kept: Vec<Located<T>>,
    /// Entries that equal a kept one.
    pub(crate) repeated: Vec<Located<T>>,
    /// Entries that differ from a kept one with the same key, and its index in `kept`.
    pub(crate) conflicting: Vec<(Located<T>, usize)>,
}

/// Merges entries by key.
pub(crate) fn merge<T: PartialEq, K: Ord>(entries: Vec<Located<T>>, key: impl Fn(&T) -> K) -> Merged<T> {
    let mut merged = Merged { kept: Vec::<Located<T>>::new(), repeated: Vec::new(), conflicting: Vec::new() };
    let mut index_of = BTreeMap::new();
    for entry in entries {
        match index_of.get(&key(&entry.value)) {
            None => {
                index_of.insert(key(&entry.value), merged.kept.len());
                merged.kept.push(entry);
            }
            Some(&index) if merged.kept[index].value == entry.value => merged.repeated.push(entry),
            Some(&index) => merged.conflicting.push((entry, index)),
        }
    }
    merged
}
