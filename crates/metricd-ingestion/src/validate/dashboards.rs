//! Validates dashboards: their ids, their items and their layout entries.

use std::collections::{BTreeMap, BTreeSet};

use metricd_domain::{
    Breakpoint, DashboardId, DashboardItem, DashboardName, EntryCounts, LayoutEntry, Location, MetricId,
};
use metricd_repository::{DashboardUpdate, ExistingState};

use super::references::notice_repeated;
use super::suggestions::Faults;
use super::{DraftDashboard, Located, merge};
use crate::Reason;
use crate::findings::Findings;

/// A layout entry with its dashboard and breakpoint.
type Placed = (DashboardId, Breakpoint, LayoutEntry);

/// Validates the dashboards, given the metrics that may be their items. A file whose items and layout entries are all
/// refused makes no dashboard.
pub(super) fn validate_dashboards(
    mut drafts: Vec<DraftDashboard>,
    metric_ids: &BTreeSet<MetricId>,
    existing: &ExistingState,
    (dashboard_counts, entry_counts): (&mut EntryCounts, &mut EntryCounts),
    faults: &mut Faults,
    findings: &mut Findings,
) -> Vec<DashboardUpdate> {
    dashboard_counts.read = drafts.len() as u64;
    entry_counts.read = drafts.iter().map(|draft| draft.layout_entry_count).sum();
    refuse_conflicting_ids(&mut drafts, existing, findings);
    let without_query = faults.without_query.iter().map(|metric| &metric.value.metric_id);
    let refused: BTreeSet<_> = without_query.chain(&faults.refused_with_sql).cloned().collect();
    let mut dashboards = Dashboards::default();
    let mut entries = Vec::new();
    for mut draft in drafts {
        let Some(dashboard_id) = draft.dashboard_id.take() else {
            dashboard_counts.refused += 1;
            continue;
        };
        let ids = draft.metrics.iter().map(|metric| &metric.value.metric_id).filter(|id| metric_ids.contains(*id));
        let ids: Vec<_> = ids.cloned().collect();
        let has_content = draft.item_count + draft.layout_entry_count > 0;
        let mut items = dashboards.items(&dashboard_id);
        items.extend(ids.iter().cloned());
        let is_item = |id: &MetricId| {
            items.contains(id) || existing.dashboard_items.contains(&(dashboard_id.clone(), id.clone()))
        };
        let was_refused = |id: &MetricId| draft.refused_ids.contains(id) || refused.contains(id);
        let mut placed = Vec::new();
        for Located { value: (breakpoint, entry), location } in std::mem::take(&mut draft.layout_entries) {
            if is_item(entry.metric_id()) {
                placed.push(Located { value: (dashboard_id.clone(), breakpoint, entry), location });
            } else {
                let was_refused = was_refused(entry.metric_id());
                refuse_orphan(&entry, breakpoint, &location, was_refused, faults, findings);
            }
        }
        if ids.is_empty() && placed.is_empty() && (has_content || draft.has_refusals) {
            dashboard_counts.refused += 1;
            continue;
        }
        entries.extend(placed);
        let is_new = dashboards.add(dashboard_id, draft.name, ids);
        dashboard_counts.repeated += u64::from(!is_new);
    }
    for (dashboard_id, breakpoint, entry) in merge_entries(entries, entry_counts, findings) {
        dashboards.place(&dashboard_id, breakpoint, entry);
    }
    dashboards.list
}

/// The dashboards of the files, in the order of their first appearance.
#[derive(Default)]
struct Dashboards {
    list: Vec<DashboardUpdate>,
    indexes: BTreeMap<DashboardId, usize>,
}

impl Dashboards {
    /// The items that earlier files added.
    fn items(&self, id: &DashboardId) -> BTreeSet<MetricId> {
        let dashboard = self.indexes.get(id).map(|index| &self.list[*index]);
        dashboard.iter().flat_map(|dashboard| &dashboard.items).map(|item| item.metric_id.clone()).collect()
    }

