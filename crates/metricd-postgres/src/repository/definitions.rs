//! Reading metrics and their queries.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use metricd_domain::{Metric, MetricDefinition, MetricId, Query, QueryId, QueryVersion, SqlText};
use metricd_repository::RepositoryError;
use serde_json::Value;

use super::error::{corrupt, failed};
use super::rows::{MetricRow, contract, query_version};
use crate::schema::catalog::{metrics, queries, query_history};

pub(super) fn get(connection: &mut PgConnection, id: &MetricId) -> Result<MetricDefinition, RepositoryError> {
    let row = metrics::table
        .inner_join(queries::table)
        .filter(metrics::metric_id.eq(id.as_str()))
        .select((MetricRow::as_select(), queries::sql, queries::version, metrics::contract))
        .first::<(MetricRow, String, i32, Option<Value>)>(connection)
        .optional()
        .map_err(failed)?;
    let (metric, sql, version, document) = row.ok_or_else(|| RepositoryError::MetricNotFound(id.clone()))?;
    Ok(MetricDefinition {
        metric: metric.try_into()?,
        sql: SqlText::parse(sql).map_err(corrupt)?,
        query_version: u32::try_from(version).map_err(corrupt)?,
        contract: contract(document)?,
    })
}

pub(super) fn list(
    connection: &mut PgConnection,
    after: Option<&MetricId>,
    limit: usize,
) -> Result<Vec<Metric>, RepositoryError> {
    // No id is empty, so that every one of them comes after that.
    let after = after.map_or("", MetricId::as_str);
    let rows = metrics::table
        .filter(metrics::metric_id.gt(after))
        .order(metrics::metric_id)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select(MetricRow::as_select())
        .load(connection)
        .map_err(failed)?;
    rows.into_iter().map(Metric::try_from).collect()
}

pub(super) fn list_queries(
    connection: &mut PgConnection,
    after: Option<&QueryId>,
    limit: usize,
) -> Result<Vec<Query>, RepositoryError> {
    // The column has the database's collation, which need not be that of the characters' codes.
    let query_id = || sql::<Text>("query_id COLLATE \"C\"");
    let rows: Vec<(String, String)> = queries::table
        .filter(query_id().gt(after.map_or("", QueryId::as_str)))
        .order(query_id())
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select((queries::query_id, queries::sql))
        .load(connection)
        .map_err(failed)?;
    let query = |(query_id, sql)| {
        Ok(Query { query_id: QueryId::parse(query_id).map_err(corrupt)?, sql: SqlText::parse(sql).map_err(corrupt)? })
    };
    rows.into_iter().map(query).collect()
}

pub(super) fn list_versions(connection: &mut PgConnection, id: &QueryId) -> Result<Vec<QueryVersion>, RepositoryError> {
    let current = queries::table.filter(queries::query_id.eq(id.as_str())).select((
        queries::version,
        queries::sql,
        queries::updated_at,
    ));
    let replaced = query_history::table.filter(query_history::query_id.eq(id.as_str())).select((
        query_history::version,
        query_history::sql,
        query_history::created_at,
    ));
    // One statement, so that a version which is replaced meanwhile is seen once.
    let rows = current.union_all(replaced).load(connection).map_err(failed)?;
    let mut versions = rows.into_iter().map(query_version).collect::<Result<Vec<_>, _>>()?;
    if versions.is_empty() {
        return Err(RepositoryError::QueryNotFound(id.clone()));
    }
    versions.sort_by_key(|version| std::cmp::Reverse(version.version));
    Ok(versions)
}

pub(super) fn count(connection: &mut PgConnection) -> Result<u64, RepositoryError> {
    let count: i64 = metrics::table.count().get_result(connection).map_err(failed)?;
    Ok(u64::try_from(count).unwrap_or_default())
}
