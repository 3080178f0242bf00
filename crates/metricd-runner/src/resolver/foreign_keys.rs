//! The foreign keys of the tables that a statement reads.

use metricd_domain::{ContractForeignKey, ContractTable, ReferencedColumn};
use metricd_execution::ResolveError;
use serde::Deserialize;

use super::client::ResolverClient;
use super::{refused, unexpected};
use crate::introspection::FOREIGN_KEYS_SQL;

/// A table column that a column of the statement shows unchanged.
#[derive(Debug, Deserialize)]
pub(super) struct Source {
    schema: String,
    table: String,
    column: String,
}

impl Source {
    /// What it references, by the foreign keys of these tables.
    pub(super) fn references(&self, tables: &[ContractTable]) -> Vec<ReferencedColumn> {
        let table = tables.iter().find(|table| (&table.schema, &table.name) == (&self.schema, &self.table));
        let keys = table.into_iter().flat_map(|table| &table.foreign_keys).filter_map(ContractForeignKey::only_column);
        keys.filter(|(column, _)| *column == self.column).map(|(_, referenced)| referenced).collect()
    }
}

/// Adds the foreign keys of the tables.
pub(super) async fn add(client: &mut ResolverClient, tables: &mut [ContractTable]) -> Result<(), ResolveError> {
    if tables.is_empty() {
        return Ok(());
    }
    let read = serde_json::to_string(tables).map_err(unexpected)?;
    let found = client.query_one_with(FOREIGN_KEYS_SQL, &read).await;
    let found = found.and_then(|row| Ok(row.try_get::<_, String>(0)?)).map_err(refused)?;
    let found: Vec<Vec<ContractForeignKey>> = serde_json::from_str(&found).map_err(unexpected)?;
    for (table, keys) in tables.iter_mut().zip(found) {
        table.foreign_keys = keys;
    }
    Ok(())
}
