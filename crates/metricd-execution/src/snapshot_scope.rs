//! How far one snapshot of the data reaches, where other servers have some of the rows.

use std::collections::BTreeMap;

use metricd_domain::Contract;

/// What the rows of a result have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum SnapshotScope {
    /// All rows are of one snapshot of the database.
    #[default]
    Database,
    /// The rows from each server are of one snapshot of that server. The snapshots were taken at different times.
    PerServer,
    /// Rows may be of several snapshots.
    None,
}

/// The relations with rows that other servers have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemoteRelations {
    /// The scope of SQL that reads none of the relations: not [`SnapshotScope::Database`] if the database distributes its
    /// tables.
    pub default_scope: SnapshotScope,
    /// The scope of SQL that reads the relation with this schema and name. Relations that are not here have no such rows.
    pub scopes: BTreeMap<(String, String), SnapshotScope>,
}

impl RemoteRelations {
    /// The scope of SQL with this contract. Without a contract, it may read any of the relations.
    #[must_use]
    pub fn scope_of(&self, contract: Option<&Contract>) -> SnapshotScope {
        let scope_of = |schema: &str, name: &str| self.scopes.get(&(schema.to_owned(), name.to_owned())).copied();
        let widest = match contract {
            _ if self.scopes.is_empty() => None,
            None => self.scopes.values().copied().max(),
            Some(contract) => contract.tables().iter().filter_map(|table| scope_of(&table.schema, &table.name)).max(),
        };
        widest.unwrap_or_default().max(self.default_scope)
    }
}

#[cfg(test)]
mod tests {
    use metricd_domain::{ContractParts, ContractTable};

    use super::*;

    #[test]
    fn the_scope_is_the_widest_of_the_relations_that_the_sql_reads() {
        let remote = RemoteRelations {
            default_scope: SnapshotScope::Database,
            scopes: [("orders", SnapshotScope::PerServer), ("files", SnapshotScope::None)]
                .map(|(name, scope)| (("sales".to_owned(), name.to_owned()), scope))
                .into(),
        };
        let contract = |tables: &[(&str, &str)]| {
            let table = |(schema, name): &(&str, &str)| ContractTable::new(*schema, *name);
            let parts = ContractParts { tables: tables.iter().map(table).collect(), ..ContractParts::default() };
            Contract::new(parts).unwrap()
        };
        for (tables, expected) in [
            (&[][..], SnapshotScope::Database),
            (&[("other", "orders"), ("sales", "customers")], SnapshotScope::Database),
            (&[("sales", "customers"), ("sales", "orders")], SnapshotScope::PerServer),
            (&[("sales", "files"), ("sales", "orders")], SnapshotScope::None),
        ] {
            assert_eq!(remote.scope_of(Some(&contract(tables))), expected, "{tables:?}");
        }
        assert_eq!(remote.scope_of(None), SnapshotScope::None);
        assert_eq!(RemoteRelations::default().scope_of(None), SnapshotScope::Database);

        let distributed = RemoteRelations { default_scope: SnapshotScope::None, ..RemoteRelations::default() };
        assert_eq!(distributed.scope_of(Some(&contract(&[]))), SnapshotScope::None);
    }
}
