//! A statement as PostgreSQL has resolved it: the tree that stands in `pg_rewrite` for a view of it, read without knowing its
//! version. Every relation, column, function and operator in it has its identity, whatever the text called it.

mod canonical;
mod node;
mod source;

use canonical::Canonical;
use node::{Node, Object};
pub(crate) use source::Source;

/// A stack on which a tree can be walked and dropped that is as deep as PostgreSQL makes one.
const STACK_BYTES: usize = 256 << 20;

/// The tree of a statement, in the text form in which PostgreSQL stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryTree {
    text: String,
    /// Whether the statement is the only subquery of this query.
    is_subquery: bool,
}

/// Why two trees cannot be compared, or are not equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TreeError {
    /// This is none, or none of a kind that is known here.
    #[error("PostgreSQL describes the SQL in a form that is not known here")]
    Unreadable,
    /// The statement uses whole rows of the table, which are of another type where they come out of a subquery.
    #[error("it uses whole rows of the table")]
    WholeRow,
    /// Any other difference.
    #[error("PostgreSQL would read it in another way")]
    Differs,
}

impl QueryTree {
    /// Takes the text of `pg_rewrite.ev_action`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self { text, is_subquery: false }
    }

    /// Takes the text of `pg_rewrite.ev_action` of a view that reads the statement as its only subquery.
    #[must_use]
    pub fn of_subquery(text: String) -> Self {
        Self { text, is_subquery: true }
    }

    /// Hands the statement's query to `look`, on a stack that is large enough for it.
    fn with<T>(&self, look: impl FnOnce(Object<'_>) -> Result<T, TreeError>) -> Result<T, TreeError> {
        stacker::grow(STACK_BYTES, || look(self.query()?))
    }

    /// The statement's query: the rule of a view has no other.
    fn query(&self) -> Result<Object<'_>, TreeError> {
        let query = match Node::read(&self.text) {
            Some(Node::List(mut queries)) if queries.len() == 1 => match queries.pop() {
                Some(Node::Object(query)) if query.kind == "QUERY" => Ok(query),
                _ => Err(TreeError::Unreadable),
            },
            _ => Err(TreeError::Unreadable),
        }?;
        if self.is_subquery { query.only_subquery().ok_or(TreeError::Unreadable) } else { Ok(query) }
    }

    /// Whether the narrowed statement is this one, but for the rows of the source that it reads.
    ///
    /// # Errors
    ///
    /// Why it is not.
    pub(crate) fn is_narrowed_by(&self, narrowed: &Self, source: &Source) -> Result<(), TreeError> {
        self.with(|original| {
            let mut before = Canonical::of_original(source);
            let original = before.query(original);
            let narrowed = Canonical::of_narrowed(source)?.query(narrowed.query()?);
            match () {
                () if original == narrowed => Ok(()),
                () if before.has_whole_row() => Err(TreeError::WholeRow),
                () => Err(TreeError::Differs),
            }
        })
    }

    /// Whether `filtered` selects everything from this statement as a subquery, with a condition.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub(crate) fn is_filtered_by(&self, filtered: &Self) -> Result<(), TreeError> {
        self.with(|original| {
            let subquery = filtered.query()?.only_subquery().ok_or(TreeError::Unreadable)?;
            let same = Canonical::plain().query(original) == Canonical::plain().query(subquery);
            if same { Ok(()) } else { Err(TreeError::Differs) }
        })
    }
}
