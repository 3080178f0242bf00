//! Which relations have rows that other servers have, according to the catalogs.

use metricd_execution::{RemoteRelations, SnapshotScope};
use serde::Deserialize;

pub(crate) const REMOTE_RELATIONS_SQL: &str = include_str!("remote_relations.sql");

/// The result of `remote_relations.sql`.
#[derive(Debug, Deserialize)]
struct RemoteRelationsDocument {
    has_citus: bool,
    relations: Vec<(String, String, bool)>,
}

/// Parses the result.
///
/// `postgres_fdw` reads all tables of a server in one transaction with one snapshot. Other wrappers promise no snapshot. The
/// transactions of Citus on its workers take one for each statement.
pub(crate) fn remote_relations(document: &str) -> Result<RemoteRelations, serde_json::Error> {
    let RemoteRelationsDocument { has_citus, relations } = serde_json::from_str(document)?;
    let scopes = relations.into_iter().map(|(schema, name, is_postgres)| {
        ((schema, name), if is_postgres { SnapshotScope::PerServer } else { SnapshotScope::None })
    });
    let default_scope = if has_citus { SnapshotScope::None } else { SnapshotScope::Database };
    Ok(RemoteRelations { default_scope, scopes: scopes.collect() })
}
