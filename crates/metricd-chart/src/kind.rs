//! The kinds of charts.

use std::fmt;
use std::str::FromStr;

/// A kind of chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChartKind {
    /// The values of one row, large.
    Number,
    /// Lines over time.
    Line,
    /// Lines over time with the area down to zero; several series are stacked.
    Area,
    /// Bars from zero, one for each label.
    Bars,
    /// Bars of several parts.
    StackedBars,
    /// Points by two numbers, or by time and a number.
    Scatter,
    /// Colours by weekday and hour.
    HeatMap,
    /// The first rows as a table.
    Table,
}

/// A text names no kind of chart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of chart: expected one of {names}", names = ChartKind::names())]
pub struct UnknownKind(String);

impl ChartKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Number,
        Self::Line,
        Self::Area,
        Self::Bars,
        Self::StackedBars,
        Self::Scatter,
        Self::HeatMap,
        Self::Table,
    ];

    /// The name in JSON and definitions, such as `stacked_bars`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Line => "line",
            Self::Area => "area",
            Self::Bars => "bars",
            Self::StackedBars => "stacked_bars",
            Self::Scatter => "scatter",
            Self::HeatMap => "heat_map",
            Self::Table => "table",
        }
    }

    /// What a sentence calls it, such as `a line`.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Line => "a line",
            Self::Area => "an area",
            Self::Bars => "bars",
            Self::StackedBars => "stacked bars",
            Self::Scatter => "points",
            Self::HeatMap => "a heat map",
            Self::Table => "a table",
        }
    }

    fn names() -> String {
        Self::ALL.map(|kind| format!("`{}`", kind.name())).join(", ")
    }
}

impl fmt::Display for ChartKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for ChartKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let named = Self::ALL.into_iter().find(|kind| kind.name() == name);
        named.ok_or_else(|| UnknownKind(metricd_domain::shortened(name, 40)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_name() {
        for kind in ChartKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        let error = "pie".parse::<ChartKind>().unwrap_err().to_string();
        assert!(error.starts_with("`pie` is no kind of chart: expected one of `number`, `line`"), "{error}");
    }
}
