//! An ingestion as one transaction.

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use metricd_domain::{DashboardId, IngestionId, IngestionReport, MetricId, QueryId};
use metricd_repository::{Conclusion, Ingestion, Known, Mentioned, RepositoryError};

use super::error::{corrupt, failed};
use super::{changes, records};
use crate::schema::catalog::{dashboard_items, ingestions, metrics, queries};

/// How an ingestion leaves its transaction without being kept.
#[derive(Debug)]
enum Unkept {
    /// As it concluded itself.
    Concluded(Box<Conclusion>),
    /// Because something failed.
    Failed(RepositoryError),
}

impl From<diesel::result::Error> for Unkept {
    fn from(error: diesel::result::Error) -> Self {
        Self::Failed(failed(error))
    }
}

impl From<RepositoryError> for Unkept {
    fn from(error: RepositoryError) -> Self {
        Self::Failed(error)
    }
}

pub(super) fn ingest(
    connection: &mut PgConnection,
    mut ingestion: Box<dyn Ingestion>,
) -> Result<IngestionReport, RepositoryError> {
    let kept = connection.transaction(|connection| match run(connection, ingestion.as_mut())? {
        Conclusion::Keep(report) => {
            keep_report(connection, &report)?;
            Ok(report)
        }
        unkept => Err(Unkept::Concluded(Box::new(unkept))),
    });
    match kept {
        Ok(report) => Ok(report),
        Err(Unkept::Failed(error)) => Err(error),
        Err(Unkept::Concluded(conclusion)) => {
            if let Conclusion::KeepReport(report) = &*conclusion {
                keep_report(connection, report)?;
            }
            Ok(conclusion.into_report())
        }
    }
}

fn run(connection: &mut PgConnection, ingestion: &mut dyn Ingestion) -> Result<Conclusion, Unkept> {
    // Ingestions run one after the other. Reading is not kept waiting. An advisory lock would do as well, but any role can
    // take one of those, the reader included.
    connection.batch_execute("LOCK TABLE catalog.ingestions IN SHARE ROW EXCLUSIVE MODE")?;
    let known = look_up(connection, &ingestion.mentioned())?;
    let mut changes = changes::store(connection, ingestion.definitions(&known))?;
    records::store(connection, ingestion, &mut changes)?;
    Ok(ingestion.conclude(&changes))
}

fn look_up(connection: &mut PgConnection, mentioned: &Mentioned) -> Result<Known, RepositoryError> {
    let query_ids: Vec<_> = mentioned.query_ids.iter().map(QueryId::as_str).collect();
    let dashboard_ids: Vec<_> = mentioned.dashboard_ids.iter().map(DashboardId::as_str).collect();
    let stored = queries::table.filter(queries::query_id.eq_any(&query_ids)).select(queries::query_id);
    let readers =
        metrics::table.filter(metrics::query_id.eq_any(&query_ids)).select((metrics::query_id, metrics::metric_id));
    let items = dashboard_items::table
        .filter(dashboard_items::dashboard_id.eq_any(&dashboard_ids))
        .select((dashboard_items::dashboard_id, dashboard_items::metric_id));
    let stored: Vec<String> = stored.load(connection).map_err(failed)?;
    let readers: Vec<(String, String)> = readers.load(connection).map_err(failed)?;
    let items: Vec<(String, String)> = items.load(connection).map_err(failed)?;
    let reader = |(query_id, metric_id)| Ok((QueryId::parse(query_id)?, MetricId::parse(metric_id)?));
    let item = |(dashboard_id, metric_id)| Ok((DashboardId::parse(dashboard_id)?, MetricId::parse(metric_id)?));
    let known = || -> Result<Known, metricd_domain::InvalidId> {
        Ok(Known {
            query_ids: stored.into_iter().map(QueryId::parse).collect::<Result<BTreeSet<_>, _>>()?,
            readers: readers.into_iter().map(reader).collect::<Result<_, _>>()?,
            dashboard_items: items.into_iter().map(item).collect::<Result<_, _>>()?,
        })
    };
    known().map_err(corrupt)
}

fn keep_report(connection: &mut PgConnection, report: &IngestionReport) -> Result<(), RepositoryError> {
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
