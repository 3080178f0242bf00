//! Storing definitions: what is stored already is compared with what is brought, and only what differs is written.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Jsonb, Text};
use diesel::upsert::excluded;
use metricd_domain::{Actor, Contract, Dashboard, MetricId, Query};
use metricd_repository::{Changes, Definitions, RepositoryError, Tally};
use serde_json::Value;

use super::error::{corrupt, failed};
use super::rows::{DashboardItemRow, LayoutEntryRow, MetricRow, QueryRow, said_by};
use crate::schema::catalog::{dashboard_items, dashboards, layout_entries, metrics, queries};

/// How many rows one statement brings: PostgreSQL takes 65 535 parameters, a row has at most eight.
const ROWS_A_STATEMENT: usize = 1_000;

/// Stores the definitions. Nobody else may change definitions meanwhile.
pub(super) fn store(
    connection: &mut PgConnection,
    definitions: Definitions,
    actor: &Actor,
) -> Result<Changes, RepositoryError> {
    let mut changes = Changes::default();
    let actor = said_by(actor)?;
    store_queries(connection, definitions.queries, &actor, &mut changes.queries).map_err(failed)?;
    let metrics = definitions.metrics.into_iter().map(MetricRow::try_from).collect::<Result<Vec<_>, _>>()?;
    store_metrics(connection, &metrics, &actor, &mut changes.metrics).map_err(failed)?;
    store_contracts(connection, &definitions.contracts)?;
    for dashboard in definitions.dashboards {
        store_dashboard(connection, dashboard, &mut changes.layout_entries).map_err(failed)?;
    }
    Ok(changes)
}

fn store_queries(
    connection: &mut PgConnection,
    brought: Vec<Query>,
    actor: &Value,
    tally: &mut Tally,
) -> QueryResult<()> {
    let rows: Vec<QueryRow> = brought.into_iter().map(QueryRow::from).collect();
    for rows in rows.chunks(ROWS_A_STATEMENT) {
        let ids: Vec<_> = rows.iter().map(|row| &row.query_id).collect();
        let stored = queries::table.filter(queries::query_id.eq_any(ids)).select(QueryRow::as_select());
        let differing = differing(rows, stored.load(connection)?, |row| row.query_id.clone(), tally);
        let differing: Vec<_> = differing.into_iter().map(|row| (row, queries::changed_by.eq(actor))).collect();
        diesel::insert_into(queries::table)
            .values(differing)
            .on_conflict(queries::query_id)
            .do_update()
            .set((queries::sql.eq(excluded(queries::sql)), queries::changed_by.eq(actor)))
            .execute(connection)?;
        // The triggers end the edit of what has changed; this ends it where files repeat what is stored.
        let ids = rows.iter().map(|row| &row.query_id);
        diesel::update(queries::table.filter(queries::query_id.eq_any(ids).and(queries::edited_at.is_not_null())))
            .set((queries::edited_by.eq(None::<Value>), queries::edited_at.eq(None::<DateTime<Utc>>)))
            .execute(connection)?;
    }
    Ok(())
}

fn store_metrics(
    connection: &mut PgConnection,
    rows: &[MetricRow],
    actor: &Value,
    tally: &mut Tally,
) -> QueryResult<()> {
    for rows in rows.chunks(ROWS_A_STATEMENT) {
        let ids: Vec<_> = rows.iter().map(|row| &row.metric_id).collect();
        let stored = metrics::table.filter(metrics::metric_id.eq_any(ids)).select(MetricRow::as_select());
        let differing = differing(rows, stored.load(connection)?, |row| row.metric_id.clone(), tally);
        let differing: Vec<_> = differing.into_iter().map(|row| (row, metrics::changed_by.eq(actor))).collect();
        diesel::insert_into(metrics::table)
            .values(differing)
            .on_conflict(metrics::metric_id)
            .do_update()
            .set((
                metrics::query_id.eq(excluded(metrics::query_id)),
                metrics::editable.eq(excluded(metrics::editable)),
                metrics::parameters.eq(excluded(metrics::parameters)),
                metrics::time_column.eq(excluded(metrics::time_column)),
                metrics::period.eq(excluded(metrics::period)),
                metrics::limits.eq(excluded(metrics::limits)),
                // Not `excluded`, from which the trigger of an insertion has taken the word already.
                metrics::changed_by.eq(actor),
            ))
            .execute(connection)?;
        let ids = rows.iter().map(|row| &row.metric_id);
        diesel::update(metrics::table.filter(metrics::metric_id.eq_any(ids).and(metrics::edited_at.is_not_null())))
            .set((metrics::edited_by.eq(None::<Value>), metrics::edited_at.eq(None::<DateTime<Utc>>)))
            .execute(connection)?;
    }
    Ok(())
}

