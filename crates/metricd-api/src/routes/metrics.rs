//! `/metrics`: definitions and results.

mod change;
pub(crate) mod content;
pub(super) mod create;
mod definition;
pub(super) mod delete;
pub(super) mod get;
pub(super) mod get_definition;
pub(super) mod history;
pub(super) mod list;
pub(super) mod restore;
pub(super) mod update;

use actix_web::HttpRequest;
use metricd_domain::MetricId;

use crate::auth::caller;
use crate::{Problem, ProblemCode};

pub(super) use create::create_metric;
pub(super) use delete::delete_metric;
pub(super) use get::get_metric;
pub(super) use get_definition::get_metric_definition;
pub(super) use history::list_metric_history;
pub(super) use list::list_metrics;
pub(super) use restore::restore_metric;
pub(super) use update::update_metric;

/// The metric's id in the path. An invalid id is not found, and neither is one that the caller may not see.
pub(in crate::routes) fn metric_id(request: &HttpRequest, path: &str) -> Result<MetricId, Problem> {
    let id = MetricId::parse(path).map_err(|_| Problem::new(ProblemCode::MetricNotFound))?;
    Ok(caller::mask_if_hidden(request, id))
}
