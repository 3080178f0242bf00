//! Runs an ingestion as one transaction.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use metricd_domain::{DashboardId, DashboardName, IngestionId, IngestionReport, Metric, MetricId, QueryId, SqlText};
use metricd_repository::{
    Changes, Conclusion, Edit, ExistingMetric, ExistingQuery, ExistingState, Idempotency, Ingestion,
    MAX_VALIDATION_ATTEMPTS, ReferencedIds, RepositoryError, TableUpdate,
};
use serde_json::Value;
use tokio::runtime::Handle;

use super::changes::Plan;
use super::error::{corrupt, failed};
use super::idempotency::{self, Operation};
use super::rows::{MetricRow, contract};
use super::tables;
use crate::schema::catalog::{dashboard_items, dashboards, ingestions, metrics, queries};

/// How long the statements of an ingestion take, and how long its transaction waits for the next of them, depends on its
/// files; how long it waits for its locks, on the ingestions before.
pub(super) const UNLIMITED: &str = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; \
                                    SET LOCAL lock_timeout = '10min'";

/// Serializes ingestions.
pub(super) const LOCK: &str = "LOCK TABLE catalog.ingestions IN SHARE ROW EXCLUSIVE MODE";

/// After this time an ingestion is notified that it waits for another one.
const NOTICED_WAIT: Duration = Duration::from_secs(1);

/// Why the transaction of an ingestion is rolled back.
#[derive(Debug)]
enum Rollback {
    /// It was asked for before.
    Replayed(IngestionId),
    /// Others have changed the existing state by which its definitions were validated.
    Conflict,
    /// As it concluded itself.
    Concluded(Box<Conclusion>),
    /// Because something failed.
    Failed(RepositoryError),
}

impl From<diesel::result::Error> for Rollback {
    fn from(error: diesel::result::Error) -> Self {
        Self::Failed(failed(error))
    }
}

impl From<RepositoryError> for Rollback {
    fn from(error: RepositoryError) -> Self {
        Self::Failed(error)
    }
}

pub(super) fn ingest(
    connection: &mut PgConnection,
    mut ingestion: Box<dyn Ingestion>,
) -> Result<IngestionReport, RepositoryError> {
    let idempotency = ingestion.idempotency();
    if idempotency.is_some() {
        idempotency::delete_expired(connection)?;
    }
    let kept = connection.transaction(|connection| match run(connection, ingestion.as_mut(), idempotency.as_ref())? {
        Conclusion::Commit(report) => {
            keep_report(connection, &report, idempotency.as_ref())?;
            Ok(report)
        }
        other => Err(Rollback::Concluded(Box::new(other))),
    });
    match kept {
        Ok(report) => Ok(report),
        Err(Rollback::Failed(error)) => Err(error),
        Err(Rollback::Conflict) => Err(RepositoryError::ChangedMeanwhile),
        Err(Rollback::Replayed(ingestion_id)) => get_report(connection, ingestion_id),
        Err(Rollback::Concluded(conclusion)) => {
            if let Conclusion::CommitReportOnly(report) = &*conclusion {
                let kept = connection.transaction(|connection| {
                    connection.batch_execute(UNLIMITED)?;
                    Ok(keep_report(connection, report, idempotency.as_ref())?)
                });
                if let Err(Rollback::Failed(error)) = kept {
                    return Err(error);
                }
            }
            Ok(conclusion.into_report())
        }
    }
}

fn run(
    connection: &mut PgConnection,
    ingestion: &mut dyn Ingestion,
    idempotency: Option<&Idempotency>,
) -> Result<Conclusion, Rollback> {
    connection.batch_execute(UNLIMITED)?;
    lock_out_others(connection, ingestion)?;
    if let Some(idempotency) = idempotency
        && let Some(ingestion_id) = idempotency::stored_response(connection, Operation::Ingestion, idempotency)?
    {
        return Err(Rollback::Replayed(ingestion_id));
    }
    let (mut changes, updates, existing) = store_definitions(connection, ingestion)?;
    tables::store(connection, updates, &existing.tables, ingestion, &mut changes)?;
    Ok(ingestion.conclude(&changes))
}

