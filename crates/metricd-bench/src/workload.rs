//! The workloads: results of three sizes.

use clap::ValueEnum;
use serde::Serialize;

/// The maximum number of clients.
pub(crate) const MAX_CLIENTS: u32 = 32;

/// The maximum value of the `limit` parameter.
const MAX_ROWS: u32 = 10_000;

/// The smallest `limit` of a client.
pub(crate) const MIN_LIMIT: u32 = MAX_ROWS - MAX_CLIENTS + 1;

/// Which requests concurrent clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RequestMix {
    /// Each client sends a request of its own, so that each response is a run of the SQL. The results are the same.
    Different,
    /// All clients send the same request, so that they may share runs.
    Identical,
}

impl RequestMix {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Different => "different",
            Self::Identical => "identical",
        }
    }
}

/// The path of a metric's result for one client. Each client has a `limit` of its own, all of them at least
/// [`MIN_LIMIT`], which is no less than the number of rows.
pub(crate) fn path(metric_id: &str, client: u32) -> String {
    format!("/metrics/{metric_id}?limit={}", MAX_ROWS - client)
}

/// A query, by the size of its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Workload {
    /// One row: totals of a week.
    Aggregate,
    /// 30 rows: a total for each day of a month.
    Series,
    /// 4 000 rows of 7 columns.
    Listing,
}

impl Workload {
    pub(crate) const ALL: [Self; 3] = [Self::Aggregate, Self::Series, Self::Listing];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Aggregate => "aggregate",
            Self::Series => "series",
            Self::Listing => "listing",
        }
    }

    /// The id of the metric, of its query and of the records that the query reads.
    pub(crate) fn id(self) -> String {
        format!("bench-{}", self.name())
    }

    /// The SQL, as it is stored and as pgbench runs it.
    pub(crate) fn sql(self) -> String {
        let id = self.id();
        match self {
            Self::Aggregate => format!(
                "SELECT SUM(parts_flagged) AS parts_flagged, ROUND(AVG(parts_flagged), 2) AS average \
                 FROM metrics WHERE id = '{id}' AND date > '2026-01-28'"
            ),
            Self::Series => format!(
                "SELECT date AS day, SUM(obsolescence) AS cost_avoided \
                 FROM metrics WHERE id = '{id}' AND date > '2026-01-05' GROUP BY date ORDER BY day"
            ),
            Self::Listing => format!(
                "SELECT id, date, obsolescence, alert_type, parts_flagged, obsolescence_val, alert_category \
                 FROM metrics WHERE id = '{id}' ORDER BY date"
            ),
        }
    }

    /// The number of rows of the result.
    pub(crate) fn rows(self) -> u32 {
        match self {
            Self::Aggregate => 1,
            Self::Series => 30,
            Self::Listing => crate::data::LISTING_ROWS,
        }
    }

    /// The path of the result.
    pub(crate) fn path(self) -> String {
        path(&self.id(), 0)
    }

    /// The paths that the clients request, each another one.
    pub(crate) fn paths(self) -> impl Iterator<Item = String> {
        (0..MAX_CLIENTS).map(move |client| path(&self.id(), client))
    }
}
