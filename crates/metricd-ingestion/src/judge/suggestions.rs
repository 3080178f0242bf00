//! What several faults together show to be their probable cause.

use std::collections::{BTreeMap, BTreeSet};

use metricd_domain::{Breakpoint, Location, Metric, MetricId, QueryId, Suggestion};

use super::Located;
use super::references::item_name;

/// The faults from which a cause can be guessed.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Items whose id belongs to another item already, with that item.
    pub(crate) conflicts: Vec<(Located<Metric>, Located<Metric>)>,
    /// By file, ids that layouts place and no item defines.
    pub(crate) orphans: BTreeMap<(String, MetricId), Vec<Breakpoint>>,
    /// Items whose query is not there.
    pub(crate) without_query: Vec<Located<Metric>>,
    /// Metrics that were refused because of their SQL, or of what they declare of it.
    pub(crate) refused_with_sql: BTreeSet<MetricId>,
    /// Queries that no metric reads.
    pub(crate) unused_queries: BTreeSet<QueryId>,
}

/// Up to how many items are compared with up to how many queries. Beyond it the fault is hardly a slip of the pen, and each
/// would be compared with each.
const MAX_COMPARED: usize = 200;

/// The causes that the faults show together. Where more than one could be meant, nothing is suggested.
pub(crate) fn suggest(faults: &Faults) -> Vec<Suggestion> {
    let mut suggestions = Vec::new();
    let files: BTreeSet<_> = faults.conflicts.iter().map(|(item, _)| &item.location.file).collect();
    suggestions.extend(files.into_iter().filter_map(|file| id_of_conflicting_item(file, faults)));
    if faults.without_query.len() <= MAX_COMPARED && faults.unused_queries.len() <= MAX_COMPARED {
        suggestions.extend(faults.without_query.iter().filter_map(|item| query_of_item(item, faults)));
    }
    suggestions
}

/// One item too many under one id, and one id for which the layouts wait: the item was probably meant to have that id.
fn id_of_conflicting_item(file: &str, faults: &Faults) -> Option<Suggestion> {
    let mut conflicts = faults.conflicts.iter().filter(|(item, _)| item.location.file == file);
    let mut orphans = faults.orphans.iter().filter(|((orphan_file, _), _)| orphan_file == file);
    let (Some((item, first)), None) = (conflicts.next(), conflicts.next()) else { return None };
    let (Some(((_, id), breakpoints)), None) = (orphans.next(), orphans.next()) else { return None };
    let layouts: Vec<_> = breakpoints.iter().map(|breakpoint| format!("`{breakpoint}`")).collect();
    let unused = if faults.unused_queries.contains(&item.value.query_id) {
        format!(", and no other metric reads its query `{}`", item.value.query_id)
    } else {
        String::new()
    };
    let (this, that) = (item_name(&item.location), item_name(&first.location));
    let message = format!(
        "did you mean `{id}` as the id of {this}? {this} repeats the id of {that}{unused}; \
         the layouts {} place `{id}`, which no item defines",
        layouts.join(" and "),
    );
    let pointer = item.location.pointer.as_ref().map(|pointer| format!("{pointer}/id"));
    Some(Suggestion { location: Location { pointer, ..item.location.clone() }, message })
}

/// A query that is not there, and one much like it that nobody reads: probably a slip of the pen.
fn query_of_item(item: &Located<Metric>, faults: &Faults) -> Option<Suggestion> {
    let missing = item.value.query_id.as_str();
    let alike = |query_id: &&QueryId| strsim::normalized_damerau_levenshtein(query_id.as_str(), missing) >= 0.8;
    let mut candidates = faults.unused_queries.iter().filter(alike);
    let (Some(candidate), None) = (candidates.next(), candidates.next()) else { return None };
    let name = item_name(&item.location);
    let message = format!(
        "did you mean `{candidate}` as the query of {name}? There is no query `{missing}`, and no metric reads `{candidate}`"
    );
    Some(Suggestion { location: item.location.clone(), message })
}
