//! The relations that statements may read, and whether row-level security isolates tenants in them.

/// A relation of the warehouse: a table, a view, a materialized view or a foreign table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The name within the schema `warehouse`.
    pub name: String,
    /// Why a tenant may see the rows of other tenants, for the operator: row-level security does not restrict each row
    /// to the tenant, neither on the relation nor on the tables that a view reads with the rights of its invoker. None
    /// if it does.
    pub gap: Option<String>,
}
