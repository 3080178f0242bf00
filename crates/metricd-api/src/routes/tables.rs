//! `/tables`: what SQL may read, and the tables that files made.

mod by_name;
pub(super) mod delete;
mod examples;
pub(super) mod get;
pub(super) mod history;
mod kind;
pub(super) mod list;

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use metricd_domain::MetricPatterns;
use metricd_execution::RunError;

use crate::auth::caller;
use crate::{ApiState, Problem, ProblemCode};

/// The problem of reading the catalogs of the database, which is no fault of a metric's SQL.
fn catalog_problem(error: RunError) -> Problem {
    match &error {
        RunError::TimedOut { .. } | RunError::TooCostly { .. } => {
            let detail = "The database has not described its tables in time. Try again.";
            Problem::new(ProblemCode::DatabaseUnavailable).with_constant_detail(detail).caused_by(error)
        }
        RunError::NotStopped { .. } | RunError::Quarantined => {
            Problem::new(ProblemCode::DatabaseUnavailable).caused_by(error)
        }
        RunError::Failed { .. } if error.fault().is_some_and(|fault| !is_outage(fault)) => {
            Problem::new(ProblemCode::InternalError).caused_by(error)
        }
        _ => error.into(),
    }
}

fn is_outage(fault: metricd_database::Fault) -> bool {
    matches!(fault, metricd_database::Fault::Unavailable(_) | metricd_database::Fault::ReadOnly)
}

/// The tables that metrics read, each with the number of metrics. Of a token that is limited to some metrics, only those
/// count.
struct TablesRead {
    counts: BTreeMap<(String, String), u64>,
    among: Option<MetricPatterns>,
}

impl TablesRead {
    async fn by_metrics_of(request: &HttpRequest, state: &ApiState) -> Result<Self, Problem> {
        let among = caller::visible_metrics(request);
        let read = state.repository.list_read_tables(among.as_ref()).await?;
        let counts = read.into_iter().map(|table| ((table.schema, table.name), table.metric_count)).collect();
        Ok(Self { counts, among })
    }

    /// Whether the caller may see the table.
    fn shows(&self, schema: &str, name: &str) -> bool {
        self.among.is_none() || self.counts.contains_key(&(schema.to_owned(), name.to_owned()))
    }
}
