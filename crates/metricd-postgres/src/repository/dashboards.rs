//! Reads dashboards.

use std::collections::BTreeMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use metricd_domain::{
    Breakpoint, Dashboard, DashboardId, DashboardItem, DashboardName, DashboardSummary, LayoutEntry, MetricId,
    MetricPatterns,
};
use metricd_repository::RepositoryError;

use super::error::{corrupt, failed};
use super::patterns::{Matches, regular_expression};
use super::rows::LayoutEntryRow;
use crate::schema::catalog::{dashboard_items, dashboards, layout_entries};

pub(super) fn list(
    connection: &mut PgConnection,
    among: Option<&MetricPatterns>,
    after: Option<&DashboardId>,
    limit: usize,
) -> Result<Vec<DashboardSummary>, RepositoryError> {
    // The collation of the database need not order by code point.
    let dashboard_id = || sql::<Text>("dashboards.dashboard_id COLLATE \"C\"");
    let counted = Matches::new(dashboard_items::metric_id, regular_expression(among).into_sql::<Text>());
    let items = dashboard_items::table.filter(dashboard_items::dashboard_id.eq(dashboards::dashboard_id));
    let items = items.filter(counted).count();
    let rows: Vec<(String, String, Option<i64>)> = dashboards::table
        .filter(dashboard_id().gt(after.map_or("", DashboardId::as_str)))
        .order(dashboard_id())
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select((dashboards::dashboard_id, dashboards::name, items.single_value()))
        .load(connection)
        .map_err(failed)?;
    let summary = |(id, name, count): (String, String, Option<i64>)| {
        let (id, name) = (DashboardId::parse(id).map_err(corrupt)?, DashboardName::parse(&name).map_err(corrupt)?);
        let item_count = count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
        Ok(DashboardSummary::new(id, name, item_count))
    };
    rows.into_iter().map(summary).collect()
}

pub(super) fn get(connection: &mut PgConnection, id: &DashboardId) -> Result<Dashboard, RepositoryError> {
    // The three statements see one snapshot.
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
    let item = |id: String| MetricId::parse(id).map(DashboardItem::new).map_err(corrupt);
    let items = items.into_iter().map(item).collect::<Result<_, _>>()?;
    let mut layouts: BTreeMap<Breakpoint, Vec<LayoutEntry>> = BTreeMap::new();
    for row in entries {
        let (breakpoint, entry) = row.into_entry()?;
        layouts.entry(breakpoint).or_default().push(entry);
    }
    let name = DashboardName::parse(&name).map_err(corrupt)?;
    Dashboard::new(id.clone(), name, items, layouts).map_err(corrupt)
}
