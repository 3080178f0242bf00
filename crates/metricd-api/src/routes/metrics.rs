//! `/metrics`: the definitions, and their results.

mod change;
mod content;
mod create;
mod definition;
mod delete;
mod get;
mod get_definition;
mod history;
mod list;
mod restore;
mod result;
mod run;
mod update;

use metricd_domain::MetricId;

use crate::{Problem, ProblemCode};

pub(super) use create::create_metric;
pub(super) use delete::delete_metric;
pub(super) use get::get_metric;
pub(super) use get_definition::get_metric_definition;
pub(super) use history::list_metric_history;
pub(super) use list::list_metrics;
pub(super) use restore::restore_metric;
pub(super) use result::write_result;
pub(super) use run::{run_limits, run_problem};
pub(super) use update::update_metric;

/// The metric's id in a path. What cannot be an id is no metric's.
fn metric_id(path: &str) -> Result<MetricId, Problem> {
    MetricId::parse(path).map_err(|_| Problem::new(ProblemCode::MetricNotFound))
}
