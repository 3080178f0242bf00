//! `/dashboards`

mod get;
mod list;

pub(super) use get::get_dashboard;
pub(super) use list::list_dashboards;
