//! Dashboards: which metrics stand together, and where each one stands on a screen of a given width.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::{DashboardId, MetricId, MetricPatterns};

/// The greatest number of characters of a dashboard's name.
const MAX_NAME_CHARS: usize = 200;

/// What people call a dashboard: 1 to 200 characters, none of them a control character, trimmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DashboardName(String);

/// Why a text is no name of a dashboard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a name of 1 to {MAX_NAME_CHARS} characters without control characters")]
pub struct InvalidName;

impl DashboardName {
    /// Takes the text without the white space around it.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] where nothing or more than 200 characters remain, or a control character is among them.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let name = text.trim();
        let valid = (1..=MAX_NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if valid { Ok(Self(name.to_owned())) } else { Err(InvalidName) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DashboardName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::parse(&text)
    }
}

impl From<DashboardName> for String {
    fn from(name: DashboardName) -> Self {
        name.0
    }
}

/// A class of screen widths, as react-grid-layout names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Breakpoint {
    /// Large.
    Lg,
    /// Medium.
    Md,
    /// Small.
    Sm,
    /// Extra small.
    Xs,
    /// Extra extra small.
    Xxs,
}

/// Why a text is no breakpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of `lg`, `md`, `sm`, `xs`, `xxs`")]
pub struct InvalidBreakpoint;

impl Breakpoint {
    /// Every breakpoint, the widest first.
    pub const ALL: [Self; 5] = [Self::Lg, Self::Md, Self::Sm, Self::Xs, Self::Xxs];

    /// The breakpoint of that name.
    ///
    /// # Errors
    ///
    /// [`InvalidBreakpoint`] where no breakpoint has that name.
    pub fn parse(text: &str) -> Result<Self, InvalidBreakpoint> {
        Self::ALL.into_iter().find(|breakpoint| breakpoint.as_str() == text).ok_or(InvalidBreakpoint)
    }

    /// The name, as files and the database spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lg => "lg",
            Self::Md => "md",
            Self::Sm => "sm",
            Self::Xs => "xs",
            Self::Xxs => "xxs",
        }
    }
}

impl fmt::Display for Breakpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Where a metric stands on a dashboard, in grid units.
///
/// `y` may be far below everything else: react-grid-layout writes 9999999 for "at the bottom".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "UncheckedEntry")]
pub struct LayoutEntry {
    /// The metric that stands here.
    metric_id: MetricId,
    /// Columns from the left edge.
    x: i32,
    /// Rows from the top edge.
    y: i32,
    /// Width in columns.
    width: i32,
    /// Height in rows.
    height: i32,
    /// Whether the entry stays where it is when others are moved.
    is_static: bool,
}

/// Why numbers make no [`LayoutEntry`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is {value}: expected {min} to {max}")]
#[non_exhaustive]
pub struct InvalidLayoutEntry {
    /// The field that is out of range: `x`, `y`, `width` or `height`; the first of them, if several are.
    pub field: &'static str,
    /// Its value.
    pub value: i32,
    /// Its least value.
    pub min: i32,
    /// Its greatest value.
    pub max: i32,
}

impl LayoutEntry {
    /// The range of `x`, in columns.
    pub const X: RangeInclusive<i32> = 0..=1_000;

    /// The range of `y`, in rows.
    pub const Y: RangeInclusive<i32> = 0..=10_000_000;

    /// The range of the width, in columns.
    pub const WIDTH: RangeInclusive<i32> = 1..=1_000;

    /// The range of the height, in rows.
    pub const HEIGHT: RangeInclusive<i32> = 1..=1_000;

