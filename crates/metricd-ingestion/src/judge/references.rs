//! What the files say of each other, and of what is stored: one id for one content, and nothing that names what is not there.

use std::collections::{BTreeMap, BTreeSet};

use metricd_domain::{
    Breakpoint, Dashboard, DashboardId, DashboardItem, EntryCounts, LayoutEntry, Location, Metric, MetricId, Query,
    QueryId, Suggestion,
};
use metricd_repository::{Definitions, Known, Mentioned};

use super::suggestions::{Faults, suggest};
use super::{DraftDashboard, Located, merge};
use crate::Reason;
use crate::findings::Findings;

/// What the files bring, each entry good in itself.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    pub(crate) queries: Vec<Located<Query>>,
    pub(crate) query_entries: u64,
    pub(crate) drafts: Vec<DraftDashboard>,
}

/// What of the definitions remains once references are judged.
#[derive(Debug, Default)]
pub(crate) struct References {
    pub(crate) definitions: Definitions,
    pub(crate) queries: EntryCounts,
    pub(crate) metrics: EntryCounts,
    pub(crate) layout_entries: EntryCounts,
    pub(crate) suggestions: Vec<Suggestion>,
}

impl Brought {
    /// The ids about which the store is to say what it knows.
    pub(crate) fn mentioned(&self) -> Mentioned {
        let metrics = self.drafts.iter().flat_map(|draft| &draft.metrics);
        let named = metrics.map(|metric| metric.value.query_id.clone());
        Mentioned {
            query_ids: self.queries.iter().map(|query| query.value.query_id.clone()).chain(named).collect(),
            dashboard_ids: self.drafts.iter().map(|draft| draft.dashboard_id.clone()).collect(),
        }
    }

    /// Judges every reference, now that it is known what is stored.
    pub(crate) fn judge(self, known: &Known, findings: &mut Findings) -> References {
        let mut references = References::default();
        let mut faults = Faults::default();

        references.queries.read = self.query_entries;
        let queries = merge(self.queries, |query| query.query_id.clone());
        references.queries.repeated = queries.repeated.len() as u64;
        notice_repeated(&queries.repeated, |query| format!("query `{}`", query.query_id), findings);
        for (query, first) in queries.conflicting {
            let line = queries.kept[first].location.line.unwrap_or_default();
            let id = &query.value.query_id;
            let message = format!(
                "`{id}` is the id of the query on line {line} of `{}` already, whose SQL differs; the first stands",
                queries.kept[first].location.file
            );
            findings.refuse(query.location, Some(id.as_str()), Reason::IdConflict, message);
        }
        references.queries.refused = self.query_entries - references.queries.repeated - queries.kept.len() as u64;

        let metrics = judge_metrics(&self.drafts, &queries.kept, known, &mut references.metrics, &mut faults, findings);
        notice_unused(&queries.kept, &metrics, known, &mut faults, findings);
        let dashboards =
            judge_dashboards(self.drafts, &metrics, known, &mut references.layout_entries, &mut faults, findings);

        references.suggestions = suggest(&faults);
        references.definitions = Definitions {
            queries: queries.kept.into_iter().map(|query| query.value).collect(),
            metrics: metrics.into_values().collect(),
            dashboards,
        };
        references
    }
}

fn notice_repeated<T>(repeated: &[Located<T>], name: impl Fn(&T) -> String, findings: &mut Findings) {
    for entry in repeated {
        let message = format!("{} stands in the files more than once with the same content", name(&entry.value));
        findings.notice(entry.location.clone(), Reason::EntryRepeated, message);
    }
}

/// The metrics that may be stored, by id.
fn judge_metrics(
    drafts: &[DraftDashboard],
    queries: &[Located<Query>],
    known: &Known,
    counts: &mut EntryCounts,
    faults: &mut Faults,
    findings: &mut Findings,
) -> BTreeMap<MetricId, Metric> {
    counts.read = drafts.iter().map(|draft| draft.item_count).sum();
    let entries = drafts.iter().flat_map(|draft| draft.metrics.iter().cloned()).collect();
    let merged = merge(entries, |metric: &Metric| metric.metric_id.clone());
    counts.repeated = merged.repeated.len() as u64;
    notice_repeated(&merged.repeated, |metric| format!("metric `{}`", metric.metric_id), findings);
    for (metric, first) in merged.conflicting {
        let first = &merged.kept[first];
        let message = conflict(&metric, first);
        let id = metric.value.metric_id.as_str();
        findings.refuse(metric.location.clone(), Some(id), Reason::IdConflict, message);
        faults.conflicts.push((metric, first.clone()));
    }
    let brought: BTreeSet<_> = queries.iter().map(|query| &query.value.query_id).collect();
    let mut kept = BTreeMap::new();
    for metric in merged.kept {
        let query_id = &metric.value.query_id;
        if brought.contains(query_id) || known.query_ids.contains(query_id) {
            kept.insert(metric.value.metric_id.clone(), metric.value);
        } else {
            let message = format!("there is no query `{query_id}`, neither in the files nor stored");
            findings.refuse(metric.location.clone(), Some(query_id.as_str()), Reason::QueryMissing, message);
            faults.without_query.push(metric);
        }
    }
    counts.refused = counts.read - counts.repeated - kept.len() as u64;
    kept
}

fn conflict(metric: &Located<Metric>, first: &Located<Metric>) -> String {
    let (this, that) = (item_name(&metric.location), item_name(&first.location));
    let id = &metric.value.metric_id;
    let elsewhere = if metric.location.file == first.location.file {
        String::new()
    } else {
        format!(" of `{}`", first.location.file)
    };
    if metric.value.query_id == first.value.query_id {
        format!("`{id}` is the id of {that}{elsewhere} already, which differs in `isEditable`; the first stands")
    } else {
        format!(
            "`{id}` is the id of {that}{elsewhere} already, with the query `{}`; {this} names the query `{}`; the first stands",
            first.value.query_id, metric.value.query_id
        )
    }
}

