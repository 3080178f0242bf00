//! The relations that statements may read, and whether row-level security isolates tenants in them.

/// A relation that the reader may read, or a SECURITY DEFINER function that it may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The schema.
    pub schema: String,
    /// The name. That of a function ends in `()`.
    pub name: String,
    /// Whether the name without the schema means it.
    pub is_visible: bool,
    /// Why it may show a tenant the rows of others, for the operator. `None` if row-level security prevents it.
    pub gap: Option<String>,
}

impl Relation {
    /// The schema and the name, with a point between them.
    #[must_use]
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// Whether an operator means it by this text: the qualified name, or the name if that suffices.
    #[must_use]
    pub fn is_named(&self, text: &str) -> bool {
        self.is_visible && self.name == text || self.qualified_name() == text
    }
}
