//! Finds the table that a path names.

use metricd_domain::{TABLE_SCHEMA, TableName};
use metricd_execution::TableDescription;
use metricd_repository::{RepositoryError, StoredTable};

use super::catalog_problem;
use crate::extract::parameters::TablePath;
use crate::{ApiState, Problem, ProblemCode};

/// The maximum size of a name of PostgreSQL, in bytes.
const MAX_NAME_BYTES: usize = 63;

/// What a path names.
pub(super) enum NamedTable {
    /// A table that files may have made.
    OfFiles {
        /// Its name.
        name: TableName,
        /// Whether SQL finds a table of this name. Files need not have made it.
        is_found: bool,
    },
    /// Another table.
    Other,
    /// There is no such table, and files never make one of the name.
    Absent,
}

impl NamedTable {
    /// What the path names: what SQL finds by the name, or else a table that files make, which the reader may not be able
    /// to read, or which may be deleted.
    ///
    /// # Errors
    ///
    /// 503 if the database cannot be reached.
    pub(super) async fn of(state: &ApiState, path: &TablePath) -> Result<Self, Problem> {
        let Some(found) = find(state, path).await? else {
            let name = &path.table_name;
            let name = name.strip_prefix(TABLE_SCHEMA).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name);
            let named = TableName::parse(name).ok().filter(|_| state.stores_tables);
            return Ok(named.map_or(Self::Absent, |name| Self::OfFiles { name, is_found: false }));
        };
        let name = name_of_files(state, &found);
        Ok(name.map_or(Self::Other, |name| Self::OfFiles { name, is_found: true }))
    }
}

/// The table that SQL finds by the name in the path; `None` if the reader may read none.
///
/// # Errors
///
/// 503 if the database cannot be reached.
pub(super) async fn find(state: &ApiState, path: &TablePath) -> Result<Option<TableDescription>, Problem> {
    let name = &path.table_name;
    if name.len() > 2 * MAX_NAME_BYTES + 1 || name.contains('\0') {
        return Ok(None);
    }
    state.runner.find_table(name).await.map_err(catalog_problem)
}

/// The definition of the table, if files made it.
///
/// # Errors
///
/// Those of the repository.
pub(super) async fn stored(state: &ApiState, found: &TableDescription) -> Result<Option<StoredTable>, Problem> {
    let Some(name) = name_of_files(state, found) else { return Ok(None) };
    match state.repository.get_table(&name).await {
        Ok(stored) => Ok(Some(stored)),
        Err(RepositoryError::TableNotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The name of the table, if files may have made it.
fn name_of_files(state: &ApiState, found: &TableDescription) -> Option<TableName> {
    let is_of_files = state.stores_tables && found.table.schema == TABLE_SCHEMA;
    TableName::parse(&found.table.name).ok().filter(|_| is_of_files)
}

/// No table has the name, or the caller may not see it.
pub(super) fn not_found() -> Problem {
    Problem::new(ProblemCode::TableNotFound)
}
