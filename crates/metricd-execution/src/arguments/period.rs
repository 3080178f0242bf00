//! The period of a request.

use std::collections::BTreeMap;

pub(super) use metricd_domain::{END_DATE, START_DATE};
use metricd_domain::{ParameterType, ParameterValue, ScalarType, TimeZone};
use serde::Serialize;

use super::InvalidArgument;

/// Whether the name is `start_date` or `end_date`.
#[must_use]
pub fn is_period(name: &str) -> bool {
    [START_DATE, END_DATE].contains(&name)
}

/// The period by which a result was filtered, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppliedPeriod {
    /// The first day, if the request has one.
    #[cfg_attr(feature = "openapi", schema(required, format = Date))]
    pub start_date: Option<String>,
    /// The last day, which is included, if the request has one.
    #[cfg_attr(feature = "openapi", schema(required, format = Date))]
    pub end_date: Option<String>,
    /// How the period was applied.
    pub applied: PeriodApplication,
    /// The time zone whose days they are.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "Europe/Berlin"))]
    pub time_zone: TimeZone,
}

/// How a period was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PeriodApplication {
    /// The days were bound to parameters of the SQL.
    Bound,
    /// The SQL read only the rows of its source table inside the period.
    Narrowed,
    /// The SQL read all rows, and its result was filtered by one of its columns.
    Result,
}

/// The period of a request.
#[derive(Debug, Default)]
pub(super) struct PeriodRequest {
    start: Option<ParameterValue>,
    end: Option<ParameterValue>,
}

impl PeriodRequest {
    /// Parses the days. Adds an error for each invalid day, or if the period ends before it starts.
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

    /// The first day, or `-infinity` without one.
    pub(super) fn first_day(&self) -> ParameterValue {
        self.start.clone().unwrap_or_else(|| ParameterValue::unvalidated("-infinity"))
    }

    /// The last day, or `infinity` without one.
    pub(super) fn last_day(&self) -> ParameterValue {
        self.end.clone().unwrap_or_else(|| ParameterValue::unvalidated("infinity"))
    }

    /// The period for the response.
    pub(super) fn applied(&self, applied: PeriodApplication, time_zone: &TimeZone) -> AppliedPeriod {
        let text = |day: &Option<ParameterValue>| day.as_ref().map(|day| day.as_str().to_owned());
        AppliedPeriod {
            start_date: text(&self.start),
            end_date: text(&self.end),
            applied,
            time_zone: time_zone.clone(),
        }
    }
}
