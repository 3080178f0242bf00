//! Metrics.

mod get;
mod get_definition;

pub(super) use get::get_metric;
pub(super) use get_definition::get_metric_definition;
