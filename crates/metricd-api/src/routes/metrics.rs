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
use crate::extract::parameters::MetricPath;
use crate::{Problem, ProblemCode};

/// The metric's id in the path. An invalid id is not found, and neither is one that the caller may not see.
pub(in crate::routes) fn metric_id(request: &HttpRequest, path: &MetricPath) -> Result<MetricId, Problem> {
    let id = MetricId::parse(&path.metric_id).map_err(|_| Problem::new(ProblemCode::MetricNotFound))?;
    Ok(caller::mask_if_hidden(request, id))
}
