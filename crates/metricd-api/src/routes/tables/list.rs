//! `GET /tables`

use std::collections::BTreeSet;

use actix_web::{HttpRequest, HttpResponse, web};
use metricd_domain::TABLE_SCHEMA;
use metricd_execution::{ReadableTable, TableFilter};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::kind::TableKindResponse;
use super::{TablesRead, catalog_problem};
use crate::extract::paging::{PageRequest, PageResponse, page};
use crate::extract::query_string::{QueryString, parse_search};
use crate::problem::problems;
use crate::{ApiState, Problem};

/// The tables that a request selects.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct TableSearch {
    /// Only tables with this text in their name, with the schema, or in their description, ignoring case.
    #[param(min_length = 1, max_length = 200)]
    q: Option<String>,
}

/// A table, a view or a foreign table in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TableSummary)]
struct TableSummaryResponse {
    schema: String,
    name: String,
    kind: TableKindResponse,
    /// The comment in the database.
    #[schema(required)]
    description: Option<String>,
    /// The number of rows that PostgreSQL last estimated; null if it is unknown, if the server has tenants, or if the token
    /// is limited to some metrics.
    #[schema(required)]
    row_estimate: Option<u64>,
    /// The number of columns that SQL may read.
    column_count: usize,
    /// The number of metrics that read it, of those that the caller may read.
    metric_count: u64,
    /// Whether files made it.
    made_by_files: bool,
}

problems!(ListTablesProblems: InvalidParameters, DatabaseUnavailable, NoConnection, ConnectionsStuck);

/// Lists the tables, views, materialized views and foreign tables that SQL may read, by schema and name.
///
/// Partitions of tables are not listed. A token that is limited to some metrics sees the tables that these read.
#[utoipa::path(
    get,
    path = "/tables",
    tag = "tables",
    params(PageRequest::<String>, TableSearch),
    responses(
        (status = OK, description = "A page of the list.", body = PageResponse<TableSummaryResponse>),
        ListTablesProblems,
    )
)]
pub(in crate::routes) async fn list_tables(
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    let mut query = QueryString::parse(request.query_string());
    let page_request = PageRequest::take(&mut query, |key| parse_key(key).map(|_| key.to_owned()));
    let TableSearch { q } = TableSearch { q: query.take("q", parse_search) };
    query.finish()?;
    let read = TablesRead::by_metrics_of(&request, &state).await?;
    let among = read.among.is_some().then(|| read.counts.keys().cloned().collect());
    let filter = TableFilter { search: q, among };
    let after = page_request.after.as_deref().and_then(parse_key);
    let found = state.runner.list_tables(&filter, after, page_request.wanted()).await.map_err(catalog_problem)?;
    let made_by_files: BTreeSet<String> = if state.stores_tables {
        state.repository.list_tables().await?.iter().map(|stored| stored.table.name().to_string()).collect()
    } else {
        BTreeSet::new()
    };
    let shows_rows = read.among.is_none() && state.tenants.is_none();
    let respond = |table: ReadableTable| TableSummaryResponse {
        metric_count: read.counts.get(&(table.schema.clone(), table.name.clone())).copied().unwrap_or_default(),
        made_by_files: table.schema == TABLE_SCHEMA && made_by_files.contains(&table.name),
        schema: table.schema,
        name: table.name,
        kind: table.kind.into(),
        description: table.description,
        row_estimate: table.row_estimate.filter(|_| shows_rows),
        column_count: table.column_count,
    };
    let key = |table: &ReadableTable| format!("{}\0{}", table.schema, table.name);
    Ok(HttpResponse::Ok().json(page(page_request.limit(), found, key, respond)))
}

/// The schema and the name in the key of a page. Neither can have NUL.
fn parse_key(key: &str) -> Option<(&str, &str)> {
    key.split_once('\0').filter(|(_, name)| !name.contains('\0'))
}