/// What people call the place of an item: `item 5` for `/items/4`.
pub(super) fn item_name(location: &Location) -> String {
    let index = location.pointer.as_deref().and_then(|pointer| pointer.rsplit('/').next()?.parse::<usize>().ok());
    index.map_or_else(|| "the item".to_owned(), |index| format!("item {}", index + 1))
}

fn notice_unused(
    queries: &[Located<Query>],
    metrics: &BTreeMap<MetricId, Metric>,
    known: &Known,
    faults: &mut Faults,
    findings: &mut Findings,
) {
    // A stored metric that is brought anew reads what it reads now.
    let stored =
        known.readers.iter().filter(|(_, metric_id)| !metrics.contains_key(metric_id)).map(|(query_id, _)| query_id);
    let read: BTreeSet<&QueryId> = metrics.values().map(|metric| &metric.query_id).chain(stored).collect();
    for query in queries.iter().filter(|query| !read.contains(&query.value.query_id)) {
        let message = format!("no metric reads the query `{}`", query.value.query_id);
        findings.notice(query.location.clone(), Reason::QueryUnused, message);
        faults.unused_queries.insert(query.value.query_id.clone());
    }
}

fn judge_dashboards(
    drafts: Vec<DraftDashboard>,
    metrics: &BTreeMap<MetricId, Metric>,
    known: &Known,
    counts: &mut EntryCounts,
    faults: &mut Faults,
    findings: &mut Findings,
) -> Vec<Dashboard> {
    counts.read = drafts.iter().map(|draft| draft.layout_entry_count).sum();
    let without_query: BTreeSet<_> = faults.without_query.iter().map(|metric| metric.value.metric_id.clone()).collect();
    let mut items: BTreeMap<DashboardId, Vec<DashboardItem>> = BTreeMap::new();
    let mut dashboards: Vec<Dashboard> = Vec::new();
    let mut entries = Vec::new();
    for draft in drafts {
        let of_dashboard = items.entry(draft.dashboard_id.clone()).or_insert_with(|| {
            let (dashboard_id, name) = (draft.dashboard_id.clone(), draft.name.clone());
            dashboards.push(Dashboard { dashboard_id, name, items: Vec::new(), layouts: BTreeMap::new() });
            Vec::new()
        });
        let mut present: BTreeSet<_> = of_dashboard.iter().map(|item| item.metric_id.clone()).collect();
        for Metric { metric_id, .. } in draft.metrics.iter().map(|metric| &metric.value) {
            if metrics.contains_key(metric_id) && present.insert(metric_id.clone()) {
                of_dashboard.push(DashboardItem { metric_id: metric_id.clone() });
            }
        }
        for entry in draft.layout_entries {
            let Located { value: (breakpoint, entry), location } = entry;
            let known_item = (draft.dashboard_id.clone(), entry.metric_id.clone());
            if present.contains(&entry.metric_id) || known.dashboard_items.contains(&known_item) {
                entries.push(Located { value: (draft.dashboard_id.clone(), breakpoint, entry), location });
            } else {
                let was_refused =
                    draft.refused_ids.contains(&entry.metric_id) || without_query.contains(&entry.metric_id);
                refuse_orphan(&entry, breakpoint, &location, was_refused, faults, findings);
            }
        }
    }
    let merged = merge(entries, |(dashboard_id, breakpoint, entry): &(DashboardId, Breakpoint, LayoutEntry)| {
        (dashboard_id.clone(), *breakpoint, entry.metric_id.clone())
    });
    let name = |(_, breakpoint, entry): &(DashboardId, Breakpoint, LayoutEntry)| {
        format!("the entry of `{}` in the layout `{breakpoint}`", entry.metric_id)
    };
    notice_repeated(&merged.repeated, name, findings);
    counts.repeated = merged.repeated.len() as u64;
    for (entry, first) in merged.conflicting {
        let (_, breakpoint, LayoutEntry { metric_id, .. }) = &entry.value;
        let place = merged.kept[first].location.pointer.clone().unwrap_or_default();
        let message =
            format!("`{metric_id}` stands in the layout `{breakpoint}` already, at `{place}`; the first stands");
        findings.refuse(entry.location, Some(metric_id.as_str()), Reason::LayoutConflict, message);
    }
    counts.refused = counts.read - counts.repeated - merged.kept.len() as u64;
    for Located { value: (dashboard_id, breakpoint, entry), .. } in merged.kept {
        if let Some(dashboard) = dashboards.iter_mut().find(|dashboard| dashboard.dashboard_id == dashboard_id) {
            dashboard.layouts.entry(breakpoint).or_default().push(entry);
        }
    }
    for dashboard in &mut dashboards {
        dashboard.items = items.remove(&dashboard.dashboard_id).unwrap_or_default();
    }
    dashboards
}

fn refuse_orphan(
    entry: &LayoutEntry,
    breakpoint: Breakpoint,
    location: &Location,
    was_refused: bool,
    faults: &mut Faults,
    findings: &mut Findings,
) {
    let id = &entry.metric_id;
    let message = if was_refused {
        format!("the layout `{breakpoint}` places `{id}`, whose item was refused")
    } else {
        faults.orphans.entry((location.file.clone(), id.clone())).or_default().push(breakpoint);
        format!("the layout `{breakpoint}` places `{id}`, which no item defines")
    };
    findings.refuse(location.clone(), Some(id.as_str()), Reason::LayoutMetricUnknown, message);
}
