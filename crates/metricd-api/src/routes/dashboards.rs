//! `/dashboards`

pub(super) mod get;
pub(super) mod list;
pub(super) mod results;

pub(super) use get::get_dashboard;
pub(super) use list::list_dashboards;
pub(super) use results::get_dashboard_results;
