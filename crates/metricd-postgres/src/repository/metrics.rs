//! Stores, changes and removes single metrics. Triggers keep versions and history.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Text};
use metricd_domain::{Actor, Metric, MetricDefinition, MetricId, QueryId, SqlText};
use metricd_repository::{Idempotency, MetricChange, MetricContent, NewMetric, RepositoryError, own_query_ids};
use serde_json::Value;

use super::error::{corrupt, failed, violates};
use super::idempotency::{self, Operation};
use super::ingest::UNLIMITED;
use super::rows::{MetricRow, claimed_actor};
use super::{changes, definitions};
use crate::schema::catalog::{dashboard_items, layout_entries, metric_versions, metrics, queries};

/// An error that rolls a transaction back: of a statement or of the store.
struct Failure(RepositoryError);

impl From<diesel::result::Error> for Failure {
    fn from(error: diesel::result::Error) -> Self {
        Self(failed(error))
    }
}

impl From<RepositoryError> for Failure {
    fn from(error: RepositoryError) -> Self {
        Self(error)
    }
}

pub(super) fn insert(
    connection: &mut PgConnection,
    new: NewMetric,
    idempotency: Option<&Idempotency>,
) -> Result<(MetricDefinition, bool), RepositoryError> {
    if idempotency.is_some() {
        idempotency::delete_expired(connection)?;
    }
    let stored = connection.transaction(|connection| {
        if let Some(idempotency) = idempotency
            && let Some(answer) = idempotency::stored_response(connection, Operation::Metric, idempotency)?
        {
            return Ok((answer, false));
        }
        let definition = insert_new(connection, new)?;
        if let Some(idempotency) = idempotency {
            idempotency::store_response(connection, Operation::Metric, idempotency, &definition)?;
        }
        Ok((definition, true))
    });
    stored.map_err(|Failure(error)| error)
}

fn insert_new(connection: &mut PgConnection, new: NewMetric) -> Result<MetricDefinition, Failure> {
    let NewMetric { metric_id, content, actor, .. } = new;
    let actor = claimed_actor(&actor)?;
    let query_id = insert_query(connection, &metric_id, &content.sql, &actor)?;
    let mut metric = Metric::new(metric_id.clone(), query_id, true);
    (metric.parameters, metric.time_column) = (content.parameters, content.time_column);
    (metric.period, metric.limits) = (content.period, content.limits);
    diesel::insert_into(metrics::table)
        .values((
            MetricRow::try_from(metric)?,
            metrics::title.eq(content.display_text.title.map(String::from)),
            metrics::description.eq(content.display_text.description.map(String::from)),
            metrics::changed_by.eq(&actor),
        ))
        .execute(connection)
        .map_err(|error| match error {
            error if violates(&error, "metrics_pkey") => RepositoryError::MetricExists(metric_id.clone()),
            error => failed(error),
        })?;
    changes::store_contracts(connection, &BTreeMap::from([(metric_id.clone(), content.contract)]))?;
    Ok(definitions::get(connection, &metric_id)?)
}

/// Stores SQL as a query of the metric's own.
fn insert_query(
    connection: &mut PgConnection,
    metric_id: &MetricId,
    sql: &SqlText,
    actor: &Value,
) -> Result<QueryId, Failure> {
    for query_id in own_query_ids(metric_id) {
        let is_stored = diesel::insert_into(queries::table)
            .values((
                queries::query_id.eq(query_id.as_str()),
                queries::sql.eq(sql.as_str()),
                queries::changed_by.eq(actor),
            ))
            .on_conflict_do_nothing()
            .execute(connection)?;
        if is_stored == 1 {
            return Ok(query_id);
        }
    }
    Err(Failure(corrupt("every id for a query is taken")))
}

pub(super) fn change(
    connection: &mut PgConnection,
    id: &MetricId,
    version: u32,
    change: MetricChange,
    actor: &Actor,
) -> Result<MetricDefinition, RepositoryError> {
    let actor = claimed_actor(actor)?;
    let changed = connection.transaction(|connection| {
        lock(connection, id)?;
        let before = definitions::get(connection, id)?;
        if before.version != version {
            return Err(RepositoryError::VersionMismatch { current: before.version }.into());
        }
        if before.deleted_at.is_some() && change != MetricChange::Restore {
            return Err(RepositoryError::MetricDeleted(id.clone()).into());
        }
        match change {
            MetricChange::Content(content) => put_content(connection, before, *content, &actor)?,
            MetricChange::Delete => set_deleted(connection, id, Some(Utc::now()), &actor)?,
            MetricChange::Restore if before.deleted_at.is_none() => return Ok(before),
            MetricChange::Restore => set_deleted(connection, id, None, &actor)?,
        }
        Ok(definitions::get(connection, id)?)
    });
    changed.map_err(|Failure(error)| error)
}

/// Locks the metric and its query. The query first, as in an ingestion, whose change of a query changes the metrics
/// that read it: so two transactions cannot deadlock.
fn lock(connection: &mut PgConnection, id: &MetricId) -> QueryResult<()> {
    loop {
        let read = metrics::table.find(id.as_str()).select(metrics::query_id);
        let Some(query_id) = read.first::<String>(connection).optional()? else { return Ok(()) };
        queries::table.find(&query_id).select(queries::query_id).for_no_key_update().first::<String>(connection)?;
        let now = read.for_no_key_update().first::<String>(connection).optional()?;
        if now.is_none_or(|now| now == query_id) {
            return Ok(());
        }
    }
}

