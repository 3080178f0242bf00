//! Dashboards: groups of metrics with a layout for each breakpoint.

mod layout;
mod name;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::layout::{Breakpoint, InvalidBreakpoint, InvalidLayoutEntry, LayoutEntry};
pub use self::name::{DashboardName, InvalidName};
use crate::{DashboardId, MetricId, MetricPatterns};

/// A metric on a dashboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DashboardItem {
    /// The metric.
    pub metric_id: MetricId,
}

impl DashboardItem {
    /// Makes an item that shows this metric.
    #[must_use]
    pub fn new(metric_id: MetricId) -> Self {
        Self { metric_id }
    }
}

/// A group of metrics with a layout for each breakpoint.
///
/// Each metric is an item at most once. A layout places only items, and each of them at most once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedDashboard")]
pub struct Dashboard {
    #[serde(rename = "dashboard_id")]
    id: DashboardId,
    name: DashboardName,
    items: Vec<DashboardItem>,
    layouts: BTreeMap<Breakpoint, Vec<LayoutEntry>>,
}

/// Why items and layouts are not a [`Dashboard`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDashboard {
    /// Two items are the same metric.
    #[error("the metric `{0}` is an item twice: expected each metric once")]
    RepeatedItem(MetricId),
    /// A layout places a metric that is not an item.
    #[error("the layout `{breakpoint}` places `{metric_id}`, which is not an item of the dashboard")]
    EntryWithoutItem {
        /// The layout.
        breakpoint: Breakpoint,
        /// The metric.
        metric_id: MetricId,
    },
    /// A layout places a metric twice.
    #[error("the layout `{breakpoint}` places `{metric_id}` twice: expected each metric once")]
    RepeatedEntry {
        /// The layout.
        breakpoint: Breakpoint,
        /// The metric.
        metric_id: MetricId,
    },
}

impl Dashboard {
    /// Makes a dashboard of items, in this order, with a layout for some of the breakpoints.
    ///
    /// ```
    /// use std::collections::{BTreeMap, BTreeSet};
    ///
    /// use metricd_domain::{Breakpoint, Dashboard, DashboardId, DashboardItem, DashboardName, LayoutEntry, MetricId};
    ///
    /// let alerts = MetricId::parse("alerts")?;
    /// let items = vec![DashboardItem::new(alerts.clone())];
    /// let layouts = BTreeMap::from([(Breakpoint::Lg, vec![LayoutEntry::new(alerts, 0, 0, 6, 4, false)?])]);
    /// let dashboard = Dashboard::new(DashboardId::parse("parts")?, DashboardName::parse("Parts")?, items, layouts)?;
    /// assert_eq!(dashboard.layouts()[&Breakpoint::Lg][0].width(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidDashboard`] if an item or an entry is repeated, or an entry places a metric that is not an item.
    pub fn new(
        id: DashboardId,
        name: DashboardName,
        items: Vec<DashboardItem>,
        layouts: BTreeMap<Breakpoint, Vec<LayoutEntry>>,
    ) -> Result<Self, InvalidDashboard> {
        let mut metric_ids = BTreeSet::new();
        if let Some(item) = items.iter().find(|item| !metric_ids.insert(&item.metric_id)) {
            return Err(InvalidDashboard::RepeatedItem(item.metric_id.clone()));
        }
        for (&breakpoint, entries) in &layouts {
            let mut placed = BTreeSet::new();
            for metric_id in entries.iter().map(LayoutEntry::metric_id) {
                if !metric_ids.contains(metric_id) {
                    return Err(InvalidDashboard::EntryWithoutItem { breakpoint, metric_id: metric_id.clone() });
                }
                if !placed.insert(metric_id) {
                    return Err(InvalidDashboard::RepeatedEntry { breakpoint, metric_id: metric_id.clone() });
                }
            }
        }
        Ok(Self { id, name, items, layouts })
    }

    /// The id under which clients request the dashboard.
    #[must_use]
    pub fn id(&self) -> &DashboardId {
        &self.id
    }

    /// The display name.
    #[must_use]
    pub fn name(&self) -> &DashboardName {
        &self.name
    }

    /// The metrics, in the order of the dashboard.
    #[must_use]
    pub fn items(&self) -> &[DashboardItem] {
        &self.items
    }

    /// The layouts, by breakpoint.
    #[must_use]
    pub fn layouts(&self) -> &BTreeMap<Breakpoint, Vec<LayoutEntry>> {
        &self.layouts
    }