/// Waits until no other ingestion runs. Reads are not blocked. An advisory lock would suffice, but any role can take
/// one, the reader included.
fn lock_out_others(connection: &mut PgConnection, ingestion: &mut dyn Ingestion) -> Result<(), Rollback> {
    let began = Instant::now();
    let short = format!("SET LOCAL lock_timeout = {}; {LOCK}", NOTICED_WAIT.as_millis());
    // A savepoint: the transaction outlives the short lock timeout.
    if connection.transaction(|connection| connection.batch_execute(&short)).is_ok() {
        return Ok(connection.batch_execute(UNLIMITED)?);
    }
    // Diesel does not report the SQLSTATE. After any other error the second attempt fails as well.
    if began.elapsed() >= NOTICED_WAIT {
        ingestion.waiting();
    }
    Ok(connection.batch_execute(LOCK)?)
}

/// Validates the definitions against the existing state and stores them. Validation is slow and locks nothing: if the
/// existing state changes meanwhile, the definitions are validated again.
fn store_definitions(
    connection: &mut PgConnection,
    ingestion: &mut dyn Ingestion,
) -> Result<(Changes, Vec<TableUpdate>, ExistingState), Rollback> {
    let referenced_ids = ingestion.referenced_ids();
    for _ in 0..MAX_VALIDATION_ATTEMPTS {
        let existing = look_up(connection, &referenced_ids)?;
        // This thread may block, and the runtime goes on meanwhile.
        let mut definitions = Handle::current().block_on(ingestion.definitions(&existing))?;
        let updates = std::mem::take(&mut definitions.tables);
        let plan = Plan::new(definitions, &existing)?;
        // A savepoint: rolling back to it releases the locks.
        let stored = connection.transaction(|connection| {
            plan.lock(connection)?;
            if look_up(connection, &referenced_ids)? != existing {
                return Err(Rollback::Conflict);
            }
            plan.store(connection, &ingestion.actor()).map_err(|error| match error {
                RepositoryError::ChangedMeanwhile => Rollback::Conflict,
                error => error.into(),
            })
        });
        match stored {
            Err(Rollback::Conflict) => {}
            stored => return Ok((stored?, updates, existing)),
        }
    }
    Err(Rollback::Conflict)
}

/// Who edited it, and when.
type EditRow = (Option<Value>, Option<DateTime<Utc>>);

type KnownRow = (MetricRow, Option<Value>, Option<DateTime<Utc>>, EditRow);

fn edit((by, at): EditRow) -> Result<Option<Edit>, RepositoryError> {
    let Some((by, at)) = by.zip(at) else { return Ok(None) };
    Ok(Some(Edit { by: serde_json::from_value(by).map_err(corrupt)?, at }))
}