fn set_deleted(
    connection: &mut PgConnection,
    id: &MetricId,
    deleted_at: Option<DateTime<Utc>>,
    actor: &Value,
) -> QueryResult<()> {
    diesel::update(metrics::table.find(id.as_str()))
        .set((metrics::deleted_at.eq(deleted_at), metrics::changed_by.eq(actor)))
        .execute(connection)
        .map(|_| ())
}

fn put_content(
    connection: &mut PgConnection,
    before: MetricDefinition,
    content: MetricContent,
    actor: &Value,
) -> Result<(), Failure> {
    let MetricDefinition { metric, display_text, sql, contract, .. } = before;
    let before_row = MetricRow::try_from(metric.clone())?;
    let id = metric.metric_id.clone();
    let mut query_id = metric.query_id.clone();
    if sql != content.sql {
        let others = metrics::query_id.eq(query_id.as_str()).and(metrics::metric_id.ne(id.as_str()));
        if metrics::table.filter(others).count().get_result::<i64>(connection)? > 0 {
            query_id = insert_query(connection, &id, &content.sql, actor)?;
        }
    }
    let mut metric = metric;
    metric.query_id = query_id.clone();
    (metric.parameters, metric.time_column) = (content.parameters, content.time_column);
    (metric.period, metric.limits) = (content.period, content.limits);
    let row = MetricRow::try_from(metric)?;
    if sql != content.sql {
        // A query of its own has this SQL already, and nothing happens.
        diesel::update(queries::table.find(query_id.as_str()))
            .filter(queries::sql.ne(content.sql.as_str()))
            .set((queries::sql.eq(content.sql.as_str()), queries::changed_by.eq(actor)))
            .execute(connection)?;
    }
    // An unchanged row is not written. The triggers would leave the key `said` in `changed_by`, which attributes the
    // next change to this actor, and would notify every server.
    let is_written = row != before_row || content.display_text != display_text;
    if is_written {
        diesel::update(metrics::table.find(id.as_str()))
            .set((
                metrics::query_id.eq(row.query_id),
                metrics::parameters.eq(row.parameters),
                metrics::time_column.eq(row.time_column),
                metrics::period.eq(row.period),
                metrics::limits.eq(row.limits),
                metrics::title.eq(content.display_text.title.map(String::from)),
                metrics::description.eq(content.display_text.description.map(String::from)),
                metrics::changed_by.eq(actor),
            ))
            .execute(connection)?;
    }
    if is_written || sql != content.sql || contract.as_ref() != Some(&content.contract) {
        changes::store_contracts(connection, &BTreeMap::from([(id, content.contract)]))?;
    }
    Ok(())
}

pub(super) fn purge(
    connection: &mut PgConnection,
    deleted_before: DateTime<Utc>,
) -> Result<Vec<MetricId>, RepositoryError> {
    let purged = connection.transaction(|connection| -> Result<Vec<String>, Failure> {
        connection.batch_execute(UNLIMITED)?;
        // Excludes ingestions, and takes queries before metrics, as every change of both does.
        connection.batch_execute("LOCK TABLE catalog.ingestions IN SHARE ROW EXCLUSIVE MODE")?;
        let is_due = metrics::deleted_at.lt(deleted_before);
        let read = metrics::table.filter(is_due).select(metrics::query_id);
        let locked = queries::table.filter(queries::query_id.eq_any(read)).order(queries::query_id);
        locked.select(queries::query_id).for_update().load::<String>(connection)?;
        let due = metrics::table
            .filter(is_due)
            .order(metrics::metric_id)
            .select((metrics::metric_id, metrics::query_id))
            .for_update()
            .load::<(String, String)>(connection)?;
        let (ids, mut query_ids): (Vec<_>, Vec<_>) = due.into_iter().unzip();
        let read_before = metric_versions::table.filter(metric_versions::metric_id.eq_any(&ids));
        query_ids.extend(read_before.select(metric_versions::query_id).distinct().load::<String>(connection)?);
        diesel::delete(layout_entries::table.filter(layout_entries::metric_id.eq_any(&ids))).execute(connection)?;
        diesel::delete(dashboard_items::table.filter(dashboard_items::metric_id.eq_any(&ids))).execute(connection)?;
        diesel::delete(metrics::table.filter(metrics::metric_id.eq_any(&ids))).execute(connection)?;
        let unread = "DELETE FROM catalog.queries AS q WHERE q.query_id = ANY ($1)
                      AND NOT EXISTS (SELECT FROM catalog.metrics AS m WHERE m.query_id = q.query_id)
                      AND NOT EXISTS (SELECT FROM catalog.metric_versions AS v WHERE v.query_id = q.query_id)";
        sql_query(unread).bind::<Array<Text>, _>(query_ids).execute(connection)?;
        Ok(ids)
    });
    let ids = purged.map_err(|Failure(error)| error)?;
    ids.into_iter().map(|id| MetricId::parse(id).map_err(corrupt)).collect()
}
