//! Stores definitions: compares them with the existing state and writes only what differs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_query;
use diesel::sql_types::{Array, Jsonb, Text};
use diesel::upsert::excluded;
use metricd_domain::{Actor, Contract, Metric, MetricId, QueryId};
use metricd_repository::{
    ChangeCounts, Changes, DashboardUpdate, Definitions, ExistingMetric, ExistingState, RepositoryError,
};
use serde_json::Value;

use super::error::{corrupt, failed, violates};
use super::rows::{DashboardItemRow, LayoutEntryRow, MetricRow, QueryRow, claimed_actor};
use crate::schema::catalog::{dashboard_items, dashboards, layout_entries, metrics, queries};

/// The number of rows in a statement: PostgreSQL takes 65 535 parameters, and a row has at most eight.
const ROWS_PER_STATEMENT: usize = 1_000;

/// The changes to the existing state. Rows that are stored already are not written.
#[derive(Default)]
pub(super) struct Plan {
    added_queries: Vec<QueryRow>,
    changed_queries: Vec<QueryRow>,
    added_metrics: Vec<MetricRow>,
    changed_metrics: Vec<MetricRow>,
    contracts: BTreeMap<MetricId, Contract>,
    dashboards: Vec<DashboardUpdate>,
    /// Edits that files repeat. The triggers end the edit of what is changed; that of what is not has to be ended.
    repeated_queries: BTreeSet<QueryId>,
    repeated_metrics: BTreeSet<MetricId>,
    /// The stored rows of everything that is written, and the queries that written metrics read: contracts were validated by
    /// them.
    locked_queries: BTreeSet<QueryId>,
    locked_metrics: BTreeSet<MetricId>,
    changes: Changes,
}

impl Plan {
    pub(super) fn new(definitions: Definitions, existing: &ExistingState) -> Result<Self, RepositoryError> {
        let mut plan = Self { dashboards: definitions.dashboards, ..Self::default() };
        let (mut changed_queries, mut written_metrics) = (BTreeSet::new(), BTreeSet::new());
        for query in definitions.queries {
            match existing.queries.get(&query.query_id) {
                None => {
                    plan.changes.queries.added += 1;
                    plan.added_queries.push(query.into());
                }
                Some(stored) if stored.sql == query.sql => {
                    plan.changes.queries.unchanged += 1;
                    plan.repeated_queries.extend(stored.edit.is_some().then_some(query.query_id));
                }
                Some(_) => {
                    plan.changes.queries.changed += 1;
                    changed_queries.insert(query.query_id.clone());
                    plan.changed_queries.push(query.into());
                }
            }
        }
        for metric in definitions.metrics {
            match existing.metrics.get(&metric.metric_id) {
                Some(stored) if stored.metric == metric => {
                    plan.changes.metrics.unchanged += 1;
                    plan.repeated_metrics.extend(stored.edit.is_some().then_some(metric.metric_id));
                }
                stored => {
                    written_metrics.insert(metric.metric_id.clone());
                    // The contract was validated with the SQL of this query.
                    plan.locked_queries.insert(metric.query_id.clone());
                    let (rows, counted) = match stored {
                        None => (&mut plan.added_metrics, &mut plan.changes.metrics.added),
                        Some(_) => (&mut plan.changed_metrics, &mut plan.changes.metrics.changed),
                    };
                    rows.push(metric.try_into()?);
                    *counted += 1;
                }
            }
        }
        // The trigger of a changed query drops the contracts of all metrics that read it.
        let loses_contract = |Metric { metric_id, query_id, .. }: &Metric| {
            written_metrics.contains(metric_id) || changed_queries.contains(query_id)
        };
        for (metric_id, contract) in definitions.contracts {
            let stored = existing.metrics.get(&metric_id).filter(|stored| !loses_contract(&stored.metric));
            if stored.is_none_or(|stored| stored.contract.as_ref() != Some(&contract)) {
                plan.contracts.insert(metric_id, contract);
            }
        }
        for ExistingMetric { metric, .. } in existing.metrics.values() {
            let Metric { metric_id, query_id, .. } = metric;
            let is_repeated = plan.repeated_metrics.contains(metric_id);
            if loses_contract(metric) || is_repeated || plan.contracts.contains_key(metric_id) {
                plan.locked_metrics.insert(metric_id.clone());
                plan.locked_queries.insert(query_id.clone());
            }
        }
        plan.locked_queries.extend(changed_queries);
        plan.locked_queries.extend(plan.repeated_queries.iter().cloned());
        Ok(plan)
    }

