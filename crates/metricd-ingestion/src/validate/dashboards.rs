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

/// The dashboards that may be stored, given the metrics that may be their items. A file without a single valid entry
/// makes no dashboard.
pub(super) fn validate_dashboards(
    mut drafts: Vec<DraftDashboard>,
    metric_ids: &BTreeSet<MetricId>,
    existing: &ExistingState,
    (dashboard_counts, counts): (&mut EntryCounts, &mut EntryCounts),
    faults: &mut Faults,
    findings: &mut Findings,
) -> Vec<DashboardUpdate> {
    dashboard_counts.read = drafts.len() as u64;
    counts.read = drafts.iter().map(|draft| draft.layout_entry_count).sum();
    let without_query: BTreeSet<_> = faults.without_query.iter().map(|metric| metric.value.metric_id.clone()).collect();
    refuse_conflicting_ids(&mut drafts, existing, findings);
    let mut items: BTreeMap<DashboardId, Vec<DashboardItem>> = BTreeMap::new();
    let mut dashboards: Vec<DashboardUpdate> = Vec::new();
    let mut entries = Vec::new();
    for draft in drafts {
        let Some(dashboard_id) = draft.dashboard_id else {
            dashboard_counts.refused += 1;
            continue;
        };
        let good = draft.metrics.iter().map(|metric| &metric.value.metric_id).filter(|id| metric_ids.contains(*id));
        let good: Vec<_> = good.collect();
        let has_content = draft.item_count + draft.layout_entry_count > 0;
        let before = items.get(&dashboard_id).map(Vec::as_slice).unwrap_or_default();
        let mut present: BTreeSet<_> = before.iter().map(|item| item.metric_id.clone()).collect();
        let added: Vec<_> = good.iter().filter(|id| present.insert((**id).clone())).map(|id| (*id).clone()).collect();
        let entries_before = entries.len();
        for entry in draft.layout_entries {
            let Located { value: (breakpoint, entry), location } = entry;
            let metric_id = entry.metric_id().clone();
            if present.contains(&metric_id)
                || existing.dashboard_items.contains(&(dashboard_id.clone(), metric_id.clone()))
            {
                entries.push(Located { value: (dashboard_id.clone(), breakpoint, entry), location });
            } else {
                let was_refused = draft.refused_ids.contains(&metric_id)
                    || without_query.contains(&metric_id)
                    || faults.refused_with_sql.contains(&metric_id);
                refuse_orphan(&entry, breakpoint, &location, was_refused, faults, findings);
            }
        }
        if good.is_empty() && entries.len() == entries_before && (has_content || draft.has_refusals) {
            dashboard_counts.refused += 1;
            continue;
        }
        let is_repeated = items.contains_key(&dashboard_id);
        dashboard_counts.repeated += u64::from(is_repeated);
        if !is_repeated {
            dashboards.push(DashboardUpdate::new(dashboard_id.clone(), draft.name));
        }
        let of_dashboard = items.entry(dashboard_id).or_default();
        of_dashboard.extend(added.into_iter().map(DashboardItem::new));
    }
    let merged = merge(entries, |(dashboard_id, breakpoint, entry): &(DashboardId, Breakpoint, LayoutEntry)| {
        (dashboard_id.clone(), *breakpoint, entry.metric_id().clone())
    });
    let name = |(_, breakpoint, entry): &(DashboardId, Breakpoint, LayoutEntry)| {
        format!("the entry of `{}` in the layout `{breakpoint}`", entry.metric_id())
    };
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

/// Refuses the id of each dashboard whose id belongs to a dashboard of another name, in the files or stored. Its
/// metrics are validated nevertheless.
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
