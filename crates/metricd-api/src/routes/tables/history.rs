//! `GET /tables/{table_name}/history`

use actix_web::{HttpRequest, HttpResponse, web};
use metricd_domain::TABLE_SCHEMA;
use metricd_repository::TableVersion;
use serde_json::json;

use super::TablesRead;
use super::by_name::{NamedTable, not_found};
use crate::auth::caller;
use crate::extract::paging::{PageRequest, PageResponse, cursor};
use crate::extract::parameters::TablePath;
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::routes::changes::{ChangeResponse, ComparedVersion};
use crate::{ApiState, Problem};

problems!(
    ListTableHistoryProblems:
    TableNotFound, InvalidParameters, DatabaseUnavailable, NoConnection, ConnectionsStuck
);

/// Answers with the changes of a table that files made (who, when and what), the newest first; also of a deleted table.
///
/// Loading rows is no change. A token that is limited to some metrics sees only the tables that these read.
#[utoipa::path(
    get,
    path = "/tables/{table_name}/history",
    tag = "tables",
    params(TablePath, PageRequest::<u32>),
    responses(
        (status = OK, description = "A page of changes.", body = PageResponse<ChangeResponse>),
        ListTableHistoryProblems,
    )
)]
pub(in crate::routes) async fn list_table_history(
    request: HttpRequest,
    path: web::Path<TablePath>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    let mut query = QueryString::parse(request.query_string());
    let page_request = PageRequest::take(&mut query, |key| key.parse::<u32>().ok());
    query.finish()?;
    let read = match caller::visible_metrics(&request) {
        Some(_) => Some(TablesRead::by_metrics_of(&request, &state).await?),
        None => None,
    };
    let NamedTable::OfFiles { name, .. } = NamedTable::of(&state, &path).await? else { return Err(not_found()) };
    if read.is_some_and(|read| !read.shows(TABLE_SCHEMA, name.as_str())) {
        return Err(not_found());
    }
    let mut found = state.repository.list_table_versions(&name).await?;
    found.retain(|version| page_request.after.is_none_or(|after| version.version < after));
    let has_next = found.len() > page_request.limit();
    // The entry after the page is compared with the last one on it.
    let items =
        found.iter().enumerate().take(page_request.limit()).map(|(index, version)| {
            ChangeResponse::of(&request, compared(version), found.get(index + 1).map(compared))
        });
    let next_cursor =
        found.get(page_request.limit() - 1).filter(|_| has_next).map(|last| cursor(&last.version.to_string()));
    Ok(HttpResponse::Ok().json(PageResponse { items: items.collect(), next_cursor }))
}

/// The version with its compared fields.
fn compared(version: &TableVersion) -> ComparedVersion<'_> {
    let parts = version.table.parts();
    let fields = json!({
        "file": parts.file,
        "columns": parts.columns,
        "key": parts.key,
        "time_column": parts.time_column,
        "indexes": parts.indexes,
        "load": parts.load,
        "format": parts.format,
        "declared": parts.declared,
    });
    let TableVersion { version, action, changed_at, ref changed_by, .. } = *version;
    ComparedVersion { version, action, changed_at, changed_by, fields }
}