    /// Places a metric at the column `x` and the row `y`, `width` columns wide and `height` rows high. A static entry stays
    /// where it is when others are moved.
    ///
    /// ```
    /// use metricd_domain::{LayoutEntry, MetricId};
    ///
    /// let entry = LayoutEntry::new(MetricId::parse("alerts")?, 0, 2, 6, 4, false)?;
    /// assert_eq!((entry.x(), entry.y(), entry.width(), entry.height()), (0, 2, 6, 4));
    ///
    /// let error = LayoutEntry::new(MetricId::parse("alerts")?, 0, 2, 0, 4, false).unwrap_err();
    /// assert_eq!(error.to_string(), "`width` is 0: expected 1 to 1000");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidLayoutEntry`] if a number is outside of [`Self::X`], [`Self::Y`], [`Self::WIDTH`] or [`Self::HEIGHT`].
    pub fn new(
        metric_id: MetricId,
        x: i32,
        y: i32,
        width: i32,
        height: i32,
        is_static: bool,
    ) -> Result<Self, InvalidLayoutEntry> {
        let ranges =
            [("x", x, Self::X), ("y", y, Self::Y), ("width", width, Self::WIDTH), ("height", height, Self::HEIGHT)];
        for (field, value, range) in ranges {
            if !range.contains(&value) {
                return Err(InvalidLayoutEntry { field, value, min: *range.start(), max: *range.end() });
            }
        }
        Ok(Self { metric_id, x, y, width, height, is_static })
    }

    /// The metric that stands here.
    #[must_use]
    pub fn metric_id(&self) -> &MetricId {
        &self.metric_id
    }

    /// Columns from the left edge.
    #[must_use]
    pub fn x(&self) -> i32 {
        self.x
    }

    /// Rows from the top edge.
    #[must_use]
    pub fn y(&self) -> i32 {
        self.y
    }

    /// Width in columns.
    #[must_use]
    pub fn width(&self) -> i32 {
        self.width
    }

    /// Height in rows.
    #[must_use]
    pub fn height(&self) -> i32 {
        self.height
    }

    /// Whether the entry stays where it is when others are moved.
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.is_static
    }
}

/// An entry as documents write it.
#[derive(Debug, Deserialize)]
struct UncheckedEntry {
    metric_id: MetricId,
    x: i32,
    y: i32,
    width: i32,
    height: i32,
    is_static: bool,
}

impl TryFrom<UncheckedEntry> for LayoutEntry {
    type Error = InvalidLayoutEntry;

    fn try_from(entry: UncheckedEntry) -> Result<Self, InvalidLayoutEntry> {
        Self::new(entry.metric_id, entry.x, entry.y, entry.width, entry.height, entry.is_static)
    }
}

/// One metric of a dashboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DashboardItem {
    /// The metric.
    pub metric_id: MetricId,
}

impl DashboardItem {
    /// An item that shows this metric.
    #[must_use]
    pub fn new(metric_id: MetricId) -> Self {
        Self { metric_id }
    }
}

/// Metrics that are shown together, with a layout for each breakpoint.
///
/// A metric is an item at most once. Each layout entry places an item, and a layout places an item at most once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedDashboard")]
pub struct Dashboard {
    #[serde(rename = "dashboard_id")]
    id: DashboardId,
    name: DashboardName,
    items: Vec<DashboardItem>,
    layouts: BTreeMap<Breakpoint, Vec<LayoutEntry>>,
}

/// Why items and layouts make no [`Dashboard`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDashboard {
    /// A metric is an item twice.
    #[error("the metric `{0}` is an item twice: expected each metric once")]
    RepeatedItem(MetricId),
    /// A layout places a metric that is no item.
    #[error("the layout `{breakpoint}` places `{metric_id}`, which is no item of the dashboard")]
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
    /// A dashboard of these items, in this order, with a layout for some of the breakpoints.
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
    /// [`InvalidDashboard`] if an item or an entry is repeated, or an entry places no item.
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

    /// The id under which clients ask for the dashboard.
    #[must_use]
    pub fn id(&self) -> &DashboardId {
        &self.id
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &DashboardName {
        &self.name
    }

    /// The metrics, in their order.
    #[must_use]
    pub fn items(&self) -> &[DashboardItem] {
        &self.items
    }

    /// Where the metrics stand, by the class of the screen's width.
    #[must_use]
    pub fn layouts(&self) -> &BTreeMap<Breakpoint, Vec<LayoutEntry>> {
        &self.layouts
    }

    /// Keeps only the metrics for which `keep` is true, with their layout entries. A layout without entries is removed, so that
    /// it does not show that something was there.
    pub fn retain(&mut self, keep: impl Fn(&MetricId) -> bool) {
        self.items.retain(|item| keep(&item.metric_id));
        for entries in self.layouts.values_mut() {
            entries.retain(|entry| keep(entry.metric_id()));
        }
        self.layouts.retain(|_, entries| !entries.is_empty());
    }

    /// The dashboard without the metrics that are not among these.
    #[must_use]
    pub fn among(mut self, patterns: &MetricPatterns) -> Self {
        self.retain(|metric_id| patterns.contain(metric_id));
        self
    }
}

