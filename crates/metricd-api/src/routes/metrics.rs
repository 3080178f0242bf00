//! Metrics.

mod get;

pub(super) use get::get_metric;
