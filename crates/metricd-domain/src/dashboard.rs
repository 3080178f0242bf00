//! Dashboards: which metrics stand together, and where each one stands on a screen of a given width.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use validator::Validate;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LayoutEntry {
    /// The metric that stands here.
    pub metric_id: MetricId,
    /// Columns from the left edge.
    #[validate(range(min = 0, max = 1_000, message = "expected 0 to 1000"))]
    pub x: i32,
    /// Rows from the top edge.
    #[validate(range(min = 0, max = 10_000_000, message = "expected 0 to 10000000"))]
    pub y: i32,
    /// Width in columns.
    #[validate(range(min = 1, max = 1_000, message = "expected 1 to 1000"))]
    pub width: i32,
    /// Height in rows.
    #[validate(range(min = 1, max = 1_000, message = "expected 1 to 1000"))]
    pub height: i32,
    /// Whether the entry stays where it is when others are moved.
    pub is_static: bool,
}

/// One metric of a dashboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DashboardItem {
    /// The metric.
    pub metric_id: MetricId,
}

/// Metrics that stand together, with a layout for each breakpoint.
///
/// Each layout entry names a metric of `items`, and a metric stands at most once in a layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dashboard {
    /// The id under which clients ask for the dashboard.
    pub dashboard_id: DashboardId,
    /// What people call it.
    pub name: DashboardName,
    /// The metrics, in the order of their first appearance.
    pub items: Vec<DashboardItem>,
    /// Where the metrics stand.
    pub layouts: BTreeMap<Breakpoint, Vec<LayoutEntry>>,
}

impl Dashboard {
    /// The dashboard without the metrics that are not among these.
    #[must_use]
    pub fn among(mut self, patterns: &MetricPatterns) -> Self {
        self.items.retain(|item| patterns.contain(&item.metric_id));
        for entries in self.layouts.values_mut() {
            entries.retain(|entry| patterns.contain(&entry.metric_id));
        }
        // Nor does an empty layout tell of what was there.
        self.layouts.retain(|_, entries| !entries.is_empty());
        self
    }
}

/// A dashboard, without what stands on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DashboardSummary {
    /// The id under which clients ask for the dashboard.
    pub dashboard_id: DashboardId,
    /// What people call it.
    pub name: DashboardName,
    /// How many metrics stand on it.
    pub item_count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_entry_is_judged_field_by_field() {
        let entry = LayoutEntry {
            metric_id: MetricId::parse("m1").unwrap(),
            x: -1,
            y: 9_999_999,
            width: 0,
            height: 1_000,
            is_static: false,
        };
        let errors = entry.validate().unwrap_err();
        let mut fields: Vec<_> = errors.field_errors().keys().map(ToString::to_string).collect();
        fields.sort();
        assert_eq!(fields, ["width", "x"]);
    }

    #[test]
    fn a_metric_that_is_left_out_is_in_no_layout() {
        let id = |id: &str| MetricId::parse(id).unwrap();
        let entry = |of: &str| LayoutEntry { metric_id: id(of), x: 0, y: 0, width: 1, height: 1, is_static: false };
        let dashboard = Dashboard {
            dashboard_id: DashboardId::parse("d").unwrap(),
            name: DashboardName::parse("D").unwrap(),
            items: ["a", "b"].map(|of| DashboardItem { metric_id: id(of) }).to_vec(),
            layouts: Breakpoint::ALL.map(|breakpoint| (breakpoint, vec![entry("b"), entry("a")])).into(),
        };
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
