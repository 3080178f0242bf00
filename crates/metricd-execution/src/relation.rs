//! The relations that statements may read, and whether row-level security isolates tenants in them.

/// A relation that the reader may read, or a SECURITY DEFINER function that it may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The name; outside of `warehouse` with its schema, a function with `()`.
    pub name: String,
    /// Why it may show a tenant the rows of others, for the operator; `None` if row-level security prevents that.
    pub gap: Option<String>,
}