    /// Keeps the metrics for which `keep` returns true, with their layout entries. Empty layouts are removed, because
    /// they would reveal that the dashboard has other metrics.
    pub fn retain(&mut self, keep: impl Fn(&MetricId) -> bool) {
        self.items.retain(|item| keep(&item.metric_id));
        for entries in self.layouts.values_mut() {
            entries.retain(|entry| keep(entry.metric_id()));
        }
        self.layouts.retain(|_, entries| !entries.is_empty());
    }

    /// Keeps the metrics that match the patterns.
    #[must_use]
    pub fn among(mut self, patterns: &MetricPatterns) -> Self {
        self.retain(|metric_id| patterns.contain(metric_id));
        self
    }
}

/// A dashboard in JSON, before validation.
#[derive(Debug, Deserialize)]
struct UncheckedDashboard {
    #[serde(rename = "dashboard_id")]
    id: DashboardId,
    name: DashboardName,
    items: Vec<DashboardItem>,
    layouts: BTreeMap<Breakpoint, Vec<LayoutEntry>>,
}

impl TryFrom<UncheckedDashboard> for Dashboard {
    type Error = InvalidDashboard;

    fn try_from(dashboard: UncheckedDashboard) -> Result<Self, InvalidDashboard> {
        Self::new(dashboard.id, dashboard.name, dashboard.items, dashboard.layouts)
    }
}

/// The id, the name and the size of a dashboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DashboardSummary {
    /// The id under which clients request the dashboard.
    pub dashboard_id: DashboardId,
    /// The display name.
    pub name: DashboardName,
    /// The number of items.
    pub item_count: u64,
}

impl DashboardSummary {
    /// Makes the summary of a dashboard.
    #[must_use]
    pub fn new(dashboard_id: DashboardId, name: DashboardName, item_count: u64) -> Self {
        Self { dashboard_id, name, item_count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dashboard(
        items: &[&str],
        layouts: BTreeMap<Breakpoint, Vec<LayoutEntry>>,
    ) -> Result<Dashboard, InvalidDashboard> {
        let items = items.iter().map(|id| DashboardItem::new(MetricId::parse(*id).unwrap())).collect();
        Dashboard::new(DashboardId::parse("d").unwrap(), DashboardName::parse("D").unwrap(), items, layouts)
    }

    #[test]
    fn a_dashboard_places_each_of_its_items_once() {
        let id = |id: &str| MetricId::parse(id).unwrap();
        let entry = |of: &str| LayoutEntry::new(id(of), 0, 0, 1, 1, false).unwrap();
        let lg = |entries: &[&str]| BTreeMap::from([(Breakpoint::Lg, entries.iter().map(|of| entry(of)).collect())]);
        assert!(dashboard(&["a", "b"], lg(&["b"])).is_ok());
        assert_eq!(dashboard(&["a", "a"], lg(&[])), Err(InvalidDashboard::RepeatedItem(id("a"))));
        let breakpoint = Breakpoint::Lg;
        let without = Err(InvalidDashboard::EntryWithoutItem { breakpoint, metric_id: id("b") });
        assert_eq!(dashboard(&["a"], lg(&["a", "b"])), without);
        let repeated = Err(InvalidDashboard::RepeatedEntry { breakpoint, metric_id: id("a") });
        assert_eq!(dashboard(&["a"], lg(&["a", "a"])), repeated);

        let document = serde_json::to_string(&dashboard(&["a"], lg(&["a"])).unwrap()).unwrap();
        assert!(serde_json::from_str::<Dashboard>(&document).is_ok());
        let other = document.replacen(r#"{"metric_id":"a"}"#, r#"{"metric_id":"b"}"#, 1);
        assert!(serde_json::from_str::<Dashboard>(&other).is_err(), "{other}");
    }

    #[test]
    fn removing_a_metric_removes_its_layout_entries() {
        let id = |id: &str| MetricId::parse(id).unwrap();
        let entry = |of: &str| LayoutEntry::new(id(of), 0, 0, 1, 1, false).unwrap();
        let dashboard =
            dashboard(&["a", "b"], Breakpoint::ALL.map(|breakpoint| (breakpoint, vec![entry("b"), entry("a")])).into());
        let dashboard = dashboard.unwrap();
        let patterns = MetricPatterns::new(vec!["b*".parse().unwrap()]).unwrap();
        let left = dashboard.among(&patterns);
        assert_eq!(left.items, [DashboardItem { metric_id: id("b") }]);
        assert!(left.layouts.values().all(|entries| *entries == [entry("b")]));
        let left = left.among(&MetricPatterns::default());
        assert!(left.items.is_empty() && left.layouts.is_empty());
    }
}
