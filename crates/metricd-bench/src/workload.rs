//! What is asked for: three sizes of result.

use clap::ValueEnum;
use serde::Serialize;

/// The most clients that there may be.
pub(crate) const MAX_CLIENTS: u32 = 32;

/// The most rows that a result may have.
const MAX_ROWS: u32 = 10_000;

/// What clients ask for at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Questions {
    /// Each of them for something that nobody else asks for, so that each answer is a run of the SQL. The result is the same.
    Apart,
    /// All of them for the same, so that they may share runs.
    Alike,
}

impl Questions {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Apart => "apart",
            Self::Alike => "alike",
        }
    }
}

/// Where a metric's result is, as nobody but this client asks for it: with a limit of its own, which is past the result's end.
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

    /// How many rows the result has.
    pub(crate) fn rows(self) -> u32 {
        match self {
            Self::Aggregate => 1,
            Self::Series => 30,
            Self::Listing => crate::data::LISTING_ROWS,
        }
    }

    /// Where metricd answers.
    pub(crate) fn path(self) -> String {
        path(&self.id(), 0)
    }

    /// The same for clients who each ask for themselves, or all for the same.
    pub(crate) fn paths(self, questions: Questions) -> Vec<String> {
        match questions {
            Questions::Alike => vec![self.path()],
            Questions::Apart => (0..MAX_CLIENTS).map(|client| path(&self.id(), client)).collect(),
        }
    }
}