    /// Locks the rows that the plan is about. Queries first, as in a change of a metric, so that two transactions
    /// cannot deadlock.
    pub(super) fn lock(&self, connection: &mut PgConnection) -> Result<(), RepositoryError> {
        let ids: Vec<_> = self.locked_queries.iter().map(QueryId::as_str).collect();
        for ids in ids.chunks(ROWS_PER_STATEMENT) {
            let locked = queries::table.filter(queries::query_id.eq_any(ids)).order(queries::query_id);
            let locked = locked.select(queries::query_id).for_no_key_update();
            locked.load::<String>(connection).map_err(failed)?;
        }
        let ids: Vec<_> = self.locked_metrics.iter().map(MetricId::as_str).collect();
        for ids in ids.chunks(ROWS_PER_STATEMENT) {
            let locked = metrics::table.filter(metrics::metric_id.eq_any(ids)).order(metrics::metric_id);
            let locked = locked.select(metrics::metric_id).for_no_key_update();
            locked.load::<String>(connection).map_err(failed)?;
        }
        Ok(())
    }

    /// Writes the plan, provided the stored rows equal the existing state.
    pub(super) fn store(self, connection: &mut PgConnection, actor: &Actor) -> Result<Changes, RepositoryError> {
        let mut changes = self.changes;
        let actor = claimed_actor(actor)?;
        let added = insert_queries(connection, &self.added_queries, &actor);
        added.map_err(|error| not_added(error, "queries_pkey"))?;
        update_queries(connection, &self.changed_queries, &actor).map_err(failed)?;
        end_query_edits(connection, &self.repeated_queries).map_err(failed)?;
        let added = insert_metrics(connection, &self.added_metrics, &actor);
        added.map_err(|error| not_added(error, "metrics_pkey"))?;
        update_metrics(connection, &self.changed_metrics, &actor).map_err(failed)?;
        end_metric_edits(connection, &self.repeated_metrics).map_err(failed)?;
        store_contracts(connection, &self.contracts)?;
        for dashboard in self.dashboards {
            store_dashboard(connection, dashboard, &mut changes).map_err(failed)?;
        }
        Ok(changes)
    }
}

/// The error of a failed insertion. A row that did not exist cannot be locked: another transaction may have inserted
/// it since.
fn not_added(error: Error, primary_key: &str) -> RepositoryError {
    if violates(&error, primary_key) { RepositoryError::ChangedMeanwhile } else { failed(error) }
}

fn insert_queries(connection: &mut PgConnection, rows: &[QueryRow], actor: &Value) -> QueryResult<()> {
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        let rows: Vec<_> = rows.iter().map(|row| (row, queries::changed_by.eq(actor))).collect();
        diesel::insert_into(queries::table).values(rows).execute(connection)?;
    }
    Ok(())
}

/// Updates stored queries. PostgreSQL updates many rows with different values only by an upsert or a join.
fn update_queries(connection: &mut PgConnection, rows: &[QueryRow], actor: &Value) -> QueryResult<()> {
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        let rows: Vec<_> = rows.iter().map(|row| (row, queries::changed_by.eq(actor))).collect();
        diesel::insert_into(queries::table)
            .values(rows)
            .on_conflict(queries::query_id)
            .do_update()
            .set((queries::sql.eq(excluded(queries::sql)), queries::changed_by.eq(actor)))
            .execute(connection)?;
    }
    Ok(())
}

fn end_query_edits(connection: &mut PgConnection, ids: &BTreeSet<QueryId>) -> QueryResult<()> {
    let ids: Vec<_> = ids.iter().map(QueryId::as_str).collect();
    for ids in ids.chunks(ROWS_PER_STATEMENT) {
        diesel::update(queries::table.filter(queries::query_id.eq_any(ids)))
            .set((queries::edited_by.eq(None::<Value>), queries::edited_at.eq(None::<DateTime<Utc>>)))
            .execute(connection)?;
    }
    Ok(())
}

fn insert_metrics(connection: &mut PgConnection, rows: &[MetricRow], actor: &Value) -> QueryResult<()> {
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        let rows: Vec<_> = rows.iter().map(|row| (row, metrics::changed_by.eq(actor))).collect();
        diesel::insert_into(metrics::table).values(rows).execute(connection)?;
    }
    Ok(())
}

/// Updates stored metrics.
fn update_metrics(connection: &mut PgConnection, rows: &[MetricRow], actor: &Value) -> QueryResult<()> {
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        let rows: Vec<_> = rows.iter().map(|row| (row, metrics::changed_by.eq(actor))).collect();
        diesel::insert_into(metrics::table)
            .values(rows)
            .on_conflict(metrics::metric_id)
            .do_update()
            .set((
                metrics::query_id.eq(excluded(metrics::query_id)),
                metrics::editable.eq(excluded(metrics::editable)),
                metrics::parameters.eq(excluded(metrics::parameters)),
                metrics::time_column.eq(excluded(metrics::time_column)),
                metrics::period.eq(excluded(metrics::period)),
                metrics::limits.eq(excluded(metrics::limits)),
                // Not `excluded`: the insert trigger has removed the key from it already.
                metrics::changed_by.eq(actor),
            ))
            .execute(connection)?;
    }
    Ok(())
}

