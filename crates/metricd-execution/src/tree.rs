//! The resolved query of a statement, as a tree. PostgreSQL stores the tree in `pg_rewrite` for a view over the
//! statement; it is parsed without knowledge of its version. The tree identifies every relation, column, function and
//! operator by its oid, regardless of its name in the text.

mod canonical;
mod constants;
mod node;
mod policy;
mod source;

use canonical::Canonical;
use node::{Node, Object};
pub use policy::{PolicyFacts, PolicyReach};
pub(crate) use source::SourceSubquery;

/// The stack to walk and drop the deepest tree that PostgreSQL makes, in bytes.
const TREE_STACK_BYTES: usize = 256 << 20;

/// The tree of a statement, in the text format in which PostgreSQL stores it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryTree {
    text: String,
}

/// Why two trees cannot be compared, or why they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TreeError {
    /// The text is not a tree, or a tree of an unknown kind.
    #[error("PostgreSQL describes the SQL in a form that is not known here")]
    Unreadable,
    /// The statement uses whole rows of the table. They have another type if they come from a subquery.
    #[error("it uses whole rows of the table")]
    WholeRow,
    /// Any other difference.
    #[error("PostgreSQL would read it in another way")]
    Differs,
}

impl QueryTree {
    /// Makes the tree of a statement that reads the statement as its only subquery: a list of one query, as in
    /// `pg_rewrite.ev_action` of a view.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self { text }
    }

    /// The text of the list.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Calls `visit` with the query of the statement, on a stack that is large enough.
    fn with<T>(&self, visit: impl FnOnce(Object<'_>) -> Result<T, TreeError>) -> Result<T, TreeError> {
        stacker::grow(TREE_STACK_BYTES, || visit(self.query()?))
    }

    /// The query of the statement.
    fn query(&self) -> Result<Object<'_>, TreeError> {
        let query = match Node::read(&self.text) {
            Some(Node::List(mut queries)) if queries.len() == 1 => match queries.pop() {
                Some(Node::Object(query)) if query.kind == "QUERY" => Ok(query),
                _ => Err(TreeError::Unreadable),
            },
            _ => Err(TreeError::Unreadable),
        }?;
        query.only_subquery().ok_or(TreeError::Unreadable)
    }

    /// The bytes of the constants, in PostgreSQL's internal format of their types.
    ///
    /// # Errors
    ///
    /// [`TreeError::Unreadable`] if the tree cannot be parsed.
    pub(crate) fn constants(&self) -> Result<Vec<Vec<u8>>, TreeError> {
        self.with(|query| Ok(constants::of(query)))
    }

    /// Checks that the statement can be narrowed: it does not use whole rows of the source.
    ///
    /// # Errors
    ///
    /// [`TreeError::WholeRow`] if it uses whole rows. [`TreeError::Unreadable`] if the tree cannot be parsed.
    pub(crate) fn is_narrowable(&self, source: &SourceSubquery) -> Result<(), TreeError> {
        self.with(|original| {
            let mut canonical = Canonical::of_original(source);
            canonical.query(original);
            if canonical.has_whole_row() { Err(TreeError::WholeRow) } else { Ok(()) }
        })
    }

    /// Checks that the narrowed statement differs from this one only in the rows of the source that it reads.
    ///
    /// # Errors
    ///
    /// [`TreeError::Differs`] if there is another difference. [`TreeError::Unreadable`] if a tree cannot be parsed.
    pub(crate) fn is_narrowed_by(&self, narrowed: &Self, source: &SourceSubquery) -> Result<(), TreeError> {
        self.with(|original| {
            let original = Canonical::of_original(source).query(original);
            let narrowed = Canonical::of_narrowed(source)?.query(narrowed.query()?);
            if original == narrowed { Ok(()) } else { Err(TreeError::Differs) }
        })
    }

    /// Checks that `filtered` selects everything from this statement as a subquery, with a condition.
    ///
    /// # Errors
    ///
    /// [`TreeError::Differs`] if it does not. [`TreeError::Unreadable`] if a tree cannot be parsed.
    pub(crate) fn is_filtered_by(&self, filtered: &Self) -> Result<(), TreeError> {
        self.with(|original| {
            let subquery = filtered.query()?.only_subquery().ok_or(TreeError::Unreadable)?;
            let same = Canonical::plain().query(original) == Canonical::plain().query(subquery);
            if same { Ok(()) } else { Err(TreeError::Differs) }
        })
    }
}
