//! `DELETE /tables/{table_name}`

use actix_web::{HttpRequest, HttpResponse, web};
use metricd_repository::RepositoryError;

use super::by_name::{NamedTable, not_found};
use crate::auth::caller;
use crate::extract::parameters::TablePath;
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::{ApiState, Problem, ProblemCode};

problems!(
    DeleteTableProblems:
    TableNotFound, TableNotOwned, TableInUse, TokenLimited, InvalidParameters, DatabaseUnavailable, NoConnection, ConnectionsStuck
);

/// Deletes a table that files made, with its rows. Its history stays, and files may make it again.
#[utoipa::path(
    delete,
    path = "/tables/{table_name}",
    tag = "tables",
    params(TablePath),
    responses(
        (
            status = NO_CONTENT,
            description = "The table is deleted.",
            headers(
                ("Metricd-LSN" = String, description = "If the server reads from replicas: the position of the change, for `Metricd-After`."),
            )
        ),
        DeleteTableProblems,
    )
)]
pub(in crate::routes) async fn delete_table(
    request: HttpRequest,
    path: web::Path<TablePath>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    QueryString::parse(request.query_string()).finish()?;
    caller::require_unlimited(&request)?;
    let (name, is_found) = match NamedTable::of(&state, &path).await? {
        NamedTable::OfFiles { name, is_found } => (name, is_found),
        NamedTable::Other => return Err(Problem::new(ProblemCode::TableNotOwned)),
        NamedTable::Absent => return Err(not_found()),
    };
    match state.repository.delete_table(&name, caller::actor(&request)).await {
        Err(RepositoryError::TableNotFound(_)) if is_found => Err(Problem::new(ProblemCode::TableNotOwned)),
        deleted => {
            deleted?;
            state.note_position(&request).await;
            Ok(HttpResponse::NoContent().finish())
        }
    }
}