    /// Adds the metrics that are not items yet, and returns whether the dashboard is new.
    fn add(&mut self, id: DashboardId, name: DashboardName, metric_ids: Vec<MetricId>) -> bool {
        let mut items = self.items(&id);
        let is_new = !self.indexes.contains_key(&id);
        let index = *self.indexes.entry(id.clone()).or_insert(self.list.len());
        if is_new {
            self.list.push(DashboardUpdate::new(id, name));
        }
        let added = metric_ids.into_iter().filter(|id| items.insert(id.clone()));
        self.list[index].items.extend(added.map(DashboardItem::new));
        is_new
    }

    fn place(&mut self, id: &DashboardId, breakpoint: Breakpoint, entry: LayoutEntry) {
        if let Some(index) = self.indexes.get(id) {
            self.list[*index].layouts.entry(breakpoint).or_default().push(entry);
        }
    }
}

/// Merges equal entries, and refuses those that contradict an earlier one.
fn merge_entries(entries: Vec<Located<Placed>>, counts: &mut EntryCounts, findings: &mut Findings) -> Vec<Placed> {
    let merged = merge(entries, |(dashboard_id, breakpoint, entry): &Placed| {
        (dashboard_id.clone(), *breakpoint, entry.metric_id().clone())
    });
    let name =
        |(_, breakpoint, entry): &Placed| format!("the entry of `{}` in the layout `{breakpoint}`", entry.metric_id());
    notice_repeated(&merged.repeated, name, findings);
    counts.repeated = merged.repeated.len() as u64;
    for (entry, first) in merged.conflicting {
        let (_, breakpoint, placed) = &entry.value;
        let metric_id = placed.metric_id();
        let place = merged.kept[first].location.pointer.clone().unwrap_or_default();
        let message =
            format!("`{metric_id}` is already in the layout `{breakpoint}`, at `{place}`; the first one is kept");
        findings.refuse(entry.location, Some(metric_id.as_str()), Reason::LayoutConflict, message);
    }
    counts.refused = counts.read - counts.repeated - merged.kept.len() as u64;
    merged.kept.into_iter().map(|entry| entry.value).collect()
}

/// Refuses the id of each dashboard if a dashboard with another name has it, in the files or stored. The metrics of the
/// dashboard are still validated.
fn refuse_conflicting_ids(drafts: &mut [DraftDashboard], existing: &ExistingState, findings: &mut Findings) {
    let mut first_of: BTreeMap<DashboardId, (DashboardName, String)> = BTreeMap::new();
    for draft in drafts {
        let Some(id) = &draft.dashboard_id else { continue };
        let (name, file) = (&draft.name, &draft.location.file);
        let owner = match first_of.get(id) {
            Some((first, _)) if first == name => continue,
            Some((first, in_file)) => Some(format!("the dashboard `{}` of `{in_file}`", first.as_str())),
            None => {
                let stored = existing.dashboards.get(id).filter(|stored| *stored != name && !draft.has_own_id);
                stored.map(|stored| format!("the stored dashboard `{}`", stored.as_str()))
            }
        };
        let Some(owner) = owner else {
            first_of.insert(id.clone(), (name.clone(), file.clone()));
            continue;
        };
        let name = name.as_str();
        let message = if draft.has_own_id {
            format!("`{id}` is already the id of {owner}; the first one is kept")
        } else {
            format!("the id `{id}`, derived from the name `{name}`, belongs to {owner}: give the dashboard an `id`")
        };
        findings.refuse(draft.location.clone(), Some(id.as_str()), Reason::IdConflict, message);
        draft.dashboard_id = None;
    }
}

fn refuse_orphan(
    entry: &LayoutEntry,
    breakpoint: Breakpoint,
    location: &Location,
    was_refused: bool,
    faults: &mut Faults,
    findings: &mut Findings,
) {
    let id = entry.metric_id();
    let message = if was_refused {
        format!("the layout `{breakpoint}` places `{id}`, whose item was refused")
    } else {
        faults.orphans.entry((location.file.clone(), id.clone())).or_default().push(breakpoint);
        format!("the layout `{breakpoint}` places `{id}`, which no item defines")
    };
    findings.refuse(location.clone(), Some(id.as_str()), Reason::LayoutMetricUnknown, message);
}