/// A dashboard as documents write it.
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

/// A dashboard, without what stands on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DashboardSummary {
    /// The id under which clients ask for the dashboard.
    pub dashboard_id: DashboardId,
    /// What people call it.
    pub name: DashboardName,
    /// How many metrics stand on it.
    pub item_count: u64,
}

impl DashboardSummary {
    /// A dashboard of so many items.
    #[must_use]
    pub fn new(dashboard_id: DashboardId, name: DashboardName, item_count: u64) -> Self {
        Self { dashboard_id, name, item_count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_entry_is_inside_its_ranges() {
        let entry = |x, y, width, height| {
            let entry = LayoutEntry::new(MetricId::parse("m1").unwrap(), x, y, width, height, true);
            entry.map_err(|error| (error.field, error.value))
        };
        for (x, y, width, height) in [(0, 0, 1, 1), (1_000, 10_000_000, 1_000, 1_000)] {
            assert!(entry(x, y, width, height).is_ok());
        }
        for (x, y, width, height, expected) in [
            (-1, 0, 0, 1, ("x", -1)),
            (1_001, 0, 1, 1, ("x", 1_001)),
            (0, -1, 1, 1, ("y", -1)),
            (0, 10_000_001, 1, 1, ("y", 10_000_001)),
            (0, 0, 0, 1, ("width", 0)),
            (0, 0, 1_001, 1, ("width", 1_001)),
            (0, 0, 1, 0, ("height", 0)),
            (0, 0, 1, 1_001, ("height", 1_001)),
        ] {
            assert_eq!(entry(x, y, width, height), Err(expected));
        }
    }

    #[test]
    fn an_invalid_layout_entry_does_not_come_in_through_json() {
        let document =
            |width: u32| format!(r#"{{"metric_id":"m1","x":0,"y":0,"width":{width},"height":1,"is_static":false}}"#);
        let entry: LayoutEntry = serde_json::from_str(&document(1)).unwrap();
        assert_eq!(serde_json::to_string(&entry).unwrap(), document(1));
        let error = serde_json::from_str::<LayoutEntry>(&document(0)).unwrap_err();
        assert!(error.to_string().starts_with("`width` is 0: expected 1 to 1000"), "{error}");
    }

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
    fn a_metric_that_is_left_out_is_in_no_layout() {
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

    #[test]
    fn every_breakpoint_is_read_back_from_its_name() {
        for breakpoint in Breakpoint::ALL {
            assert_eq!(Breakpoint::parse(breakpoint.as_str()), Ok(breakpoint));
        }
        assert_eq!(Breakpoint::parse("LG"), Err(InvalidBreakpoint));
    }

    #[test]
    fn a_name_is_trimmed_and_bounded() {
        assert_eq!(DashboardName::parse("  Parts ").unwrap().as_str(), "Parts");
        assert_eq!(DashboardName::parse(" "), Err(InvalidName));
        assert_eq!(DashboardName::parse("a\nb"), Err(InvalidName));
        assert_eq!(DashboardName::parse(&"a".repeat(201)), Err(InvalidName));
    }
}