fn look_up(connection: &mut PgConnection, referenced_ids: &ReferencedIds) -> Result<ExistingState, RepositoryError> {
    let query_ids: Vec<_> = referenced_ids.query_ids.iter().map(QueryId::as_str).collect();
    let metric_ids: Vec<_> = referenced_ids.metric_ids.iter().map(MetricId::as_str).collect();
    let dashboard_ids: Vec<_> = referenced_ids.dashboard_ids.iter().map(DashboardId::as_str).collect();
    let mut state = ExistingState::default();
    (state.tables, state.other_relations) = tables::existing(connection)?;
    let tables = state.tables.values().map(|existing| &existing.table);
    let tables: Vec<_> = tables.filter(|table| referenced_ids.contains_table(table)).collect();
    let readers = tables::readers(connection, &tables)?;
    let (reader_ids, read_ids): (Vec<_>, Vec<_>) =
        readers.iter().map(|(id, query)| (id.as_str(), query.as_str())).unzip();
    let is_referenced = queries::query_id.eq_any(&query_ids).or(queries::query_id.eq_any(&read_ids));
    let stored = queries::table.filter(is_referenced).select((
        queries::query_id,
        queries::sql,
        (queries::edited_by, queries::edited_at),
    ));
    let is_referenced = metrics::query_id.eq_any(&query_ids).or(metrics::metric_id.eq_any(&metric_ids));
    let is_referenced = is_referenced.or(metrics::metric_id.eq_any(&reader_ids));
    let existing = metrics::table.filter(is_referenced).select((
        MetricRow::as_select(),
        metrics::contract,
        metrics::deleted_at,
        (metrics::edited_by, metrics::edited_at),
    ));
    let names = dashboards::table
        .filter(dashboards::dashboard_id.eq_any(&dashboard_ids))
        .select((dashboards::dashboard_id, dashboards::name));
    let items = dashboard_items::table
        .filter(dashboard_items::dashboard_id.eq_any(&dashboard_ids))
        .select((dashboard_items::dashboard_id, dashboard_items::metric_id));
    let stored: Vec<(String, String, EditRow)> = stored.load(connection).map_err(failed)?;
    let existing: Vec<KnownRow> = existing.load(connection).map_err(failed)?;
    let names: Vec<(String, String)> = names.load(connection).map_err(failed)?;
    let items: Vec<(String, String)> = items.load(connection).map_err(failed)?;
    let query = |(query_id, sql, edited)| {
        let mut existing = ExistingQuery::new(SqlText::parse(sql).map_err(corrupt)?);
        existing.edit = edit(edited)?;
        Ok((QueryId::parse(query_id).map_err(corrupt)?, existing))
    };
    let metric = |(row, document, deleted_at, edited): KnownRow| {
        let mut existing = ExistingMetric::new(Metric::try_from(row)?);
        (existing.contract, existing.is_deleted) = (contract(document), deleted_at.is_some());
        existing.edit = edit(edited)?;
        Ok((existing.metric.metric_id.clone(), existing))
    };
    let name = |(dashboard_id, name): (String, String)| {
        Ok((DashboardId::parse(dashboard_id).map_err(corrupt)?, DashboardName::parse(&name).map_err(corrupt)?))
    };
    let item = |(dashboard_id, metric_id)| {
        Ok((DashboardId::parse(dashboard_id).map_err(corrupt)?, MetricId::parse(metric_id).map_err(corrupt)?))
    };
    state.queries = stored.into_iter().map(query).collect::<Result<_, RepositoryError>>()?;
    state.metrics = existing.into_iter().map(metric).collect::<Result<_, RepositoryError>>()?;
    state.dashboards = names.into_iter().map(name).collect::<Result<_, RepositoryError>>()?;
    state.dashboard_items = items.into_iter().map(item).collect::<Result<_, RepositoryError>>()?;
    Ok(state)
}

fn keep_report(
    connection: &mut PgConnection,
    report: &IngestionReport,
    idempotency: Option<&Idempotency>,
) -> Result<(), RepositoryError> {
    if let Some(idempotency) = idempotency {
        idempotency::store_response(connection, Operation::Ingestion, idempotency, &report.ingestion_id)?;
    }
    let document = serde_json::to_value(report).map_err(corrupt)?;
    diesel::insert_into(ingestions::table)
        .values((ingestions::ingestion_id.eq(report.ingestion_id.0), ingestions::report.eq(document)))
        .execute(connection)
        .map(|_| ())
        .map_err(failed)
}

pub(super) fn get_report(connection: &mut PgConnection, id: IngestionId) -> Result<IngestionReport, RepositoryError> {
    let document = ingestions::table
        .filter(ingestions::ingestion_id.eq(id.0))
        .select(ingestions::report)
        .first::<serde_json::Value>(connection)
        .optional()
        .map_err(failed)?;
    let document = document.ok_or(RepositoryError::IngestionNotFound(id))?;
    serde_json::from_value(document).map_err(corrupt)
}
