//! Layouts of dashboards: the position and size of each metric, for each class of screen widths.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::MetricId;

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

/// Why a text is not a [`Breakpoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of `lg`, `md`, `sm`, `xs`, `xxs`")]
pub struct InvalidBreakpoint;

impl Breakpoint {
    /// Every breakpoint, widest first.
    pub const ALL: [Self; 5] = [Self::Lg, Self::Md, Self::Sm, Self::Xs, Self::Xxs];

    /// Finds the breakpoint of this name.
    ///
    /// # Errors
    ///
    /// [`InvalidBreakpoint`] if no breakpoint has that name.
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

/// The position and size of a metric on a dashboard, in grid units.
///
/// `y` may be far below every other entry: react-grid-layout writes 9999999 for "at the bottom".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "UncheckedEntry")]
pub struct LayoutEntry {
    /// The metric that the entry places.
    metric_id: MetricId,
    /// Columns from the left edge.
    x: i32,
    /// Rows from the top edge.
    y: i32,
    /// Width in columns.
    width: i32,
    /// Height in rows.
    height: i32,
    /// Whether the entry keeps its position when other entries move.
    is_static: bool,
}

/// Why numbers are not a [`LayoutEntry`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is {value}: expected {min} to {max}")]
#[non_exhaustive]
pub struct InvalidLayoutEntry {
    /// The first field that is out of range: `x`, `y`, `width` or `height`.
    pub field: &'static str,
    /// Its value.
    pub value: i32,
    /// The minimum.
    pub min: i32,
    /// The maximum.
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

    /// Places a metric at column `x` and row `y`, `width` columns wide and `height` rows high. A static entry keeps its
    /// position when other entries move.
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

    /// The metric that the entry places.
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

    /// Whether the entry keeps its position when other entries move.
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.is_static
    }
}

/// An entry in JSON, before validation.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_entry_is_within_its_ranges() {
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
    fn deserialization_refuses_an_invalid_layout_entry() {
        let document =
            |width: u32| format!(r#"{{"metric_id":"m1","x":0,"y":0,"width":{width},"height":1,"is_static":false}}"#);
        let entry: LayoutEntry = serde_json::from_str(&document(1)).unwrap();
        assert_eq!(serde_json::to_string(&entry).unwrap(), document(1));
        let error = serde_json::from_str::<LayoutEntry>(&document(0)).unwrap_err();
        assert!(error.to_string().starts_with("`width` is 0: expected 1 to 1000"), "{error}");
    }

    #[test]
    fn breakpoints_round_trip_through_their_names() {
        for breakpoint in Breakpoint::ALL {
            assert_eq!(Breakpoint::parse(breakpoint.as_str()), Ok(breakpoint));
        }
        assert_eq!(Breakpoint::parse("LG"), Err(InvalidBreakpoint));
    }
}
