//! Suggests probable causes that several faults share.

use std::collections::{BTreeMap, BTreeSet};

use metricd_domain::{Breakpoint, Location, Metric, MetricId, QueryId, Suggestion};

use super::Located;
use super::references::item_name;

/// The faults from which causes are inferred.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Items whose id another item already has, with that item.
    pub(crate) conflicts: Vec<(Located<Metric>, Located<Metric>)>,
    /// Ids that a layout places but no item has, by file.
    pub(crate) orphans: BTreeMap<(String, MetricId), Vec<Breakpoint>>,
    /// Items whose query does not exist.
    pub(crate) without_query: Vec<Located<Metric>>,
    /// Metrics that were refused because of their SQL, or because of declarations that do not fit the SQL.
    pub(crate) refused_with_sql: BTreeSet<MetricId>,
    /// Queries that no metric reads.
    pub(crate) unused_queries: BTreeSet<QueryId>,
    /// Queries that metrics read, as far as the ingestion knows.
    pub(crate) read_queries: BTreeSet<QueryId>,
}

/// The maximum number of items, and of queries, that are compared pairwise. With more of them, a typing error is
/// unlikely and the comparison expensive.
const MAX_COMPARED_ENTRIES: usize = 200;

/// Finds the probable causes of the faults. It suggests nothing if there is more than one candidate.
pub(crate) fn suggest(faults: &Faults) -> Vec<Suggestion> {
    let mut suggestions = Vec::new();
    let files: BTreeSet<_> = faults.conflicts.iter().map(|(item, _)| &item.location.file).collect();
    suggestions.extend(files.into_iter().filter_map(|file| id_of_conflicting_item(file, faults)));
    let queries = faults.unused_queries.len() + faults.read_queries.len();
    if faults.without_query.len() <= MAX_COMPARED_ENTRIES && queries <= MAX_COMPARED_ENTRIES {
        suggestions.extend(faults.without_query.iter().filter_map(|item| query_of_item(item, faults)));
    }
    suggestions
}

/// Suggests an id for an item: if one item repeats an id, and the layouts place one id that no item has, the item was
/// probably meant to have that id.
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

/// Suggests a query for an item whose query does not exist: a similar name, preferably that of a query that no metric
/// reads.
fn query_of_item(item: &Located<Metric>, faults: &Faults) -> Option<Suggestion> {
    let missing = item.value.query_id.as_str();
    let is_similar = |query_id: &&QueryId| strsim::normalized_damerau_levenshtein(query_id.as_str(), missing) >= 0.8;
    let mut unused = faults.unused_queries.iter().filter(is_similar).peekable();
    let is_unused = unused.peek().is_some();
    let mut candidates = unused.chain(faults.read_queries.iter().filter(|_| !is_unused).filter(is_similar));
    let (Some(candidate), None) = (candidates.next(), candidates.next()) else { return None };
    let name = item_name(&item.location);
    let unread = if is_unused { format!(", and no metric reads `{candidate}`") } else { String::new() };
    let message = format!("did you mean `{candidate}` as the query of {name}? There is no query `{missing}`{unread}");
    Some(Suggestion { location: item.location.clone(), message })
}
