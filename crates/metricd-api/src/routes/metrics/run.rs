//! What a run may take, and which problem its error is.

use std::time::Duration;

use metricd_domain::{MetricLimits, RowLimit};
use metricd_execution::{Fault, MetricStatement, RunError, RunLimits, fault_of};

use crate::{ApiState, Problem, ProblemCode};

/// What the run may take: the least of what the server, the metric and the request allow, and for its cost the caller's scopes.
pub(in crate::routes) fn run_limits(
    state: &ApiState,
    query_cost: u64,
    metric: MetricLimits,
    is_stream: bool,
    rows: Option<RowLimit>,
) -> RunLimits {
    let default = RunLimits::default();
    let rows = rows.unwrap_or(if is_stream { RowLimit::STREAM_MAX } else { default.rows });
    let lowered = |server: u64, metric: Option<u64>| metric.map_or(server, |metric| metric.min(server));
    let time_ms = lowered(u64::try_from(state.query_timeout.as_millis()).unwrap_or(u64::MAX), metric.time_ms);
    let size_bytes = lowered(default.size_bytes as u64, metric.size_bytes);
    RunLimits {
        rows: metric.rows.map_or(rows, |metric| rows.at_most(metric)),
        // A stream holds a chunk at a time.
        size_bytes: if is_stream { default.size_bytes } else { usize::try_from(size_bytes).unwrap_or(usize::MAX) },
        time: Duration::from_millis(time_ms),
        // By limits of its own an author could find out what the planner knows of other tenants' rows.
        cost: lowered(query_cost, metric.cost.filter(|_| state.tenants.is_none())),
        patience: if is_stream { state.stream_patience } else { Duration::ZERO },
    }
}

/// The problem that a run's error is. A value that nobody but PostgreSQL could judge may be what it is about.
pub(in crate::routes) fn run_problem(error: RunError, statement: &MetricStatement) -> Problem {
    match &error {
        RunError::Failed { sqlstate, .. } if fault_of(sqlstate) == Fault::Value && statement.has_unjudged() => {
            let detail = "PostgreSQL refused the value of a parameter, or a value that was made of it.";
            Problem::new(ProblemCode::InvalidParameters).with_detail(detail).caused_by(error)
        }
        _ => error.into(),
    }
}
