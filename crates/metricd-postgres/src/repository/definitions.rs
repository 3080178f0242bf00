//! Reads metrics and their queries.

use std::collections::HashMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Jsonb, Nullable, Text};
use diesel::{QueryableByName, sql_query};
use metricd_domain::{
    MetricDefinition, MetricId, MetricPatterns, MetricVersion, Query, QueryId, QueryVersion, SqlText,
};
use metricd_repository::{DefinitionFilter, ReadTable, RepositoryError, ServiceState};
use serde_json::json;

use super::error::{corrupt, failed};
use super::patterns::{Matches, regular_expression};
use super::rows::{CurrentSqlRow, MetricRow, MetricVersionRow, StateRow, definition, query_version};
use crate::schema::catalog::{dashboard_items, metric_versions, metrics, queries, query_history};

#[declare_sql_function]
extern "SQL" {
    fn lower(text: Text) -> Text;
    fn strpos(text: Text, words: Text) -> Integer;
    #[sql_name = "coalesce"]
    fn coalesce_3(first: Nullable<Text>, second: Nullable<Text>, third: Text) -> Text;
}

pub(super) fn get(connection: &mut PgConnection, id: &MetricId) -> Result<MetricDefinition, RepositoryError> {
    let row = metrics::table
        .inner_join(queries::table)
        .filter(metrics::metric_id.eq(id.as_str()))
        .select((MetricRow::as_select(), StateRow::as_select(), CurrentSqlRow::as_select()))
        .first(connection)
        .optional()
        .map_err(failed)?;
    definition(row.ok_or_else(|| RepositoryError::MetricNotFound(id.clone()))?)
}

pub(super) fn list(
    connection: &mut PgConnection,
    filter: &DefinitionFilter,
    after: Option<&MetricId>,
    limit: usize,
) -> Result<Vec<MetricDefinition>, RepositoryError> {
    let mut query = metrics::table
        .inner_join(queries::table)
        // No id is empty, so every id sorts after the empty text.
        .filter(metrics::metric_id.gt(after.map_or("", MetricId::as_str)))
        .order(metrics::metric_id)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select((MetricRow::as_select(), StateRow::as_select(), CurrentSqlRow::as_select()))
        .into_boxed();
    query = match filter.state {
        ServiceState::Active => query.filter(metrics::deleted_at.is_null()),
        ServiceState::Deleted => query.filter(metrics::deleted_at.is_not_null()),
        ServiceState::Any => query,
    };
    if let Some(words) = &filter.search {
        let called = coalesce_3(metrics::title, queries::title, metrics::metric_id);
        let in_title = strpos(lower(called), lower(words)).gt(0);
        let in_description = strpos(lower(metrics::description.assume_not_null()), lower(words)).gt(0);
        query = query.filter(in_title.or(metrics::description.is_not_null().and(in_description)));
    }
    if let Some(dashboard_id) = &filter.dashboard_id {
        let items = dashboard_items::table.filter(dashboard_items::dashboard_id.eq(dashboard_id.as_str()));
        query = query.filter(metrics::metric_id.eq_any(items.select(dashboard_items::metric_id)));
    }
    if filter.among.is_some() {
        let among = regular_expression(filter.among.as_ref());
        query = query.filter(Matches::new(metrics::metric_id, among.into_sql::<Text>()));
    }
    if let Some((schema, name)) = &filter.reads {
        let table = json!([{"schema": schema, "name": name}]);
        query = query.filter(sql::<Bool>("catalog.metrics.contract -> 'tables' @> ").bind::<Jsonb, _>(table));
    }
    query.load(connection).map_err(failed)?.into_iter().map(definition).collect()
}

#[derive(QueryableByName)]
struct ReadTableRow {
    #[diesel(sql_type = Text)]
    schema: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    metric_count: i64,
}