fn end_metric_edits(connection: &mut PgConnection, ids: &BTreeSet<MetricId>) -> QueryResult<()> {
    let ids: Vec<_> = ids.iter().map(MetricId::as_str).collect();
    for ids in ids.chunks(ROWS_PER_STATEMENT) {
        diesel::update(metrics::table.filter(metrics::metric_id.eq_any(ids)))
            .set((metrics::edited_by.eq(None::<Value>), metrics::edited_at.eq(None::<DateTime<Utc>>)))
            .execute(connection)?;
    }
    Ok(())
}

/// Stores the contracts of stored metrics, in place of their former ones.
pub(super) fn store_contracts(
    connection: &mut PgConnection,
    contracts: &BTreeMap<MetricId, Contract>,
) -> Result<(), RepositoryError> {
    let contracts: Vec<_> = contracts.iter().collect();
    for contracts in contracts.chunks(ROWS_PER_STATEMENT) {
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

fn store_dashboard(connection: &mut PgConnection, brought: DashboardUpdate, changes: &mut Changes) -> QueryResult<()> {
    let dashboard_id = brought.dashboard_id;
    let stored = dashboards::table.find(dashboard_id.as_str()).select(dashboards::name);
    let stored: Option<String> = stored.first(connection).optional()?;
    let upsert = diesel::insert_into(dashboards::table)
        .values((dashboards::dashboard_id.eq(dashboard_id.as_str()), dashboards::name.eq(brought.name.as_str())))
        .on_conflict(dashboards::dashboard_id)
        .do_update()
        .set((dashboards::name.eq(excluded(dashboards::name)), dashboards::updated_at.eq(diesel::dsl::now)));
    // `filter` is the WHERE of DO UPDATE here, not the method of the prelude.
    diesel::query_dsl::methods::FilterDsl::filter(upsert, dashboards::name.ne(excluded(dashboards::name)))
        .execute(connection)?;

    let mut added_items = 0;
    let item = |metric_id| DashboardItemRow { dashboard_id: dashboard_id.as_str().to_owned(), metric_id };
    let items: Vec<_> = brought.items.into_iter().map(|of| item(of.metric_id.into())).collect();
    for rows in items.chunks(ROWS_PER_STATEMENT) {
        let added = diesel::insert_into(dashboard_items::table).values(rows).on_conflict_do_nothing();
        added_items += added.execute(connection)?;
    }
    let is_renamed = stored.as_deref().is_some_and(|name| name != brought.name.as_str());
    changes.dashboards.count(stored.is_none(), is_renamed || added_items > 0);

    let entries = brought
        .layouts
        .into_iter()
        .flat_map(|(breakpoint, entries)| entries.into_iter().map(move |entry| (breakpoint, entry)));
    let entries: Vec<_> =
        entries.map(|(breakpoint, entry)| LayoutEntryRow::new(&dashboard_id, breakpoint, &entry)).collect();
    for rows in entries.chunks(ROWS_PER_STATEMENT) {
        store_layout_entries(connection, rows, &mut changes.layout_entries)?;
    }
    Ok(())
}

/// Stores the layout entries of one dashboard.
fn store_layout_entries(
    connection: &mut PgConnection,
    rows: &[LayoutEntryRow],
    counts: &mut ChangeCounts,
) -> QueryResult<()> {
    let ids: Vec<_> = rows.iter().map(|row| &row.metric_id).collect();
    let stored = layout_entries::table
        .filter(layout_entries::dashboard_id.eq_any(rows.first().map(|row| &row.dashboard_id)))
        .filter(layout_entries::metric_id.eq_any(ids))
        .select(LayoutEntryRow::as_select());
    let key = |row: &LayoutEntryRow| (row.breakpoint.clone(), row.metric_id.clone());
    let differing = differing(rows, stored.load(connection)?, key, counts);
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

/// The rows that differ from the stored ones.
fn differing<'a, Row: PartialEq, Key: Eq + Hash>(
    brought: &'a [Row],
    stored: Vec<Row>,
    key: impl Fn(&Row) -> Key,
    counts: &mut ChangeCounts,
) -> Vec<&'a Row> {
    let stored: HashMap<Key, Row> = stored.into_iter().map(|row| (key(&row), row)).collect();
    let differs = |row: &&Row| match stored.get(&key(row)) {
        None => {
            counts.added += 1;
            true
        }
        Some(before) if before == *row => {
            counts.unchanged += 1;
            false
        }
        Some(_) => {
            counts.changed += 1;
            true
        }
    };
    brought.iter().filter(differs).collect()
}