/// Stores contracts of metrics that are stored; what was stored of them before is replaced.
pub(super) fn store_contracts(
    connection: &mut PgConnection,
    contracts: &BTreeMap<MetricId, Contract>,
) -> Result<(), RepositoryError> {
    let contracts: Vec<_> = contracts.iter().collect();
    for contracts in contracts.chunks(ROWS_A_STATEMENT) {
        let ids: Vec<_> = contracts.iter().map(|(metric_id, _)| metric_id.as_str()).collect();
        let documents = contracts.iter().map(|(_, contract)| serde_json::to_value(contract));
        let documents = documents.collect::<Result<Vec<_>, _>>().map_err(corrupt)?;
        sql_query(
            "UPDATE catalog.metrics AS m SET contract = c.contract \
             FROM unnest($1, $2) AS c (metric_id, contract) \
             WHERE m.metric_id = c.metric_id AND m.contract IS DISTINCT FROM c.contract",
        )
        .bind::<Array<Text>, _>(ids)
        .bind::<Array<Jsonb>, _>(documents)
        .execute(connection)
        .map_err(failed)?;
    }
    Ok(())
}

fn store_dashboard(connection: &mut PgConnection, brought: Dashboard, tally: &mut Tally) -> QueryResult<()> {
    let dashboard_id = brought.dashboard_id;
    let upsert = diesel::insert_into(dashboards::table)
        .values((dashboards::dashboard_id.eq(dashboard_id.as_str()), dashboards::name.eq(brought.name.as_str())))
        .on_conflict(dashboards::dashboard_id)
        .do_update()
        .set((dashboards::name.eq(excluded(dashboards::name)), dashboards::updated_at.eq(diesel::dsl::now)));
    // `filter` here is the WHERE of DO UPDATE, which the prelude's method of that name is not.
    diesel::query_dsl::methods::FilterDsl::filter(upsert, dashboards::name.ne(excluded(dashboards::name)))
        .execute(connection)?;

    let item = |metric_id| DashboardItemRow { dashboard_id: dashboard_id.as_str().to_owned(), metric_id };
    let items: Vec<_> = brought.items.into_iter().map(|of| item(of.metric_id.into())).collect();
    for rows in items.chunks(ROWS_A_STATEMENT) {
        diesel::insert_into(dashboard_items::table).values(rows).on_conflict_do_nothing().execute(connection)?;
    }

    let entries = brought
        .layouts
        .into_iter()
        .flat_map(|(breakpoint, entries)| entries.into_iter().map(move |entry| (breakpoint, entry)));
    let entries: Vec<_> =
        entries.map(|(breakpoint, entry)| LayoutEntryRow::new(&dashboard_id, breakpoint, entry)).collect();
    for rows in entries.chunks(ROWS_A_STATEMENT) {
        store_layout_entries(connection, rows, tally)?;
    }
    Ok(())
}

/// Stores entries of one dashboard.
fn store_layout_entries(connection: &mut PgConnection, rows: &[LayoutEntryRow], tally: &mut Tally) -> QueryResult<()> {
    let ids: Vec<_> = rows.iter().map(|row| &row.metric_id).collect();
    let stored = layout_entries::table
        .filter(layout_entries::dashboard_id.eq_any(rows.first().map(|row| &row.dashboard_id)))
        .filter(layout_entries::metric_id.eq_any(ids))
        .select(LayoutEntryRow::as_select());
    let key = |row: &LayoutEntryRow| (row.breakpoint.clone(), row.metric_id.clone());
    let differing = differing(rows, stored.load(connection)?, key, tally);
    diesel::insert_into(layout_entries::table)
        .values(differing)
        .on_conflict((layout_entries::dashboard_id, layout_entries::breakpoint, layout_entries::metric_id))
        .do_update()
        .set((
            layout_entries::x.eq(excluded(layout_entries::x)),
            layout_entries::y.eq(excluded(layout_entries::y)),
            layout_entries::width.eq(excluded(layout_entries::width)),
            layout_entries::height.eq(excluded(layout_entries::height)),
            layout_entries::is_static.eq(excluded(layout_entries::is_static)),
        ))
        .execute(connection)?;
    Ok(())
}

/// The brought rows that are not stored as they are.
fn differing<'a, Row: PartialEq, Key: Eq + Hash>(
    brought: &'a [Row],
    stored: Vec<Row>,
    key: impl Fn(&Row) -> Key,
    tally: &mut Tally,
) -> Vec<&'a Row> {
    let stored: HashMap<Key, Row> = stored.into_iter().map(|row| (key(&row), row)).collect();
    let differs = |row: &&Row| match stored.get(&key(row)) {
        None => {
            tally.added += 1;
            true
        }
        Some(before) if before == *row => {
            tally.unchanged += 1;
            false
        }
        Some(_) => {
            tally.changed += 1;
            true
        }
    };
    brought.iter().filter(differs).collect()
}