/// A contract that another release has stored may have another form.
const READ_TABLES: &str = r#"
    SELECT t.entry ->> 'schema' COLLATE "C" AS schema, t.entry ->> 'name' COLLATE "C" AS name, count(*) AS metric_count
    FROM catalog.metrics AS m
    CROSS JOIN LATERAL jsonb_array_elements(
        CASE WHEN jsonb_typeof(m.contract -> 'tables') = 'array' THEN m.contract -> 'tables' END
    ) AS t (entry)
    WHERE m.deleted_at IS NULL AND m.metric_id ~ $1 AND t.entry ->> 'schema' IS NOT NULL AND t.entry ->> 'name' IS NOT NULL
    GROUP BY 1, 2
    ORDER BY 1, 2"#;

pub(super) fn list_read_tables(
    connection: &mut PgConnection,
    among: Option<&MetricPatterns>,
) -> Result<Vec<ReadTable>, RepositoryError> {
    let rows: Vec<ReadTableRow> =
        sql_query(READ_TABLES).bind::<Text, _>(regular_expression(among)).load(connection).map_err(failed)?;
    let table =
        |row: ReadTableRow| Ok(ReadTable::new(row.schema, row.name, row.metric_count.try_into().map_err(corrupt)?));
    rows.into_iter().map(table).collect()
}

pub(super) fn list_metric_versions(
    connection: &mut PgConnection,
    id: &MetricId,
    before: Option<u32>,
    limit: usize,
) -> Result<Vec<MetricVersion>, RepositoryError> {
    let before = before.and_then(|before| i32::try_from(before).ok()).unwrap_or(i32::MAX);
    // All statements see one snapshot.
    let read = connection.build_transaction().read_only().repeatable_read().run(|connection| {
        let is_stored =
            metrics::table.filter(metrics::metric_id.eq(id.as_str())).count().get_result::<i64>(connection)?;
        let rows = metric_versions::table
            .filter(metric_versions::metric_id.eq(id.as_str()).and(metric_versions::version.lt(before)))
            .order(metric_versions::version.desc())
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .select(MetricVersionRow::as_select())
            .load(connection)?;
        let ids: Vec<_> = rows.iter().map(|row| &row.query_id).collect();
        let wanted: Vec<_> = rows.iter().map(|row| row.query_version).collect();
        let current = queries::table
            .filter(queries::query_id.eq_any(&ids).and(queries::version.eq_any(&wanted)))
            .select((queries::query_id, queries::version, queries::sql));
        let replaced = query_history::table
            .filter(query_history::query_id.eq_any(&ids).and(query_history::version.eq_any(&wanted)))
            .select((query_history::query_id, query_history::version, query_history::sql));
        let texts = current.union_all(replaced).load::<(String, i32, String)>(connection)?;
        QueryResult::Ok((is_stored > 0, rows, texts))
    });
    let (is_stored, rows, texts) = read.map_err(failed)?;
    if !is_stored {
        return Err(RepositoryError::MetricNotFound(id.clone()));
    }
    let texts: HashMap<_, _> = texts.into_iter().map(|(query_id, version, sql)| ((query_id, version), sql)).collect();
    let with_sql = |row: MetricVersionRow| {
        let sql = texts.get(&(row.query_id.clone(), row.query_version)).cloned();
        row.with_sql(sql.ok_or_else(|| corrupt("a metric's version names a query's version that is not there"))?)
    };
    rows.into_iter().map(with_sql).collect()
}

pub(super) fn list_queries(
    connection: &mut PgConnection,
    after: Option<&QueryId>,
    limit: usize,
) -> Result<Vec<Query>, RepositoryError> {
    // The collation of the database need not order by code point.
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
    // One statement, so that a version that is replaced meanwhile appears once.
    let rows = current.union_all(replaced).load(connection).map_err(failed)?;
    let mut versions = rows.into_iter().map(query_version).collect::<Result<Vec<_>, _>>()?;
    if versions.is_empty() {
        return Err(RepositoryError::QueryNotFound(id.clone()));
    }
    versions.sort_by_key(|version| std::cmp::Reverse(version.version));
    Ok(versions)
}

/// The number of metrics that are not deleted.
pub(super) fn count(connection: &mut PgConnection) -> Result<u64, RepositoryError> {
    let count: i64 =
        metrics::table.filter(metrics::deleted_at.is_null()).count().get_result(connection).map_err(failed)?;
    Ok(u64::try_from(count).unwrap_or_default())
}
