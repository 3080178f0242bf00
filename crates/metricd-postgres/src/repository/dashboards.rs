//! Reading dashboards.

use std::collections::BTreeMap;

use diesel::prelude::*;
use metricd_domain::{Breakpoint, Dashboard, DashboardId, DashboardItem, DashboardName, LayoutEntry, MetricId};
use metricd_repository::RepositoryError;

use super::error::{corrupt, failed};
use super::rows::LayoutEntryRow;
use crate::schema::catalog::{dashboard_items, dashboards, layout_entries};

pub(super) fn get(connection: &mut PgConnection, id: &DashboardId) -> Result<Dashboard, RepositoryError> {
    // The three statements see one state.
    let read = connection.build_transaction().read_only().repeatable_read().run(|connection| {
        let name = dashboards::table
            .filter(dashboards::dashboard_id.eq(id.as_str()))
            .select(dashboards::name)
            .first::<String>(connection)
            .optional()?;
        let items = dashboard_items::table
            .filter(dashboard_items::dashboard_id.eq(id.as_str()))
            .order(dashboard_items::position)
            .select(dashboard_items::metric_id)
            .load::<String>(connection)?;
        let entries = layout_entries::table
            .filter(layout_entries::dashboard_id.eq(id.as_str()))
            .order(layout_entries::position)
            .select(LayoutEntryRow::as_select())
            .load(connection)?;
        Ok((name, items, entries))
    });
    let (name, items, entries) = read.map_err(failed)?;
    let name = name.ok_or_else(|| RepositoryError::DashboardNotFound(id.clone()))?;
    let item = |id: String| MetricId::parse(id).map(|metric_id| DashboardItem { metric_id }).map_err(corrupt);
    let mut layouts: BTreeMap<Breakpoint, Vec<LayoutEntry>> = BTreeMap::new();
    for row in entries {
        let (breakpoint, entry) = row.into_entry()?;
        layouts.entry(breakpoint).or_default().push(entry);
    }
    Ok(Dashboard {
        dashboard_id: id.clone(),
        name: DashboardName::parse(&name).map_err(corrupt)?,
        items: items.into_iter().map(item).collect::<Result<_, _>>()?,
        layouts,
    })
}
