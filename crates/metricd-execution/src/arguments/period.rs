//! The period that a request asks for.

use std::collections::BTreeMap;

use metricd_domain::{ParameterType, ParameterValue, ScalarType};
use serde::Serialize;

use super::InvalidArgument;

/// The names of a period's days, in requests and in SQL.
pub(super) const START_DATE: &str = "start_date";
pub(super) const END_DATE: &str = "end_date";

/// Whether the name is that of a period's first or last day.
#[must_use]
pub fn is_period(name: &str) -> bool {
    [START_DATE, END_DATE].contains(&name)
}

/// A period that was applied to a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppliedPeriod {
    /// The first day, where the request named one.
    #[cfg_attr(feature = "openapi", schema(required, format = Date))]
    pub start_date: Option<String>,
    /// The last day, which is inside, where the request named one.
    #[cfg_attr(feature = "openapi", schema(required, format = Date))]
    pub end_date: Option<String>,
    /// How it was applied.
    pub applied: PeriodApplication,
}

/// How a period was applied to a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PeriodApplication {
    /// The SQL names the days and got them bound.
    Bound,
    /// The SQL was run on the rows of its source table inside the period.
    Narrowed,
    /// The SQL was run on everything, and its result has the rows inside the period.
    Result,
}

/// What a request says of the period.
#[derive(Debug, Default)]
pub(super) struct PeriodRequest {
    start: Option<ParameterValue>,
    end: Option<ParameterValue>,
}

impl PeriodRequest {
    /// The days that are good; what is wrong with the others, or with both together, is added to the faults.
    pub(super) fn read(given: &BTreeMap<String, String>, faults: &mut Vec<InvalidArgument>) -> Self {
        let date = ParameterType { scalar: ScalarType::Date, is_array: false };
        let mut day = |name: &str| {
            let parsed = date.parse_value(given.get(name)?);
            parsed
                .map_err(|error| faults.push(InvalidArgument { name: name.to_owned(), message: error.to_string() }))
                .ok()
        };
        let (start, end) = (day(START_DATE), day(END_DATE));
        if let (Some(start), Some(end)) = (&start, &end)
            && start.as_str() > end.as_str()
        {
            let message = format!("the period ends before it starts, on `{}`", start.as_str());
            faults.push(InvalidArgument { name: END_DATE.to_owned(), message });
        }
        Self { start, end }
    }

    /// The first day; without one the period is open.
    pub(super) fn first_day(&self) -> ParameterValue {
        self.start.clone().unwrap_or_else(|| ParameterValue::unvalidated("-infinity"))
    }

    /// The last day; without one the period is open.
    pub(super) fn last_day(&self) -> ParameterValue {
        self.end.clone().unwrap_or_else(|| ParameterValue::unvalidated("infinity"))
    }

    /// What is told of the period with the result.
    pub(super) fn applied(&self, applied: PeriodApplication) -> AppliedPeriod {
        let text = |day: &Option<ParameterValue>| day.as_ref().map(|day| day.as_str().to_owned());
        AppliedPeriod { start_date: text(&self.start), end_date: text(&self.end), applied }
    }
}
